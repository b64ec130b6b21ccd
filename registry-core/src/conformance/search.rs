//! The promises of [`Search`]; see [`search_conformance!`](crate::search_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{num::NonZeroUsize, sync::Arc};

use super::{
    Bench,
    record_fixture::{alice, first, name, publish, release, set_yanked, stamp},
};
use crate::{
    index::Index,
    record::{About, CrateRecord, Origin, Transition},
    search::{FoundCrate, Search, SearchPage, SearchQuery},
};

/// Proves a [`Search`], one `#[test]` per promise, in a module of the name given. The set-up gives
/// an index and a search over it.
///
/// ```
/// use registry_core::memory::MemoryIndex;
///
/// registry_core::search_conformance!(memory, volatile: async || {
///     let index = MemoryIndex::new();
///     (index.clone(), index)
/// });
/// ```
///
/// A search that looks at names alone says so, and the tests about words are shown as ignored:
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{memory::MemoryIndex, search::NameSearch};
///
/// registry_core::search_conformance!(names, volatile, names_only: async || {
///     let index = MemoryIndex::new();
///     (index.clone(), NameSearch::new(Arc::new(index)))
/// });
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` searches.
#[macro_export]
macro_rules! search_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::search_conformance! {
            @suite $module, {$lifetime $(if $service)?}: $set_up;
            any:
                words_are_found_in_description_and_keywords
                words_are_found_in_any_order_and_case
                words_are_found_by_how_they_begin
                words_of_any_script_are_split_alike
                words_rank_behind_names
                words_are_those_of_the_highest_version
                words_that_were_brought_over_are_found
                words_are_literal;
            absent:;
        }
    };
    ($module:ident, $lifetime:ident, names_only $(if $service:literal)?: $set_up:expr) => {
        $crate::search_conformance! {
            @suite $module, {$lifetime $(if $service)?}: $set_up;
            any:;
            absent:
                words_are_found_in_description_and_keywords
                words_are_found_in_any_order_and_case
                words_are_found_by_how_they_begin
                words_of_any_script_are_split_alike
                words_rank_behind_names
                words_are_those_of_the_highest_version
                words_that_were_brought_over_are_found
                words_are_literal;
        }
    };
    (
        @suite $module:ident, $backend:tt: $set_up:expr;
        any: $($any:ident)*; absent: $($absent:ident)*;
    ) => {
        $crate::__conformance_suite! {
            $module, $backend: $set_up, search;
            any:
                an_empty_registry_has_nothing_to_find
                names_are_ranked
                spellings_of_a_name_are_alike
                empty_text_finds_every_crate
                text_without_a_word_finds_nothing
                a_name_is_found_by_each_of_its_words
                text_is_literal
                pages_are_parts_of_one_answer
                crates_without_a_published_version_are_left_out
                the_highest_version_is_shown
                a_commit_is_found_at_once
                what_was_brought_over_is_found
                $($any)*;
            durable:
                the_answer_is_the_same_after_a_restart;
            absent: $($absent)*;
        }
    };
}

/// An index with a search over it.
#[derive(Clone, Debug)]
pub struct Searched {
    index: Arc<dyn Index>,
    search: Arc<dyn Search>,
}

/// Index and search as the tests use them.
pub fn share((index, search): (impl Index, impl Search)) -> Arc<Searched> {
    Arc::new(Searched { index: Arc::new(index), search: Arc::new(search) })
}

impl Searched {
    async fn create(&self, (record, change): Transition) -> CrateRecord {
        self.index.commit(None, &change, &record).await.unwrap();
        record
    }

    async fn replace(&self, (next, change): Transition) -> CrateRecord {
        let stored =
            self.index.load(&next.name().canonical(), None).await.unwrap().found().unwrap();
        self.index.commit(Some(&stored.revision), &change, &next).await.unwrap();
        next
    }

    async fn create_all(&self, names: &[&str]) {
        for name in names {
            self.create(first(name, "1.0.0")).await;
        }
    }

    async fn page(&self, text: &str, offset: usize, limit: usize) -> SearchPage {
        let limit = NonZeroUsize::new(limit).unwrap();
        self.search.search(&SearchQuery::new(text, offset, limit).unwrap()).await.unwrap()
    }

    async fn assert_finds(&self, text: &str, names: &[&str]) {
        let page = self.page(text, 0, 100).await;
        let found: Vec<_> = page.crates.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(found, names, "{text:?}");
        assert_eq!(page.total, names.len(), "{text:?}");
    }
}

fn described(name: &str, description: &str, keywords: &[&str]) -> Transition {
    let about = About {
        description: Some(description.into()),
        keywords: keywords.iter().map(ToString::to_string).collect(),
        ..About::default()
    };
    let release = release(name, "1.0.0");
    CrateRecord::first(self::name(name), alice(), about, release, Origin::default())
}

pub async fn an_empty_registry_has_nothing_to_find(bench: Bench<Searched>) {
    let registry = bench.open().await;
    for text in ["", "foo"] {
        assert_eq!(registry.page(text, 0, 10).await, SearchPage::default());
    }
}

pub async fn names_are_ranked(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry
        .create_all(&["z-foo", "foo_b", "barfoo", "foo", "Foo-A", "fo", "foobar", "a-foo", "bar"])
        .await;
    let ranked = ["foo", "Foo-A", "foo_b", "foobar", "a-foo", "z-foo"];
    registry.assert_finds("foo", &ranked).await;
    registry.assert_finds("bar", &["bar", "barfoo"]).await;
    registry.assert_finds("f", &["fo", "foo", "Foo-A", "foo_b", "foobar", "a-foo", "z-foo"]).await;
    registry.assert_finds("b", &["bar", "barfoo", "foo_b"]).await;
    for text in ["oba", "oo", "foobarfoo"] {
        registry.assert_finds(text, &[]).await;
    }
}

pub async fn a_name_is_found_by_each_of_its_words(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create_all(&["web-server-core", "Core_Web", "server", "webcore2"]).await;
    for text in ["core web", "WEB core", "co we", "web, (core)"] {
        registry.assert_finds(text, &["Core_Web", "web-server-core"]).await;
    }
    registry.assert_finds("web serv", &["web-server-core"]).await;
    registry.assert_finds("server web", &["web-server-core"]).await;
    registry.assert_finds("server server", &["server", "web-server-core"]).await;
    registry.assert_finds("web 2", &[]).await;
    registry.assert_finds("web nothing", &[]).await;
}

pub async fn spellings_of_a_name_are_alike(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create_all(&["Foo-Bar", "foo_bar_baz", "my-FOO-bar"]).await;
    for text in ["foo-bar", "foo_bar", "FOO-BAR", "Foo_Bar", "  foo-bar\t", "foo-", "foo_b"] {
        registry.assert_finds(text, &["Foo-Bar", "foo_bar_baz", "my-FOO-bar"]).await;
    }
    registry.assert_finds("r_baz", &[]).await;
    registry.assert_finds("foobar", &[]).await;
}

pub async fn empty_text_finds_every_crate(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create_all(&["b", "A", "c-1", "c_2", "C"]).await;
    for text in ["", "   "] {
        registry.assert_finds(text, &["A", "b", "C", "c-1", "c_2"]).await;
    }
}

pub async fn text_without_a_word_finds_nothing(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create_all(&["foo", "x-y"]).await;
    for text in ["!!", "_", "-", "- _", "%", "'", "\"", "\"\"", "\\", "*", "🦀", "\0", "\u{301}"]
    {
        registry.assert_finds(text, &[]).await;
    }
}

/// What a database, a pattern or a query language would read something into, and what has a word
/// in it that is not found.
const SPECIAL: [&str; 13] = [
    "f%o",
    "f_o",
    "f?o",
    "\\_f x",
    "fo\"o",
    "' or 1=1 --",
    "foo OR bar",
    "foo NOT baz",
    "NEAR(foo foo)",
    "name : foo",
    "{name} : foo",
    "foo | bar",
    "foo <-> bar",
];

pub async fn text_is_literal(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create_all(&["foo", "bar"]).await;
    for text in SPECIAL {
        registry.assert_finds(text, &[]).await;
    }
    // Nothing but the word counts.
    for text in ["f*", "^f", "%foo%", "\"foo", "-foo", "foo-", "foo:*", "!foo", "(foo", "foo\0"] {
        registry.assert_finds(text, &["foo"]).await;
    }
    let longest = "f".repeat(SearchQuery::MAX_CHARS);
    registry.assert_finds(&longest, &[]).await;
    let most_words = "f ".repeat(SearchQuery::MAX_CHARS / 2);
    registry.assert_finds(&most_words, &["foo"]).await;
    let unlike_words: String =
        ('一'..).take(SearchQuery::MAX_CHARS / 2).flat_map(|c| [c, ' ']).collect();
    registry.assert_finds(&unlike_words, &[]).await;
    registry.assert_finds("größe 🦀", &[]).await;
}

pub async fn pages_are_parts_of_one_answer(bench: Bench<Searched>) {
    let registry = bench.open().await;
    let names: Vec<String> = (10..35).map(|i| format!("crate{i}")).collect();
    for name in names.iter().rev() {
        registry.create(first(name, "1.0.0")).await;
    }
    registry.create_all(&["other"]).await;
    for limit in [1, 7, 24, 25, 26, 100] {
        let mut found: Vec<String> = Vec::new();
        while found.len() < names.len() {
            let page = registry.page("crate", found.len(), limit).await;
            assert_eq!(page.total, names.len());
            assert_eq!(page.crates.len(), limit.min(names.len() - found.len()));
            found.extend(page.crates.iter().map(|found| found.name.as_str().to_owned()));
        }
        assert_eq!(found, names, "limit {limit}");
    }
    let behind = SearchPage { crates: vec![], total: names.len() };
    assert_eq!(registry.page("crate", 25, 10).await, behind);
    assert_eq!(registry.page("crate", SearchQuery::MAX_OFFSET, 10).await, behind);
}

pub async fn crates_without_a_published_version_are_left_out(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create_all(&["foo-a", "foo-b", "foo-c"]).await;
    let a = registry.replace(set_yanked(&first("foo-a", "1.0.0").0, "1.0.0", true)).await;
    registry.assert_finds("foo-a", &[]).await;
    registry.assert_finds("foo", &["foo-b", "foo-c"]).await;
    registry.assert_finds("", &["foo-b", "foo-c"]).await;
    let page = registry.page("foo", 1, 1).await;
    assert_eq!((page.crates[0].name.as_str(), page.total), ("foo-c", 2));

    registry.replace(set_yanked(&a, "1.0.0", false)).await;
    registry.assert_finds("foo", &["foo-a", "foo-b", "foo-c"]).await;
}

pub async fn the_highest_version_is_shown(bench: Bench<Searched>) {
    let registry = bench.open().await;
    let mut record = registry.create(described("Foo", "of foo", &[])).await;
    let shown = async || {
        let mut page = registry.page("foo", 0, 1).await;
        page.crates.pop().unwrap()
    };
    for (version, highest) in [
        ("1.0.0-rc.1", "1.0.0"),
        ("0.9.0", "1.0.0"),
        ("1.10.0", "1.10.0"),
        ("1.9.0", "1.10.0"),
        ("2.0.0-rc.2", "2.0.0-rc.2"),
        ("2.0.0-rc.10+b.1", "2.0.0-rc.10+b.1"),
    ] {
        record = registry.replace(publish(&record, version)).await;
        assert_eq!(
            shown().await,
            FoundCrate {
                name: name("Foo"),
                max_version: highest.parse().unwrap(),
                description: Some("of foo".into()),
            }
        );
    }
    for (yanked, highest) in [("2.0.0-rc.10+b.1", "2.0.0-rc.2"), ("1.10.0", "2.0.0-rc.2")] {
        record = registry.replace(set_yanked(&record, yanked, true)).await;
        assert_eq!(shown().await.max_version.to_string(), highest);
    }
    registry.replace(set_yanked(&record, "2.0.0-rc.2", true)).await;
    assert_eq!(shown().await.max_version.to_string(), "1.9.0");
}

pub async fn a_commit_is_found_at_once(bench: Bench<Searched>) {
    let registry = bench.open().await;
    for i in 0..10 {
        let record = registry.create(first(&format!("foo{i}"), "1.0.0")).await;
        assert_eq!(registry.page("foo", 0, 100).await.total, i + 1);
        let record = registry.replace(publish(&record, "1.0.1")).await;
        let page = registry.page(record.name().as_str(), 0, 1).await;
        assert_eq!(page.crates[0].max_version.to_string(), "1.0.1");
        let stamp = stamp();
        let bob = super::record_fixture::owner(2, "bob");
        registry.replace(record.add_owners(&[bob], stamp).unwrap().unwrap()).await;
        assert_eq!(registry.page("foo", 0, 100).await.total, i + 1);
    }
}

pub async fn what_was_brought_over_is_found(bench: Bench<Searched>) {
    let registry = bench.open().await;
    let source = publish(&first("Foo-Bar", "1.0.0").0, "1.1.0").0;
    let record = registry.create(source.imported(stamp())).await;
    let shown = async || registry.page("foo", 0, 10).await.crates.pop().unwrap().max_version;
    assert_eq!(shown().await.to_string(), "1.1.0");

    // What came since comes all at once: a yank, and a version that is no higher.
    let source = set_yanked(&publish(&record, "0.9.0").0, "1.1.0", true).0;
    let step = record.follow(&source, stamp()).unwrap().unwrap();
    let record = registry.replace(step).await;
    assert_eq!(shown().await.to_string(), "1.0.0");
    let source = set_yanked(&set_yanked(&record, "1.0.0", true).0, "0.9.0", true).0;
    let step = record.follow(&source, stamp()).unwrap().unwrap();
    registry.replace(step).await;
    registry.assert_finds("foo", &[]).await;
}

pub async fn words_are_found_in_description_and_keywords(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create(described("alpha", "Reads JSON files quickly", &["parser", "no-std"])).await;
    registry.create(described("beta", "Writes files", &["json", "encoding"])).await;
    registry.assert_finds("json", &["alpha", "beta"]).await;
    registry.assert_finds("files", &["alpha", "beta"]).await;
    registry.assert_finds("parser", &["alpha"]).await;
    registry.assert_finds("no-std", &["alpha"]).await;
    registry.assert_finds("enco", &["beta"]).await;
    registry.assert_finds("yaml", &[]).await;
}

pub async fn words_are_found_in_any_order_and_case(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create(described("alpha", "Reads JSON files quickly", &["Parser"])).await;
    registry.create(described("beta", "Größe einer ÄNDERUNG", &[])).await;
    for text in ["files json", "PARSER reads", "alpha quickly", "json json", "Json   FILES"] {
        registry.assert_finds(text, &["alpha"]).await;
    }
    registry.assert_finds("json größe", &[]).await;
    registry.assert_finds("änderung GRÖSSE", &[]).await;
    registry.assert_finds("änderung GRÖßE", &["beta"]).await;
}

pub async fn words_are_found_by_how_they_begin(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create(described("alpha", "Reads JSON5 quickly", &["no-std"])).await;
    for text in ["r", "read", "quick jso", "json5", "st no", "s", "alp rea"] {
        registry.assert_finds(text, &["alpha"]).await;
    }
    // Not by another part of it, nor as one with what stands beside it.
    for text in ["eads", "5", "readsjson5", "nostd", "std no-x", "reads-x"] {
        registry.assert_finds(text, &[]).await;
    }
}

pub async fn words_of_any_script_are_split_alike(bench: Bench<Searched>) {
    let registry = bench.open().await;
    // Letters of many ages and kinds, with numbers that are no digits, combining marks, and what
    // changes its length in lower case.
    registry.create(described("cjk", "日本語のテスト、東京", &[])).await;
    registry.create(described("dotted", "İstanbul", &[])).await;
    registry.create(described("marks", "re\u{301}sume\u{301} naïve", &[])).await;
    registry.create(described("nul", "left\0right", &[])).await;
    registry.create(described("numbers", "x² Ⅷth Ⓐb 𝟙st", &[])).await;
    registry.create(described("scripts", "𞤀𞤣𞤤 Ꭰꭰ ῾Ελλάς 한국어 हिन्दी", &[])).await;
    for (text, found) in [
        ("日本", "cjk"),
        ("東京", "cjk"),
        ("İSTAN", "dotted"),
        ("stan", "dotted"),
        ("naïve", "marks"),
        ("re\u{301}su", "marks"),
        ("right", "nul"),
        ("left\0r", "nul"),
        ("x²", "numbers"),
        ("ⅷ", "numbers"),
        ("ⓐB", "numbers"),
        ("𝟙", "numbers"),
        ("𞤢𞤣", "scripts"),
        ("Ꭰꭰ", "scripts"),
        ("ελλά", "scripts"),
        ("한국", "scripts"),
        ("हिन्दी", "scripts"),
    ] {
        registry.assert_finds(text, &[found]).await;
    }
    for text in ["本", "naive", "ré", "x2", "ελλα", "ab", "1s"] {
        registry.assert_finds(text, &[]).await;
    }
}

pub async fn words_rank_behind_names(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create(described("aaa", "uses json", &[])).await;
    registry.create(described("my-json", "x", &[])).await;
    registry.create(described("json-x", "x", &[])).await;
    registry.create(described("zzz", "x", &["json"])).await;
    registry.create(described("json", "json", &["json"])).await;
    registry.assert_finds("json", &["json", "json-x", "aaa", "my-json", "zzz"]).await;
    registry.assert_finds("json x", &["json-x", "my-json", "zzz"]).await;
}

pub async fn words_are_those_of_the_highest_version(bench: Bench<Searched>) {
    let registry = bench.open().await;
    let record = registry.create(described("foo", "old words", &["ancient"])).await;
    let about = |text: &str| super::record_fixture::about(text);
    let newer = record
        .publish(record.name(), about("new"), release("foo", "2.0.0"), Origin::default())
        .unwrap();
    let record = registry.replace(newer).await;
    registry.assert_finds("new", &["foo"]).await;
    registry.assert_finds("old", &[]).await;
    registry.assert_finds("ancient", &[]).await;
    let patch =
        record.publish(record.name(), about("patch"), release("foo", "1.0.1"), Origin::default());
    registry.replace(patch.unwrap()).await;
    registry.assert_finds("new", &["foo"]).await;
    registry.assert_finds("patch", &[]).await;
}

pub async fn words_that_were_brought_over_are_found(bench: Bench<Searched>) {
    let registry = bench.open().await;
    let brought = |description: &str, keywords: &[&str]| described("foo", description, keywords).0;
    let source = brought("old words", &["ancient"]);
    let record = registry.create(source.imported(stamp())).await;
    registry.assert_finds("old anc", &["foo"]).await;
    let source = brought("new words", &[]);
    registry.replace(record.follow(&source, stamp()).unwrap().unwrap()).await;
    registry.assert_finds("new", &["foo"]).await;
    registry.assert_finds("old", &[]).await;
    registry.assert_finds("ancient", &[]).await;
}

pub async fn words_are_literal(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create(described("plain", "foo with zest", &["f1"])).await;
    for text in SPECIAL {
        registry.assert_finds(text, &[]).await;
    }
    registry.create(described("special", r#"100% of "a_b" 'c' \d *?^[x]"#, &["k%w"])).await;
    for text in ["100%", "a_b", "b-a", "\"a", "'c'", r"\d", "[x]", "k%w", "w % \"k", "o* ^1"] {
        registry.assert_finds(text, &["special"]).await;
    }
    for text in ["00%", "ab", "kw"] {
        registry.assert_finds(text, &[]).await;
    }
}

pub async fn the_answer_is_the_same_after_a_restart(bench: Bench<Searched>) {
    let registry = bench.open().await;
    registry.create_all(&["foo", "Foo-Bar", "other"]).await;
    let record = registry.replace(publish(&first("foo", "1.0.0").0, "1.1.0")).await;
    registry.replace(set_yanked(&record, "1.1.0", true)).await;
    let before = registry.page("foo", 0, 10).await;
    assert_eq!(before.total, 2);
    drop(registry);
    let registry = bench.open().await;
    assert_eq!(registry.page("foo", 0, 10).await, before);
    registry.create_all(&["foo2"]).await;
    registry.assert_finds("foo", &["foo", "foo2", "Foo-Bar"]).await;
}

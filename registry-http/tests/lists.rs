//! Lists of crates and of versions.

mod common;

use std::collections::BTreeSet;

use common::{Answer, Fixture, PUBLISHED};
use registry_core::{
    CrateRecord, Index as _,
    conformance::record_fixture::{line, name, owner, release, set_yanked},
    record::{About, Origin, ReleaseRecord, ReleaseState, Timestamp},
};
use serde_json::{Value, json};

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn names(page: &Value) -> Vec<String> {
    let crates = page["crates"].as_array().unwrap();
    crates.iter().map(|each| each["name"].as_str().unwrap().to_owned()).collect()
}

const CRATES: u64 = 1000;

/// `crate-0000` to `crate-0999`, of which the last is the newest and each tenth is yanked.
async fn a_thousand_crates() -> Fixture {
    let registry = Fixture::public().await;
    for number in 0..CRATES {
        let spelling = format!("crate-{number:04}");
        let published_at = Timestamp(1_700_000_000 + number);
        let release = ReleaseRecord { published_at, ..release(&spelling, "1.0.0") };
        let alice = owner(1, "alice");
        let (mut record, mut change) = CrateRecord::first(
            name(&spelling),
            alice,
            About::default(),
            release,
            Origin::default(),
        );
        let revision = registry.index.commit(None, &change, &record).await.unwrap();
        if number % 10 == 0 {
            (record, change) = set_yanked(&record, "1.0.0", true);
            registry.index.commit(Some(&revision), &change, &record).await.unwrap();
        }
    }
    registry
}

/// Follows `next_page` to the end.
async fn pages(registry: &Fixture, query: &str) -> Vec<Value> {
    let mut pages = vec![];
    let mut next = Some(query.to_owned());
    while let Some(query) = next {
        let page = json_of(&registry.get(&format!("/api/v1/crates{query}")).await);
        next = page["meta"]["next_page"].as_str().map(str::to_owned);
        pages.push(page);
        assert!(pages.len() <= 1000, "there is no end");
    }
    pages
}

#[tokio::test]
async fn a_thousand_crates_are_paged_through_without_gap_or_repeat() {
    let registry = a_thousand_crates().await;
    let sorted: Vec<String> = (0..CRATES).map(|number| format!("crate-{number:04}")).collect();
    for (query, per_page) in
        [("", 10), ("?per_page=7", 7), ("?sort=alphabetical&per_page=100", 100)]
    {
        let pages = pages(&registry, query).await;
        assert_eq!(pages.len(), 1000_usize.div_ceil(per_page), "{query}");
        assert!(pages.iter().all(|page| page["meta"]["total"] == 1000));
        let listed: Vec<String> = pages.iter().flat_map(names).collect();
        assert_eq!(listed, sorted, "{query}");
    }
    let newest: Vec<String> =
        pages(&registry, "?sort=new&per_page=99").await.iter().flat_map(names).collect();
    assert_eq!(newest, sorted.iter().rev().cloned().collect::<Vec<_>>());

    // The pages before lead back.
    let page = json_of(&registry.get("/api/v1/crates?page=3&per_page=10&x=%20").await);
    let meta = json!({
        "total": 1000,
        "next_page": "?per_page=10&x=%20&page=4",
        "prev_page": "?per_page=10&x=%20&page=2",
    });
    assert_eq!(page["meta"], meta);
    let last = json_of(&registry.get("/api/v1/crates?page=100").await);
    let meta = json!({"total": 1000, "next_page": null, "prev_page": "?page=99"});
    assert_eq!(last["meta"], meta);
}

#[tokio::test]
async fn lists_are_filtered_by_prefix_and_status() {
    let registry = a_thousand_crates().await;
    let yanked: BTreeSet<String> =
        (0..CRATES).step_by(10).map(|number| format!("crate-{number:04}")).collect();
    let listed: BTreeSet<String> =
        pages(&registry, "?status=yanked&sort=new").await.iter().flat_map(names).collect();
    assert_eq!(listed, yanked);
    for (query, first, total) in [
        ("prefix=crate-09", Some("crate-0900"), 100),
        ("prefix=CRATE_09&sort=new", Some("crate-0999"), 100),
        ("prefix=crate-09&status=yanked", Some("crate-0900"), 10),
        ("prefix=crate-09&status=published", Some("crate-0901"), 90),
        ("prefix=crate-0999", Some("crate-0999"), 1),
        ("prefix=crate-1", None, 0),
        ("prefix=%2F", None, 0),
        ("status=unlisted", None, 0),
        ("page=20000", None, 1000),
    ] {
        let page = json_of(&registry.get(&format!("/api/v1/crates?{query}")).await);
        assert_eq!(page["meta"]["total"], total, "{query}");
        assert_eq!(names(&page).first().map(String::as_str), first, "{query}");
    }
}

#[tokio::test]
async fn what_a_list_cannot_be_is_refused_with_what_it_can() {
    let registry = Fixture::public().await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    let (crates, versions) = ("/api/v1/crates", "/api/v1/crates/foo/versions");
    let statuses = "`status` must be one of `published`, `yanked`, `unlisted`, `archived`, \
                    `disposed`, `deleted`";
    for (path, query, detail) in [
        (crates, "sort=downloads", "`sort` must be one of `alphabetical`, `new`: downloads"),
        (crates, "sort=", "`sort` must be one of `alphabetical`, `new`: "),
        (crates, "status=Yanked", &format!("{statuses}: Yanked")),
        (crates, "prefix=%ff", "the prefix is not UTF-8: %ff"),
        (crates, "per_page=101", "cannot request more than 100 items"),
        (crates, "per_page=0", "cannot request 0 items"),
        (crates, "page=0", "page indexing starts from 1, page 0 is invalid"),
        (crates, "page=x", "`page` is not a number: x"),
        (versions, "sort=new", "`sort` must be one of `semver`, `date`: new"),
        (versions, "status=x%1b", &format!("{statuses}: x%1b")),
        (versions, "per_page=101", "cannot request more than 100 items"),
    ] {
        registry.get(&format!("{path}?{query}")).await.assert_refused(400, detail);
    }
    let missing = registry.get("/api/v1/crates/Nothing/versions").await;
    missing.assert_refused(404, "crate `Nothing` does not exist");
}

#[tokio::test]
async fn a_crate_and_its_versions_are_shown_in_full() {
    let registry = Fixture::public().await;
    let alice = owner(1, "alice");
    let about = About {
        description: Some("finds bars".into()),
        keywords: vec!["bar".into()],
        homepage: Some("https://example.com".into()),
        ..About::default()
    };
    let release_at = |version: &str, state, at| {
        let line = line("Foo-Bar", version, state == ReleaseState::Yanked, "");
        let published_at = Timestamp(at);
        ReleaseRecord { line, state, published_at, ..release("Foo-Bar", version) }
    };
    let old = release_at("0.9.0", ReleaseState::Yanked, 0);
    let (record, change) =
        CrateRecord::first(name("Foo-Bar"), alice, about.clone(), old, Origin::default());
    let revision = registry.index.commit(None, &change, &record).await.unwrap();

    let shown = json_of(&registry.get("/api/v1/crates").await);
    assert_eq!(shown["crates"][0]["max_version"], "0.0.0");
    assert_eq!(shown["crates"][0]["yanked"], true);

    let newer = release_at("1.0.0", ReleaseState::Published, 1_709_208_000);
    let (record, change) = record.publish(record.name(), about, newer, Origin::default()).unwrap();
    registry.index.commit(Some(&revision), &change, &record).await.unwrap();

    registry.get("/api/v1/crates").await.assert_ok(concat!(
        r#"{"crates":[{"id":"Foo-Bar","name":"Foo-Bar","created_at":"1970-01-01T00:00:00Z","#,
        r#""updated_at":"2024-02-29T12:00:00Z","max_version":"1.0.0","num_versions":2,"#,
        r#""yanked":false,"description":"finds bars","keywords":["bar"],"#,
        r#""homepage":"https://example.com","documentation":null,"repository":null}],"#,
        r#""meta":{"total":1,"next_page":null,"prev_page":null}}"#,
    ));
    // The SHA-256 of `Foo-Bar-1.0.0` and of `Foo-Bar-0.9.0`, by `sha256sum`.
    let one = concat!(
        r#"{"crate":"Foo-Bar","num":"1.0.0","created_at":"2024-02-29T12:00:00Z","#,
        r#""yanked":false,"status":"published","checksum":"b4ab64977b814109b65b945da8b4cc5fc0e23a01cc04824e628cd81ec4c78901","#,
        r#""crate_size":1234,"published_by":{"login":"alice"}}"#,
    );
    let old = concat!(
        r#"{"crate":"Foo-Bar","num":"0.9.0","created_at":"1970-01-01T00:00:00Z","#,
        r#""yanked":true,"status":"yanked","checksum":"547e25f7452d473f397c81ccaced77056d6f59d13e61b7d1a53c2416ae6003a8","#,
        r#""crate_size":1234,"published_by":{"login":"alice"}}"#,
    );
    let path = "/api/v1/crates/foo_bar/versions";
    for (query, versions, total) in [
        ("", format!("{one},{old}"), 2),
        ("?sort=date", format!("{one},{old}"), 2),
        ("?status=yanked&sort=semver", old.to_owned(), 1),
        ("?status=deleted", String::new(), 0),
    ] {
        let meta = format!(r#"{{"total":{total},"next_page":null,"prev_page":null}}"#);
        let expected = format!(r#"{{"versions":[{versions}],"meta":{meta}}}"#);
        registry.get(&format!("{path}{query}")).await.assert_ok(&expected);
    }
    let second = json_of(&registry.get(&format!("{path}?per_page=1&page=2")).await);
    assert_eq!(second["versions"][0]["num"], "0.9.0");
    let meta = json!({"total": 2, "next_page": null, "prev_page": "?per_page=1&page=1"});
    assert_eq!(second["meta"], meta);
}

#[tokio::test]
async fn a_private_registry_lists_nothing_to_strangers() {
    let registry = Fixture::private().await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    for path in ["/api/v1/crates", "/api/v1/crates/foo/versions"] {
        let refused = registry.get(path).await;
        refused.assert_refused(401, "this action requires authentication");
        assert_eq!(registry.get(path).token(&registry.bob).await.status, 200);
    }
}

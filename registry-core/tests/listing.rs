//! Lists of crates and of releases: what is in them, in which order, and for whom.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, CrateRecord, Index, IndexError, Owners, Registry, RegistryConfig,
    auth::{Action, AuthError, Authorizer, Caller},
    conformance::record_fixture::{canonical, first, line, name, release, stamp},
    index::{ETag, IndexFile, Lookup, Revision, Stored},
    listing::{CrateListing, CrateSort, Listed, ReleaseListing, ReleaseSort},
    memory::{MemoryCrateStore, MemoryIndex},
    record::{About, Change, ReleaseRecord, ReleaseState, Timestamp},
    registry::ReadError,
};

fn registry(index: &MemoryIndex) -> Registry {
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    Registry::builder(config, index.clone(), MemoryCrateStore::new()).build()
}

fn all() -> CrateListing {
    let limit = NonZeroUsize::new(100).unwrap();
    CrateListing { prefix: String::new(), state: None, sort: CrateSort::Name, offset: 0, limit }
}

async fn listed(registry: &Registry, listing: CrateListing) -> (Vec<String>, usize) {
    let name = |record: &CrateRecord| record.name().to_string();
    let Listed { page, total } =
        registry.crates(&Caller::anonymous(), &listing, name).await.unwrap();
    (page, total)
}

async fn create(index: &MemoryIndex, name: &str) {
    let (record, change) = first(name, "1.0.0");
    index.commit(None, &change, &record).await.unwrap();
}

/// A crate whose releases have these states and times.
async fn create_with(index: &MemoryIndex, spelling: &str, releases: &[(&str, ReleaseState, u64)]) {
    let releases = releases.iter().map(|&(version, state, at)| {
        let line = line(spelling, version, state == ReleaseState::Yanked, "");
        let published_at = Timestamp(at);
        ReleaseRecord { line, state, published_at, ..release(spelling, version) }.into()
    });
    let (record, _) = first(spelling, "1.0.0");
    let owners = record.owners().clone();
    let record =
        CrateRecord::from_parts(name(spelling), owners, About::default(), releases.collect());
    let (record, change) = record.unwrap().imported(stamp());
    index.commit(None, &change, &record).await.unwrap();
}

#[tokio::test]
async fn no_list_is_longer_and_none_reads_more_than_was_said() {
    let index = MemoryIndex::new();
    for number in 0..20_000 {
        let kind = if number < 5_000 { "some" } else { "rest" };
        create(&index, &format!("{kind}{number:05}")).await;
    }
    create(&index, "so").await;
    let registry = registry(&index);
    // One more than are listed, so that the last is not.
    let last = CrateListing { offset: 19_999, ..all() };
    assert_eq!(listed(&registry, last).await, (vec!["some04998".to_owned()], 20_000));

    let yanked = Some(ReleaseState::Yanked);
    for (state, sort, found) in [(yanked, CrateSort::Name, 0), (None, CrateSort::New, 5_000)] {
        let of = |prefix: &str| CrateListing { prefix: prefix.into(), state, sort, ..all() };
        assert_eq!(listed(&registry, of("SOME")).await.1, found);
        let refused = registry.crates(&Caller::anonymous(), &of("so"), |_| ()).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "more than 5000 crates begin with `so`: ask for a longer `prefix`, or for no `status` \
             and no order by time",
        );
    }
}

/// An index that reads each record anew.
#[derive(Debug)]
struct Fresh(MemoryIndex);

#[async_trait]
impl Index for Fresh {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.0.index_file(name, known).await
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        let Lookup::Found(Stored { record, revision }) = self.0.load(name, known).await? else {
            return Ok(Lookup::Absent);
        };
        let releases = record.releases().iter().map(|it| ReleaseRecord::clone(it).into()).collect();
        let (name, owners) = (record.name().clone(), record.owners().clone());
        let record = CrateRecord::from_parts(name, owners, record.about().clone(), releases);
        Ok(Lookup::Found(Stored { record: record.unwrap(), revision }))
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.0.commit(expected, change, next).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.0.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.0.ready().await
    }
}

#[tokio::test]
async fn no_record_is_held_longer_than_it_is_looked_at() {
    let index = MemoryIndex::new();
    for number in 0..100 {
        create(&index, &format!("a{number}")).await;
    }
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let registry = Registry::builder(config, Fresh(index), MemoryCrateStore::new()).build();
    let seen = Mutex::new(Vec::new());
    let held = |record: &CrateRecord| {
        let mut seen = seen.lock().unwrap();
        seen.push(Arc::downgrade(&record.releases()[0]));
        seen.iter().filter(|release| release.strong_count() > 0).count()
    };
    let listed = registry.crates(&Caller::anonymous(), &all(), held).await.unwrap();
    assert_eq!(listed, Listed { page: vec![1; 100], total: 100 });
}

#[tokio::test]
async fn crates_are_listed_by_how_their_names_begin() {
    let index = MemoryIndex::new();
    for name in ["a", "Foo", "fo", "foo-bar", "Foo_Baz", "foo2", "fop", "g", "f"] {
        create(&index, name).await;
    }
    let registry = registry(&index);
    for (prefix, names) in [
        ("", &["a", "f", "fo", "Foo", "foo2", "foo-bar", "Foo_Baz", "fop", "g"][..]),
        ("f", &["f", "fo", "Foo", "foo2", "foo-bar", "Foo_Baz", "fop"]),
        ("FOO", &["Foo", "foo2", "foo-bar", "Foo_Baz"]),
        ("foo-", &["foo-bar", "Foo_Baz"]),
        ("foo_BA", &["foo-bar", "Foo_Baz"]),
        ("foo-bar", &["foo-bar"]),
        ("foo-bars", &[]),
        ("b", &[]),
        ("-", &[]),
        ("é", &[]),
        ("f ", &[]),
    ] {
        let found = listed(&registry, CrateListing { prefix: prefix.into(), ..all() }).await;
        assert_eq!((found.0.as_slice(), found.1), (&names.owned()[..], names.len()), "{prefix}");
    }
}

trait Texts {
    fn owned(&self) -> Vec<String>;
}

impl Texts for [&str] {
    fn owned(&self) -> Vec<String> {
        self.iter().map(|&text| text.to_owned()).collect()
    }
}

#[tokio::test]
async fn crates_are_chosen_by_state_and_sorted_by_their_first_publish() {
    use ReleaseState::{Archived, Published, Unlisted, Yanked};

    let index = MemoryIndex::new();
    create_with(&index, "b", &[("1.0.0", Published, 30), ("2.0.0", Yanked, 10)]).await;
    create_with(&index, "a", &[("1.0.0", Published, 20)]).await;
    create_with(&index, "d", &[("1.0.0", Yanked, 40), ("1.1.0", Unlisted, 90)]).await;
    create_with(&index, "c", &[("1.0.0", Published, 20)]).await;
    create_with(&index, "bc", &[("1.0.0", Unlisted, 50)]).await;
    let registry = registry(&index);
    let limit = NonZeroUsize::new(2).unwrap();
    for (listing, names, total) in [
        (CrateListing { state: Some(Published), ..all() }, &["a", "b", "c"][..], 3),
        (CrateListing { state: Some(Yanked), ..all() }, &["b", "d"], 2),
        (CrateListing { state: Some(Unlisted), ..all() }, &["bc", "d"], 2),
        (CrateListing { state: Some(Archived), ..all() }, &[], 0),
        (CrateListing { sort: CrateSort::New, ..all() }, &["bc", "d", "a", "c", "b"], 5),
        (CrateListing { sort: CrateSort::New, offset: 1, limit, ..all() }, &["d", "a"], 5),
        (CrateListing { sort: CrateSort::New, offset: 4, limit, ..all() }, &["b"], 5),
        (CrateListing { offset: 5, limit, ..all() }, &[], 5),
        (CrateListing { offset: usize::MAX, limit, ..all() }, &[], 5),
        (
            CrateListing {
                prefix: "b".into(),
                state: Some(Unlisted),
                sort: CrateSort::New,
                offset: 0,
                limit,
            },
            &["bc"],
            1,
        ),
    ] {
        let expected = (names.owned(), total);
        assert_eq!(listed(&registry, listing.clone()).await, expected, "{listing:?}");
    }
}

#[tokio::test]
async fn releases_are_listed_by_version_or_by_time() {
    use ReleaseState::{Deleted, Published, Yanked};

    let index = MemoryIndex::new();
    let releases = [
        ("1.0.0", Published, 30),
        ("0.10.0", Published, 40),
        ("0.9.0", Yanked, 40),
        ("1.0.0-rc.1", Deleted, 10),
    ];
    create_with(&index, "foo", &releases).await;
    let registry = registry(&index);
    let limit = NonZeroUsize::new(100).unwrap();
    let all = ReleaseListing { state: None, sort: ReleaseSort::Version, offset: 0, limit };
    for (listing, versions, total) in [
        (all.clone(), &["1.0.0", "1.0.0-rc.1", "0.10.0", "0.9.0"][..], 4),
        (
            ReleaseListing { sort: ReleaseSort::New, ..all.clone() },
            &["0.9.0", "0.10.0", "1.0.0", "1.0.0-rc.1"],
            4,
        ),
        (ReleaseListing { state: Some(Published), ..all.clone() }, &["1.0.0", "0.10.0"], 2),
        (ReleaseListing { offset: 1, limit: NonZeroUsize::MIN, ..all }, &["1.0.0-rc.1"], 4),
    ] {
        let caller = Caller::anonymous();
        let found = registry.releases(&caller, &canonical("foo"), &listing).await.unwrap();
        let shown: Vec<_> = found.page.iter().map(|r| r.version().to_string()).collect();
        assert_eq!((shown, found.total), (versions.owned(), total), "{listing:?}");
    }
}

/// Keeps crates whose names begin with `hidden` from everybody, and those with `internal` from
/// who is not logged in.
#[derive(Debug)]
struct Secrets;

#[async_trait]
impl Authorizer for Secrets {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        _: &Owners,
    ) -> Result<(), AuthError> {
        match action {
            Action::Read(name) if name.as_str().starts_with("hidden") => {
                Err(AuthError::Forbidden { reason: "it is a secret".into() })
            }
            Action::Read(name) if name.as_str().starts_with("internal") => {
                caller.principal().map(drop)
            }
            _ => Ok(()),
        }
    }

    fn hides_crates(&self) -> bool {
        true
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn crates_that_the_caller_may_not_see_are_left_out_and_not_counted() {
    let index = MemoryIndex::new();
    for name in ["a", "hidden", "internal", "z"] {
        create(&index, name).await;
    }
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let registry = Registry::builder(config, index, MemoryCrateStore::new()).authorizer(Secrets);
    let registry = registry.build();
    for sort in [CrateSort::Name, CrateSort::New] {
        let found = listed(&registry, CrateListing { sort, ..all() }).await;
        assert_eq!(found, (["a", "z"].owned(), 2));
    }
    let limit = NonZeroUsize::MIN;
    let listing = ReleaseListing { state: None, sort: ReleaseSort::New, offset: 0, limit };
    let name: CanonicalName = canonical("hidden");
    match registry.releases(&Caller::anonymous(), &name, &listing).await {
        Err(ReadError::UnknownCrate { name }) => assert_eq!(name, canonical("hidden")),
        other => panic!("{other:?}"),
    }
}

//! What opening a store finds out about it, for stores that are wrong in one way or another.
#![cfg(feature = "object-store")]

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, local::LocalFileSystem, memory::InMemory, path::Path,
};
use registry_core::{
    Index, IndexError,
    conformance::record_fixture::{canonical, first},
};
use registry_index::object::{Flaw, ObjectIndex, ObjectOpenError, ObjectTokens};

/// What a store does otherwise than it should.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    Sound,
    IgnoresIfNoneMatch,
    IgnoresIfMatch,
    IgnoresIfMatchWhereNothingIs,
    IgnoresBoth,
    RefusesEveryUpdate,
    RefusesEveryCreate,
    ShowsOldListings,
    ShowsOldObjects,
    ListsInReverse,
    FailsEveryPut,
}

#[derive(Debug)]
struct Odd {
    inner: InMemory,
    /// What was there before the newest write.
    old: Mutex<InMemory>,
    habit: Mutex<Habit>,
}

impl Odd {
    fn new(habit: Habit) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), old: Mutex::default(), habit: Mutex::new(habit) })
    }

    fn habit(&self) -> Habit {
        *self.habit.lock().unwrap()
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Odd")
    }
}

#[async_trait]
impl ObjectStore for Odd {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let is_there = self.inner.head(path).await.is_ok();
        let refusal = || Error::Precondition { path: path.to_string(), source: "as always".into() };
        let ignored = match (&options.mode, self.habit()) {
            (_, Habit::FailsEveryPut) => {
                return Err(Error::Generic { store: "Odd", source: "always".into() });
            }
            (PutMode::Create, Habit::RefusesEveryCreate)
            | (PutMode::Update(_), Habit::RefusesEveryUpdate) => return Err(refusal()),
            (PutMode::Create, Habit::IgnoresIfNoneMatch | Habit::IgnoresBoth) => true,
            (PutMode::Update(_), Habit::IgnoresIfMatch | Habit::IgnoresBoth) => true,
            (PutMode::Update(_), Habit::IgnoresIfMatchWhereNothingIs) => !is_there,
            _ => false,
        };
        if ignored {
            options.mode = PutMode::Overwrite;
        }
        *self.old.lock().unwrap() = self.inner.fork();
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if self.habit() == Habit::ShowsOldObjects {
            let old = self.old.lock().unwrap().fork();
            return old.get_opts(path, options).await;
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let list = self.inner.list(prefix);
        match self.habit() {
            Habit::ShowsOldListings => self.old.lock().unwrap().list(prefix),
            Habit::ListsInReverse => {
                let reversed = async move {
                    let mut all: Vec<_> = list.collect().await;
                    all.reverse();
                    futures_util::stream::iter(all)
                };
                futures_util::stream::once(reversed).flatten().boxed()
            }
            _ => list,
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Opens the store, as an index and for tokens, to be refused both times in the same way.
async fn refused(habit: Habit) -> (Vec<Flaw>, String) {
    let store = Odd::new(habit);
    let error = ObjectIndex::open(store.clone()).await.unwrap_err();
    let of_tokens = ObjectTokens::open(store.clone()).await.unwrap_err();
    assert_eq!(of_tokens.to_string(), error.to_string());
    let left: Vec<_> = store.inner.list(None).try_collect().await.unwrap();
    assert_eq!(left, [], "{habit:?}");
    match &error {
        ObjectOpenError::Unfit { flaws, .. } => (flaws.clone(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_store_that_ignores_or_misjudges_conditions_is_refused() {
    for (habit, flaws, message) in [
        (
            Habit::IgnoresIfNoneMatch,
            vec![Flaw::IgnoresIfAbsent],
            "Odd cannot keep an index: it replaces an object that was only to be created (it \
             ignores `If-None-Match: *`), so that a crate could be taken twice; use a store, or a \
             version of this one, that heeds it",
        ),
        (
            Habit::IgnoresIfMatch,
            vec![Flaw::IgnoresIfUnchanged, Flaw::UpdatesAbsent],
            "Odd cannot keep an index: it replaces an object that has changed (it ignores \
             `If-Match`), so that releases would be lost; use a store, or a version of this one, \
             that heeds it; it creates an object that was only to be replaced (it ignores \
             `If-Match` where nothing is), so that what was removed could return; use a store, or \
             a version of this one, that heeds it",
        ),
        (
            Habit::IgnoresIfMatchWhereNothingIs,
            vec![Flaw::UpdatesAbsent],
            "Odd cannot keep an index: it creates an object that was only to be replaced (it \
             ignores `If-Match` where nothing is), so that what was removed could return; use a \
             store, or a version of this one, that heeds it",
        ),
        (
            Habit::RefusesEveryCreate,
            vec![Flaw::RefusesCreate],
            "Odd cannot keep an index: it refuses to create an object that is not there \
             (`If-None-Match: *`); use a store, or a version of this one, that has conditional \
             writes",
        ),
        (
            Habit::RefusesEveryUpdate,
            vec![Flaw::RefusesUpdate],
            "Odd cannot keep an index: it refuses to replace an object that has not changed \
             (`If-Match` with the ETag that it gave itself), so that no crate could have a second \
             release; use a store, or a version of this one, that takes its own ETags",
        ),
        (
            Habit::ShowsOldListings,
            vec![Flaw::StaleListing],
            "Odd cannot keep an index: a listing does not show the writes before it; use a store \
             whose listings are consistent",
        ),
        (
            Habit::ShowsOldObjects,
            vec![Flaw::StaleRead],
            "Odd cannot keep an index: a read does not show the write before it; turn off the \
             cache in front of it",
        ),
        (
            Habit::ListsInReverse,
            vec![Flaw::Unordered],
            "Odd cannot keep an index: a listing is not in the order of the keys (as with S3 \
             directory buckets); use a general purpose bucket",
        ),
    ] {
        assert_eq!(refused(habit).await, (flaws, message.to_owned()), "{habit:?}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let (flaws, _) = refused(Habit::IgnoresBoth).await;
    let expected = [Flaw::IgnoresIfAbsent, Flaw::IgnoresIfUnchanged, Flaw::UpdatesAbsent];
    assert_eq!(flaws, expected);
}

#[tokio::test]
async fn a_folder_is_refused_and_its_backend_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let error = ObjectIndex::open(store.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{store} cannot keep an index: it has no conditional writes, or they are switched off; \
             a folder is kept by the `fs` backend"
        )
    );
    assert_eq!(store.list(None).try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn a_store_that_fails_is_not_called_unfit() {
    let error = ObjectIndex::open(Odd::new(Habit::FailsEveryPut)).await.unwrap_err();
    assert_eq!(error.to_string(), "Odd cannot be read and written");
    assert!(matches!(error, ObjectOpenError::Failed { .. }));
}

#[tokio::test]
async fn a_sound_store_is_left_as_it_was() {
    let store = Arc::new(InMemory::new());
    store.put(&Path::from("probe/other"), "of somebody else".into()).await.unwrap();
    ObjectIndex::open(store.clone()).await.unwrap();
    ObjectTokens::open(store.clone()).await.unwrap();
    let left: Vec<_> =
        store.list(None).map_ok(|object| object.location).try_collect().await.unwrap();
    assert_eq!(left, [Path::from("probe/other")]);
}

#[tokio::test]
async fn a_listing_that_loses_its_order_fails_and_passes_over_nothing() {
    let store = Odd::new(Habit::Sound);
    let index = ObjectIndex::open(store.clone()).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        let (record, change) = first(name, "1.0.0");
        index.commit(None, &change, &record).await.unwrap();
    }
    let limit = NonZeroUsize::new(2).unwrap();
    assert_eq!(index.names(None, limit).await.unwrap(), ["a", "b"].map(canonical));
    *store.habit.lock().unwrap() = Habit::ListsInReverse;
    for after in [None, Some(canonical("b"))] {
        let IndexError::Backend { backend: "object store", source } =
            index.names(after.as_ref(), limit).await.unwrap_err()
        else {
            panic!("another error")
        };
        assert_eq!(
            source.to_string(),
            "the object store does not list keys in ascending order: `records/c` comes late"
        );
    }
}

//! Files that are moved in a bucket, by a copy and a removal, while others put, mend and collect
//! them: whatever comes in between, a whole file stays readable.

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, memory::InMemory, path::Path,
};
use registry_core::{
    CrateStore, Index, StoreError,
    conformance::record_fixture as fixture,
    gc::{GcOptions, collect},
    memory::MemoryIndex,
    scrub::{Scrub, Scrubbed, quarantine},
    store::{AsideReason, CrateKey, CrateUpkeep},
};
use registry_storage::ObjectCrateStore;
use tokio::sync::Notify;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Where in a move something else happens: right before a request about the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Head,
    Copy,
    /// After the copy.
    LookAgain,
    Delete,
}

/// Halts a move, once.
#[derive(Debug, Default)]
struct Halt {
    before: Mutex<Option<Before>>,
    is_halted: Notify,
    go_on: Notify,
}

impl Halt {
    async fn at(&self, path: &Path, request: Before) {
        let is_meant = !path.as_ref().starts_with("aside/")
            && self.before.lock().unwrap().take_if(|before| *before == request).is_some();
        if is_meant {
            self.is_halted.notify_one();
            self.go_on.notified().await;
        }
    }
}

/// A bucket in memory that takes its time to copy.
#[derive(Clone, Debug, Default)]
struct Bucket {
    inner: Arc<InMemory>,
    halt: Arc<Halt>,
    copy_takes: Duration,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bucket")
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if options.head {
            self.halt.at(path, Before::Head).await;
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let halt = self.halt.clone();
        let paths = paths.and_then(move |path| {
            let halt = halt.clone();
            async move {
                halt.at(&path, Before::Delete).await;
                Ok(path)
            }
        });
        self.inner.delete_stream(paths.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.halt.at(from, Before::Copy).await;
        tokio::time::sleep(self.copy_takes).await;
        self.inner.copy_opts(from, to, options).await?;
        self.halt.at(from, Before::LookAgain).await;
        Ok(())
    }
}

struct Scene {
    bucket: Bucket,
    store: ObjectCrateStore,
    index: MemoryIndex,
    key: CrateKey,
    content: Bytes,
}

impl Scene {
    /// A file that a line names, or is going to, and nothing in its place.
    fn new() -> Self {
        Self::copying_for(Duration::ZERO)
    }

    fn copying_for(copy_takes: Duration) -> Self {
        let bucket = Bucket { copy_takes, ..Bucket::default() };
        let (name, version) = (fixture::name("foo"), fixture::version("1.0.0"));
        let checksum = fixture::checksum("foo", "1.0.0");
        Self {
            store: ObjectCrateStore::new(Arc::new(bucket.clone())),
            bucket,
            index: MemoryIndex::new(),
            key: CrateKey { name, version, checksum },
            content: Bytes::from("foo-1.0.0"),
        }
    }

    async fn put(&self) {
        self.store.put(&self.key, self.content.clone().into()).await.unwrap();
    }

    async fn put_damaged(&self) {
        self.store.put(&self.key, Bytes::from("foo-1.0.1").into()).await.unwrap();
    }

    async fn commit(&self) {
        let (record, change) = fixture::first("foo", "1.0.0");
        self.index.commit(None, &change, &record).await.unwrap();
    }

    fn indexes(&self) -> [Arc<dyn Index>; 1] {
        [Arc::new(self.index.clone())]
    }

    /// Lets a move go on until before a request, does something else, and lets it come to its end.
    async fn interrupt<T>(
        &self,
        moving: impl Future<Output = T>,
        before: Before,
        meanwhile: impl AsyncFnOnce(),
    ) -> T {
        *self.bucket.halt.before.lock().unwrap() = Some(before);
        let mut moving = pin!(moving);
        tokio::select! {
            biased;
            _ = &mut moving => panic!("it did not come to {before:?}"),
            () = self.bucket.halt.is_halted.notified() => {}
        }
        meanwhile().await;
        self.bucket.halt.go_on.notify_one();
        moving.await
    }

    async fn read(&self) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(&self.key, None).await? {
            Some(file) => file.bytes().await.map(Some),
            None => Ok(None),
        }
    }

    async fn assert_readable(&self) {
        assert_eq!(self.read().await.unwrap(), Some(self.content.clone()));
    }

    async fn scrub(&self, now: SystemTime) -> Scrubbed {
        let scrub = Scrub::new(self.store.clone(), self.indexes()).with_quarantine().at(now);
        scrub.run(|_, _| {}).await.unwrap()
    }

    async fn aside(&self) -> Vec<AsideReason> {
        let reasons = self.store.list_aside().map_ok(|entry| entry.reason);
        let mut reasons: Vec<_> = reasons.try_collect().await.unwrap();
        reasons.sort();
        reasons
    }

    /// The file is in its place, and nothing else is left, once all moves are long over.
    async fn assert_settles(&self) {
        self.assert_readable().await;
        let in_two_hours = SystemTime::now() + 2 * HOUR;
        self.scrub(in_two_hours).await;
        // The clock of the store stands still, so that the first one's put is in doubt again.
        self.scrub(in_two_hours).await;
        assert_eq!(self.aside().await, []);
        let listed: Vec<_> = self.store.list().map_ok(|it| it.key).try_collect().await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&self.key));
        self.assert_readable().await;
        assert_eq!(self.scrub(in_two_hours).await.wrong, 0);
    }
}

/// The collector has copied it, and is about to remove it, when a line comes to name it and a scrub
/// comes by.
#[tokio::test]
async fn a_scrub_leaves_a_young_entry_to_a_collector_that_is_still_at_it() {
    for reason in [AsideReason::Unnamed, AsideReason::Damaged] {
        let scene = Scene::new();
        scene.put().await;
        let moved = scene.store.set_aside(&scene.key, reason);
        let scrub = async || {
            scene.commit().await;
            scene.scrub(SystemTime::now()).await;
        };
        scene.interrupt(moved, Before::Delete, scrub).await.unwrap();
        assert_eq!(scene.aside().await, [reason]);
        if reason == AsideReason::Damaged {
            // Not lost, and healed by the next one.
            assert!(matches!(scene.read().await, Err(StoreError::Quarantined { .. })));
            scene.scrub(SystemTime::now()).await;
        }
        scene.assert_settles().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_took_long_to_copy_is_not_removed() {
    const MINUTE: Duration = Duration::from_secs(60);
    for (minutes, is_moved) in [(4, true), (6, false)] {
        let scene = Scene::copying_for(minutes * MINUTE);
        scene.put().await;
        let moved = scene.store.set_aside(&scene.key, AsideReason::Unnamed).await;
        scene.assert_readable().await;
        let listed = scene.store.list().try_collect::<Vec<_>>().await.unwrap().len();
        assert_eq!((moved.is_ok(), listed), (is_moved, usize::from(!is_moved)), "{minutes}");
        assert_eq!(scene.aside().await.len(), usize::from(is_moved), "{minutes}");
        if let Err(error) = moved {
            let StoreError::Backend { source, .. } = error else { panic!("{error:?}") };
            let reason = source.source().unwrap().to_string();
            assert_eq!(reason, "copying the file took 360 s, limit 300 s: it stays");
        }
    }
}

/// A copy that is damaged is no way back to a whole file that is removed in its favour.
#[tokio::test]
async fn a_file_that_is_repaired_while_it_is_put_aside_stays_readable() {
    for reason in [AsideReason::Damaged, AsideReason::Unnamed] {
        for before in [Before::Copy, Before::LookAgain, Before::Delete] {
            let scene = Scene::new();
            scene.commit().await;
            scene.put_damaged().await;
            let moved = scene.store.set_aside(&scene.key, reason);
            scene.interrupt(moved, before, async || scene.put().await).await.unwrap();
            scene.assert_settles().await;
        }
    }
}

#[tokio::test]
async fn a_file_that_is_repaired_right_before_it_is_put_aside_is_put_again() {
    let scene = Scene::new();
    scene.commit().await;
    scene.put_damaged().await;
    let moved = quarantine(&scene.store, &scene.key);
    let is_aside = scene.interrupt(moved, Before::Head, async || scene.put().await).await;
    assert!(!is_aside.unwrap());
    scene.assert_settles().await;
}

/// A publish has stored the bytes anew, and committed, while a collector moves the damaged ones
/// that an earlier one has left.
#[tokio::test]
async fn a_publish_over_a_damaged_orphan_keeps_its_file() {
    let scene = Scene::new();
    let (other, change) = fixture::first("other", "1.0.0");
    scene.index.commit(None, &change, &other).await.unwrap();
    scene.put_damaged().await;
    let now = SystemTime::now() + 25 * HOUR;
    let options = GcOptions { now, even_most: true, ..GcOptions::new(24 * HOUR) };
    let indexes = scene.indexes();
    let collected = collect(&scene.store, &indexes, &options, |_, _| {});
    let publish = async || {
        scene.put().await;
        scene.commit().await;
    };
    scene.interrupt(collected, Before::Delete, publish).await.unwrap();
    scene.assert_readable().await;
    let later = GcOptions { now: now + 25 * HOUR, ..options };
    // Twice, as in `assert_settles`.
    for _ in 0..2 {
        collect(&scene.store, &indexes, &later, |_, _| {}).await.unwrap();
        scene.assert_readable().await;
    }
    assert_eq!(scene.aside().await, []);
}

/// Otherwise every file that is published again within an hour would be there twice.
#[tokio::test]
async fn what_is_aside_whole_is_not_put_aside_again() {
    let scene = Scene::new();
    scene.put().await;
    scene.store.set_aside(&scene.key, AsideReason::Unnamed).await.unwrap();
    scene.put().await;
    assert_eq!(scene.aside().await, [AsideReason::Unnamed]);
}

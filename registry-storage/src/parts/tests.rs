use std::{
    fs::File,
    io::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, UploadPart, memory::InMemory,
};
use registry_core::store::SpooledFile;

use super::*;

/// A store in memory that tells what was done, and whose parts end when they are told to.
#[derive(Debug)]
struct Told {
    inner: InMemory,
    log: Arc<Mutex<Vec<String>>>,
    /// Parts that may end; one that finds none waits.
    ends: Arc<Semaphore>,
    broken_part: Option<usize>,
}

impl Told {
    fn new(ends: usize, broken_part: Option<usize>) -> Self {
        let ends = Arc::new(Semaphore::new(ends));
        Self { inner: InMemory::new(), log: Arc::default(), ends, broken_part }
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until something has been done.
    async fn until(&self, line: &str) {
        while !self.log().iter().any(|logged| logged == line) {
            tokio::task::yield_now().await;
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("told")
    }
}

#[derive(Debug)]
struct ToldUpload {
    inner: Box<dyn MultipartUpload>,
    log: Arc<Mutex<Vec<String>>>,
    ends: Arc<Semaphore>,
    broken_part: Option<usize>,
    parts: AtomicUsize,
}

#[async_trait::async_trait]
impl MultipartUpload for ToldUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let number = self.parts.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(format!("part {number} of {}", data.content_length()));
        let (part, ends) = (self.inner.put_part(data), self.ends.clone());
        let broken = self.broken_part == Some(number);
        Box::pin(async move {
            ends.acquire().await.unwrap().forget();
            match broken {
                true => Err(object_store::Error::Generic { store: "told", source: "cut".into() }),
                false => part.await,
            }
        })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        self.log.lock().unwrap().push("complete".into());
        self.inner.complete().await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.log.lock().unwrap().push("abort".into());
        self.inner.abort().await
    }
}

#[async_trait::async_trait]
impl ObjectStore for Told {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.log.lock().unwrap().push(format!("put of {}", payload.content_length()));
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(path, options).await?;
        let (log, ends) = (self.log.clone(), self.ends.clone());
        let (broken_part, parts) = (self.broken_part, AtomicUsize::new(0));
        Ok(Box::new(ToldUpload { inner, log, ends, broken_part, parts }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
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
        self.inner.copy_opts(from, to, options).await
    }
}

fn body(content: &[u8]) -> (tempfile::TempDir, CrateBody) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    file.write_all(content).unwrap();
    (folder, CrateBody::spooled(SpooledFile::new(file, path)).unwrap())
}

/// Bytes in which no part is like another.
fn content(length: u64) -> Vec<u8> {
    (0..length / 8 + 1).flat_map(u64::to_le_bytes).take(length as usize).collect()
}

const UNLIMITED: usize = 1000;

#[tokio::test]
async fn a_file_is_put_at_once_up_to_the_size_of_a_part_and_in_parts_above() {
    let path = Path::from("a");
    for (length, expected) in [
        (3, &["put of 3"][..]),
        (PART_BYTES, &["put of 5242880"]),
        (PART_BYTES + 1, &["part 0 of 5242880", "part 1 of 1", "complete"]),
        (2 * PART_BYTES, &["part 0 of 5242880", "part 1 of 5242880", "complete"]),
    ] {
        let (store, content) = (Told::new(UNLIMITED, None), content(length));
        let (_folder, body) = body(&content);
        Parts::default().put(&store, &path, body).await.unwrap();
        assert_eq!(store.log(), expected);
        let stored = store.inner.get(&path).await.unwrap().bytes().await.unwrap();
        assert!(stored == content, "{length} bytes");
    }
}

#[tokio::test]
async fn what_fails_is_aborted_and_leaves_nothing() {
    let path = Path::from("a");
    let (_folder, body) = body(&content(3 * PART_BYTES));
    let store = Told::new(UNLIMITED, Some(1));
    let error = Parts::default().put(&store, &path, body).await.unwrap_err();
    assert_eq!(error.to_string(), "Generic told error: cut");
    assert_eq!(store.log().last().unwrap(), "abort");
    assert!(store.inner.get(&path).await.is_err());
}

#[tokio::test]
async fn what_is_abandoned_is_aborted() {
    let (_folder, body) = body(&content(3 * PART_BYTES));
    let (store, parts, path) = (Told::new(1, None), Parts::default(), Path::from("a"));
    tokio::select! {
        _ = parts.put(&store, &path, body) => panic!("a part is yet to end"),
        () = store.until("part 2 of 5242880") => {}
    }
    store.until("abort").await;
    assert!(store.inner.get(&path).await.is_err());
    // Nothing is held any more.
    while parts.slots.available_permits() < PARTS {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn files_together_have_a_bounded_number_of_parts_under_way() {
    let (_folder, body) = body(&content(2 * PART_BYTES));
    let (store, parts) = (Arc::new(Told::new(0, None)), Parts::default());
    let mut puts = JoinSet::new();
    for number in 0..5 {
        let (store, parts, body) = (store.clone(), parts.clone(), body.clone());
        puts.spawn(async move {
            parts.put(&*store, &Path::from(format!("{number}")), body).await.unwrap();
        });
    }
    while parts.slots.available_permits() > 0 || store.log().len() < PARTS {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.log().len(), PARTS);
    store.ends.add_permits(UNLIMITED);
    puts.join_all().await;
    let log = store.log();
    let count = |what: &str| log.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!([count("part"), count("complete"), count("abort")], [10, 5, 0]);
}

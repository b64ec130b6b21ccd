mod upkeep;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{
    GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload,
    path::Path,
};
use registry_core::{
    BoxError, CrateStore, StoreError,
    store::{BodyPlace, ByteRange, CrateBody, CrateFile, CrateKey, StoredCrate, StoredCrates},
};

use self::upkeep::Search;
#[cfg(feature = "fs")]
use crate::folder::{self, Folder, Opened};
use crate::{
    layout::{key_at, path_of},
    parts::Parts,
    redirect::Redirect,
};

/// Written to by [`CrateStore::ready`]; not the path of any key.
const PROBE: &str = "ready";

/// Crate files in an object store: a folder, memory, or a bucket.
///
/// Files of others in the same place are neither listed nor touched. Clones are handles on one
/// store.
#[derive(Clone)]
pub struct ObjectCrateStore {
    backend: &'static str,
    store: Arc<dyn ObjectStore>,
    /// The folder that the store is, into which files are put past it; there a rename is one step.
    #[cfg(feature = "fs")]
    folder: Option<Arc<Folder>>,
    parts: Parts,
    redirect: Option<Redirect>,
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    signer: Option<Arc<dyn object_store::signer::Signer>>,
}

/// The name of the store: what it prints of itself may hold its credentials.
impl fmt::Debug for ObjectCrateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectCrateStore({})", self.store)
    }
}

impl ObjectCrateStore {
    /// Keeps crate files in `store`, which has to make a file durable before its `put` returns.
    ///
    /// Wrap it in an [`object_store::prefix::PrefixStore`] to keep them in a part of it. For a bucket
    /// there is [`ObjectCrateStore::open`], which sees to the following.
    ///
    /// A file is passed on as it is read, so that a download takes as long as its reader: give a
    /// client of a bucket a `read_timeout`, and a `timeout` that no download comes to. By default
    /// the latter is 30 seconds, and cuts off whoever is slower.
    ///
    /// A body that is spooled in a file needs a tokio runtime around its put. Above 5 MiB it is put
    /// in parts, of which three are in memory at a time, those of all bodies together. An upload in
    /// parts that fails or is dropped is aborted; one that a crash cuts short leaves parts, which
    /// nobody sees, but the owner of the bucket pays for: have a lifecycle rule remove them
    /// (`AbortIncompleteMultipartUpload` of S3).
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self::of("object store", store)
    }

    /// Keeps crate files until the last clone is gone.
    #[cfg(feature = "memory")]
    pub fn memory() -> Self {
        Self::of("memory", Arc::new(object_store::memory::InMemory::new()))
    }

    fn of(backend: &'static str, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            backend,
            store,
            #[cfg(feature = "fs")]
            folder: None,
            parts: Parts::default(),
            redirect: None,
            #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
            signer: None,
        }
    }

    /// Keeps crate files below the folder `path`, which is made if it is not there, for its owner
    /// alone.
    ///
    /// A file is written beside its place, brought to disk and then renamed, so that no crash
    /// leaves a part of one; a body that is spooled in a file of the same file system is renamed
    /// without being copied, and belongs to the store from then on. What a crash left of a write
    /// more than an hour ago is removed from now on, on a thread of its own that reads every folder
    /// once: nobody waits for that, however many crates there are.
    ///
    /// If the folder goes away, as with a disk that is taken away, every call fails until it is back.
    ///
    /// Reads and writes by `tokio::task::spawn_blocking`, so it needs a tokio runtime around it.
    /// Symbolic links are followed: nobody else may be able to write to the folder.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be made or read.
    #[cfg(feature = "fs")]
    pub fn filesystem(path: impl AsRef<std::path::Path>) -> Result<Self, StoreError> {
        const BACKEND: &str = "filesystem";
        let path = path.as_ref();
        folder::create(path).map_err(|error| StoreError::failed(BACKEND, error))?;
        folder::begin_to_clean(path).map_err(|error| StoreError::failed(BACKEND, error))?;
        let store = object_store::local::LocalFileSystem::new_with_prefix(path)
            .map_err(|error| StoreError::failed(BACKEND, error))?;
        let folder = Some(Arc::new(Folder::new(path.into())));
        // The folders of what was aside go with it.
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { folder, ..Self::of(BACKEND, Arc::new(store)) })
    }

    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    pub(crate) fn of_bucket(backend: &'static str, bucket: &crate::Bucket) -> Self {
        Self { signer: Some(bucket.signer()), ..Self::of(backend, bucket.store()) }
    }

    /// Makes URLs that lead past the registry to a file in a bucket, at the path that
    /// [`path_of`] gives; `None` of a store that was not opened as a bucket.
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    pub fn signer(&self) -> Option<Arc<dyn object_store::signer::Signer>> {
        self.signer.clone()
    }

    /// Has clients read files past the registry. Default: they read through it.
    ///
    /// A file that is not in its place is still read, or refused, through the registry; to know
    /// that, each download asks the store once whether the file is there.
    #[must_use]
    pub fn with_redirect(mut self, redirect: Redirect) -> Self {
        self.redirect = Some(redirect);
        self
    }

    /// Fails if it is a folder and that is gone: then nothing is known of the files in it.
    async fn must_be_there(&self) -> Result<(), StoreError> {
        #[cfg(feature = "fs")]
        if let Some(folder) = self.folder.clone() {
            let looked = tokio::task::spawn_blocking(move || folder.must_be_there()).await;
            let looked = looked.map_err(std::io::Error::from).flatten();
            return looked.map_err(|error| self.failed(error));
        }
        Ok(())
    }

    /// A listing that fails at its end if the folder has gone: on the way, that is no error to it.
    fn complete<T>(
        &self,
        listing: impl Stream<Item = Result<T, StoreError>>,
    ) -> impl Stream<Item = Result<T, StoreError>> {
        let end = async { self.must_be_there().await.map(|()| stream::empty()) };
        listing.chain(stream::once(end).try_flatten())
    }

    async fn meta(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Opens what is at a path, or a part of it.
    async fn open_at(
        &self,
        path: &Path,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let backend = self.backend;
        #[cfg(feature = "fs")]
        if let Some(folder) = &self.folder {
            let opened = folder.open(path.as_ref(), range).await;
            let opened = opened.map_err(|error| self.failed(error))?;
            return Ok(opened.map(|Opened { size, range, modified, pieces }| {
                let body = pieces.map_err(move |error| StoreError::failed(backend, error));
                CrateFile { size, range, modified, body: Box::pin(body) }
            }));
        }
        let mut options = GetOptions::new();
        if let Some(range) = range {
            let Some(meta) = self.meta(path).await? else { return Ok(None) };
            let within = range.within(meta.size);
            if within.is_empty() {
                let (size, modified) = (meta.size, meta.last_modified.into());
                let body = Box::pin(stream::empty());
                return Ok(Some(CrateFile { size, range: within, modified, body }));
            }
            options = options.with_range(Some(GetRange::Bounded(within)));
        }
        let found = match self.store.get_opts(path, options).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let (size, range) = (found.meta.size, found.range.clone());
        let modified = found.meta.last_modified.into();
        let chunks = chunks_of(backend, found);
        let body = Box::pin(WholeFile { backend, missing: range.end - range.start, chunks });
        Ok(Some(CrateFile { size, range, modified, body }))
    }

    /// Puts an object into a bucket.
    async fn put_at(&self, path: &Path, file: CrateBody) -> Result<(), StoreError> {
        if let BodyPlace::Memory(chunks) = file.place() {
            let put = self.store.put(path, chunks.iter().cloned().collect()).await;
            return put.map(drop).map_err(|error| self.failed(error));
        }
        let put = self.parts.put(&*self.store, path, file).await;
        put.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: impl Into<BoxError>) -> StoreError {
        StoreError::failed(self.backend, error)
    }
}

#[async_trait]
impl CrateStore for ObjectCrateStore {
    /// Writes in any case: a file that is already there may belong to a put that has not yet
    /// brought it to disk, and its age is what a garbage collection goes by.
    ///
    /// In a bucket, takes two requests more, to see what is aside and that the file is there.
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        let path = path_of(key);
        #[cfg(feature = "fs")]
        if let Some(folder) = &self.folder {
            let folder = folder.clone();
            let put = move || folder.put(path.as_ref(), &file);
            // A blocking thread that has begun goes on to the end, even if nobody waits any more.
            let done = tokio::task::spawn_blocking(put).await;
            return done
                .map_err(std::io::Error::from)
                .flatten()
                .map_err(|error| self.failed(error));
        }
        let size = file.len();
        self.put_at(&path, file.clone()).await?;
        if let Some(aside) = self.refuge(key).await? {
            self.put_at(&aside, file).await?;
        }
        // What is said of a put is not always so: gateways and proxies have answered 200 with an
        // error in the body, or passed on half of a file. A line would name it for ever.
        match self.head(key).await? {
            Some(stored) if stored.size == size => Ok(()),
            _ => Err(self.failed(NotStored)),
        }
    }

    /// A part of a file takes two requests, the first of them for its length; a file that is not
    /// in its place takes two or three more.
    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let mut search = Search::of(key);
        while let Some(path) = self.next_path(&mut search).await? {
            if let Some(file) = self.open_at(&path, range).await? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        let mut search = Search::of(key);
        while let Some(path) = self.next_path(&mut search).await? {
            if let Some(ObjectMeta { size, last_modified, .. }) = self.meta(&path).await? {
                let modified = last_modified.into();
                return Ok(Some(StoredCrate { key: key.clone(), size, modified }));
            }
        }
        Ok(None)
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        let Some(redirect) = &self.redirect else { return Ok(None) };
        let path = path_of(key);
        if self.meta(&path).await?.is_none() {
            return Ok(None);
        }
        redirect.url(&path).await.map(Some).map_err(|error| self.failed(error))
    }

    fn list(&self) -> StoredCrates<'_> {
        let objects = self.store.list(None).map_err(|error| self.failed(error));
        let files = objects.try_filter_map(async |object| {
            let modified = object.last_modified.into();
            let stored = |key| StoredCrate { key, size: object.size, modified };
            Ok(key_at(&object.location).map(stored))
        });
        Box::pin(self.complete(files))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.must_be_there().await?;
        let payload = PutPayload::from_static(b"ready\n");
        let put = self.store.put(&Path::from(PROBE), payload).await;
        put.map(drop).map_err(|error| self.failed(error))
    }
}

type Chunks = BoxStream<'static, Result<Bytes, StoreError>>;

#[cfg(feature = "fs")]
fn chunks_of(backend: &'static str, found: GetResult) -> Chunks {
    match found.payload {
        object_store::GetResultPayload::File(file, _) => {
            let chunks = folder::read(file, found.range);
            chunks.map_err(move |error| StoreError::failed(backend, error)).boxed()
        }
        object_store::GetResultPayload::Stream(chunks) => {
            chunks.map_err(move |error| StoreError::failed(backend, error)).boxed()
        }
    }
}

#[cfg(not(feature = "fs"))]
fn chunks_of(backend: &'static str, found: GetResult) -> Chunks {
    found.into_stream().map_err(move |error| StoreError::failed(backend, error)).boxed()
}

/// The bytes of a file; an error where a store ends before the length it told.
struct WholeFile<S> {
    backend: &'static str,
    missing: u64,
    chunks: S,
}

#[derive(Debug, thiserror::Error)]
#[error("the length of the file is not the one it was opened with")]
struct OtherLength;

#[derive(Debug, thiserror::Error)]
#[error("the store took the file, but has not the whole of it")]
struct NotStored;

impl<S: Stream<Item = Result<Bytes, StoreError>> + Unpin> Stream for WholeFile<S> {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = std::task::ready!(self.chunks.poll_next_unpin(cx));
        let missing = match &chunk {
            None => (self.missing == 0).then_some(0),
            Some(Ok(chunk)) => self.missing.checked_sub(chunk.len() as u64),
            Some(Err(_)) => Some(0),
        };
        // Said once: what follows an error is the end.
        self.missing = missing.unwrap_or(0);
        Poll::Ready(match missing {
            Some(_) => chunk,
            None => Some(Err(StoreError::failed(self.backend, OtherLength))),
        })
    }
}

#[cfg(test)]
mod tests;

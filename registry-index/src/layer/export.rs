use std::{fmt, future::ready, hash::BuildHasher as _, num::NonZeroUsize, sync::Arc};

use async_lock::{Mutex, MutexGuard};
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path};
use registry_core::{
    BoxError, CanonicalName, CrateName, CrateRecord, ETag, Index, IndexError, IndexFile,
    RegistryConfig,
    index::{Lookup, Revision, Stored},
    record::Change,
};

/// An index that is also a tree of files, as any web server can serve it to cargo.
///
/// After each commit the crate's index file is written to an object store: a folder, a bucket behind
/// a content delivery network. `config.json` lies beside. Files of others in the same place are left
/// alone.
///
/// ```
/// # futures_util::FutureExt::now_or_never(async {
/// use std::sync::Arc;
/// use object_store::{ObjectStoreExt as _, memory::InMemory};
/// use registry_core::{RegistryConfig, memory::MemoryIndex};
/// use registry_index::layer::ExportIndex;
///
/// let tree = Arc::new(InMemory::new());
/// let config = RegistryConfig::new("https://crates.example.com")?;
/// let index = ExportIndex::new(MemoryIndex::new(), tree.clone(), &config, |failed| {
///     eprintln!("{failed}: {}", failed.source);
/// });
/// index.rebuild().await?;
/// assert!(tree.head(&"config.json".into()).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A commit returns when its file is written, too, which takes two reads of the index file besides.
/// Put caches around this index, not into it: what it reads has to be the newest.
///
/// # What a reader of the tree sees
///
/// Each file is whole and was the crate's at some time. It is the current one when a commit through
/// this index has returned, unless the export failed: then it is an older one, or none yet, until
/// the next commit of that crate, or [`ExportIndex::rebuild`]. The same holds if the commit's
/// future was dropped or its process died. A web server or a cache in front adds its own delay, so
/// whoever has just published reads from the registry, not from the tree.
///
/// Several processes may export to one tree: who has written a file looks whether the crate has
/// moved on meanwhile, and writes again. For a moment, a reader may so see a file older than the one
/// it saw before.
pub struct ExportIndex<I> {
    inner: I,
    tree: Arc<Tree>,
}

struct Tree {
    store: Arc<dyn ObjectStore>,
    config: bytes::Bytes,
    report: Box<dyn Fn(&ExportError) + Send + Sync>,
    queues: Queues,
}

impl<I> ExportIndex<I> {
    /// Exports `inner` to `store` from now on. What is in the index already, and `config.json`, is
    /// written by [`ExportIndex::rebuild`].
    ///
    /// `report` is told of each export that fails. The commit stands: it was made before.
    pub fn new(
        inner: I,
        store: Arc<dyn ObjectStore>,
        config: &RegistryConfig,
        report: impl Fn(&ExportError) + Send + Sync + 'static,
    ) -> Self {
        let (config, report) = (config.to_json(), Box::new(report));
        Self { inner, tree: Arc::new(Tree { store, config, report, queues: Queues::default() }) }
    }
}

impl<I: Index> ExportIndex<I> {
    /// How many files are on their way at once.
    const PARALLEL: usize = 16;

    /// Writes `config.json` and the file of every crate, and removes index files that no record
    /// names. May run beside commits, and again after it was interrupted.
    ///
    /// # Errors
    /// [`ExportError`] at the first file that cannot be written or removed.
    pub async fn rebuild(&self) -> Result<Rebuilt, ExportError> {
        const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
        let failed = |source: BoxError| ExportError { name: None, source };
        let config = self.tree.config.clone().into();
        let put = self.tree.store.put(&Path::from("config.json"), config).await;
        put.map_err(|error| failed(error.into()))?;

        let mut written = 0;
        let mut after = None;
        loop {
            let page = self.inner.names(after.as_ref(), PAGE).await;
            let page = page.map_err(|error| failed(error.into()))?;
            let exports = stream::iter(&page).map(|name| self.export(name));
            exports.buffer_unordered(Self::PARALLEL).try_for_each(|()| ready(Ok(()))).await?;
            written += page.len();
            if page.len() < PAGE.get() {
                break;
            }
            after = page.last().cloned();
        }

        let listed = self.tree.store.list(None).map_err(|error| failed(error.into()));
        let removed = listed
            .try_filter_map(|object| {
                ready(Ok(CrateName::from_sparse_path(object.location.as_ref())))
            })
            .map_ok(|name| self.remove_unless_current(name))
            .try_buffer_unordered(Self::PARALLEL)
            .try_fold(0, |removed, is_removed| ready(Ok(removed + usize::from(is_removed))))
            .await?;
        Ok(Rebuilt { written, removed })
    }

    async fn export(&self, name: &CanonicalName) -> Result<(), ExportError> {
        let _turn = self.tree.queues.enter(name).await;
        let written = self.write_current(name).await;
        written.map_err(|source| ExportError { name: Some(name.clone()), source })
    }

    /// Writes a crate's file until it is the current one.
    async fn write_current(&self, name: &CanonicalName) -> Result<(), BoxError> {
        let mut written = None;
        // Another process may have committed since, and this older file may have replaced its own.
        // Comes to an end, because each round takes a commit by somebody else.
        while let Lookup::Found(file) = self.inner.index_file(name, written.as_ref()).await? {
            self.tree.store.put(&path_of(&file.name), file.body.into()).await?;
            written = Some(file.etag);
        }
        Ok(())
    }

    /// Removes the file of a crate that is not there, or has another path.
    async fn remove_unless_current(&self, name: CrateName) -> Result<bool, ExportError> {
        let canonical = name.canonical();
        let _turn = self.tree.queues.enter(&canonical).await;
        let remove = async {
            if let Lookup::Found(file) = self.inner.index_file(&canonical, None).await?
                && file.name.sparse_path() == name.sparse_path()
            {
                return Ok(false);
            }
            match self.tree.store.delete(&path_of(&name)).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            // Another process may have created the crate since, and its file is what was removed.
            self.write_current(&canonical).await?;
            Ok(true)
        };
        remove.await.map_err(|source| ExportError { name: Some(canonical.clone()), source })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index> Index for ExportIndex<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.inner.index_file(name, known).await
    }

    fn try_index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Option<Lookup<IndexFile>> {
        self.inner.try_index_file(name, known)
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.inner.load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let committed = self.inner.commit(expected, change, next).await;
        // After an unknown outcome, too: the commit may have taken place, and is perhaps not made
        // again.
        if matches!(committed, Ok(_) | Err(IndexError::OutcomeUnknown { .. }))
            && let Err(failed) = self.export(&next.name().canonical()).await
        {
            (self.tree.report)(&failed);
        }
        committed
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.inner.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.inner.ready().await
    }
}

/// Clones export to one tree, each crate in turn.
impl<I: Clone> Clone for ExportIndex<I> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tree: self.tree.clone() }
    }
}

impl<I: fmt::Debug> fmt::Debug for ExportIndex<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = self.tree.store.to_string();
        f.debug_struct("ExportIndex").field("inner", &self.inner).field("tree", &tree).finish()
    }
}

/// What [`ExportIndex::rebuild`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Crates whose file was written.
    pub written: usize,
    /// Files that were removed, because no record names them.
    pub removed: usize,
}

/// A file of the tree was not written or removed.
#[derive(Debug, thiserror::Error)]
#[error("the exported index is not up to date{}", Of(name.as_ref()))]
pub struct ExportError {
    /// The crate; `None` if it is about the tree as a whole.
    pub name: Option<CanonicalName>,
    /// What the index or the object store said.
    #[source]
    pub source: BoxError,
}

struct Of<'a>(Option<&'a CanonicalName>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " about crate `{name}`"))
    }
}

fn path_of(name: &CrateName) -> Path {
    Path::from(name.sparse_path())
}

/// Lets the exports of one crate in this process follow each other, so that none overtakes a newer
/// one between its look and its write. The number of queues is fixed, so they cost nothing per
/// crate; two crates in one queue wait for each other's export.
struct Queues {
    queues: Box<[Mutex<()>]>,
    hasher: std::hash::RandomState,
}

impl Queues {
    const COUNT: u64 = 256;

    async fn enter(&self, name: &CanonicalName) -> MutexGuard<'_, ()> {
        let queue = self.hasher.hash_one(name) % Self::COUNT;
        self.queues[queue as usize].lock().await
    }
}

impl Default for Queues {
    fn default() -> Self {
        let queues = (0..Self::COUNT).map(|_| Mutex::new(())).collect();
        Self { queues, hasher: std::hash::RandomState::new() }
    }
}

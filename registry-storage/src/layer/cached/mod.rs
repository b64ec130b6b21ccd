//! [`CachedCrateStore`]: what was read from a distant store is kept on a disk nearby.

mod disk;
mod fill;
mod flight;
mod follow;
mod shelf;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use registry_core::{
    Checksum, CrateStore, StoreError,
    observer::CacheRead,
    store::{
        AsideCrate, AsideCrates, AsideReason, ByteRange, CrateBody, CrateFile, CrateKey,
        CrateUpkeep, StoredCrate, StoredCrates,
    },
};

use self::{
    disk::{Disk, Id},
    fill::{Fill, blocking},
    flight::{Failure, Growing, Lead, Progress},
    follow::{Answer, Follower, answer},
    shelf::{Kept, Place, Shelf},
};

const BACKEND: &str = "cache";

/// Keeps files that were read from another store in a folder, within a bound on bytes.
///
/// For a store that is slow, far away or paid for by the read. The folder may be lost at any time:
/// a put goes to the inner store alone, and a file comes into the cache when it is first read.
/// Clones share one cache. A folder is used by one cache at a time. Needs a tokio runtime around it.
///
/// # Reading
///
/// Of many who ask for one file at one time one asks the inner store, and a task of the runtime
/// writes what comes to the disk. All of them read along from there as it grows, so nobody waits
/// for the whole file, and a slow reader holds up none. If whoever asks leaves or is refused,
/// another takes over; nobody gets an answer to a question that began before he came, unless it is
/// the file. If the inner store fails in the middle, or the disk is full, each reads on from the
/// inner store by himself. If all leave, no more is written.
///
/// Part of a file is read from the cache if the whole is in it, and else from the inner store.
///
/// # What is served
///
/// Only what has the checksum of its key. The last byte of a file that is being written is withheld
/// until the checksum has matched: a damaged file ends with an error, and is not kept. So it is with
/// a file that a reader reads on from the inner store; one that is passed through from its beginning,
/// and a part of one that is not in the cache, are what the inner store gives.
///
/// After a restart each file that is found in the folder is hashed once, when it is first asked for.
/// What was being written is removed, and what is kept is known by the names of its files, so a start
/// takes one look at each of them.
///
/// A file that is put aside or purged through this store, or a clone, is forgotten before the call
/// returns. If another process does so, the cache learns of it when it asks: a file is served for
/// [a while](CachedCrateStore::with_staleness) before the inner store is asked whether it still has
/// it. If that cannot be asked, the file is served, and so the cache outlasts an outage.
///
/// # Room
///
/// The bytes of all files in whole blocks of 4 KiB, those that are being written included, are
/// never more than was said. The least recently used goes first; after a restart, the one that was
/// written first. Whoever reads a file that goes reads it to its end. A file for which there is no
/// room is passed through. In memory, a file that is kept takes about 200 bytes.
pub struct CachedCrateStore<S> {
    inner: Arc<S>,
    cache: Arc<Cache>,
    staleness: Duration,
    meter: Option<Arc<Meter>>,
    now: fn() -> Instant,
}

type Meter = dyn Fn(CacheRead) + Send + Sync;

struct Cache {
    shelf: Arc<Shelf>,
    disk: Disk,
    report: Box<dyn Fn(&CacheError) + Send + Sync>,
}

/// The cache cannot use its disk as it should. Files are read from the inner store instead.
#[derive(Debug, thiserror::Error)]
#[error("crate files cannot be cached in `{}`", folder.display())]
pub struct CacheError {
    /// The folder of the cache.
    pub folder: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl<S> CachedCrateStore<S> {
    /// For how long a file is served without asking the inner store whether it still has it, unless
    /// [`CachedCrateStore::with_staleness`] says otherwise.
    pub const STALENESS: Duration = Duration::from_secs(60 * 60);

    /// Keeps up to `max_bytes` of what is read from `inner` in `folder`, which is made if it is not
    /// there, for its owner alone. Blocks while it looks at the files that are in it.
    ///
    /// `report` is told where the disk fails or is full, at each read that is about it. It must
    /// neither block nor panic.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be made or read, or if another cache is using it.
    pub fn open(
        inner: S,
        folder: impl AsRef<Path>,
        max_bytes: u64,
        report: impl Fn(&CacheError) + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::failed(BACKEND, error);
        let (disk, left) = Disk::open(folder.as_ref()).map_err(failed)?;
        let shelf = Arc::new(Shelf::new(max_bytes));
        let given_up = shelf.adopt(left);
        let cache = Arc::new(Cache { shelf, disk, report: Box::new(report) });
        cache.remove_all(given_up).map_err(failed)?;
        let (inner, staleness, meter) = (Arc::new(inner), Self::STALENESS, None);
        Ok(Self { inner, cache, staleness, meter, now: Instant::now })
    }

    /// For how long a file is served without asking the inner store whether it still has it. A file
    /// that an earlier process has left is asked for in any case.
    ///
    /// To be set before the store is cloned.
    #[must_use]
    pub fn with_staleness(self, staleness: Duration) -> Self {
        Self { staleness, ..self }
    }

    /// Tells `meter` of each read of a file or a part of one. It must neither block nor panic.
    ///
    /// To be set before the store is cloned.
    #[must_use]
    pub fn with_meter(self, meter: impl Fn(CacheRead) + Send + Sync + 'static) -> Self {
        Self { meter: Some(Arc::new(meter)), ..self }
    }

    fn meter(&self, read: CacheRead) {
        if let Some(meter) = &self.meter {
            meter(read);
        }
    }
}

impl Cache {
    fn report(&self, source: io::Error) {
        (self.report)(&CacheError { folder: self.disk.root().into(), source });
    }

    /// Removes files that are no longer held: each that can be, whatever becomes of the others.
    fn remove_all(&self, given_up: Vec<(Id, SystemTime)>) -> io::Result<()> {
        let mut all = Ok(());
        for (id, put_at) in given_up {
            all = all.and(remove(&self.disk.place(id, put_at)));
        }
        all
    }

    /// Forgets a file; on return nobody who comes will be served it from here.
    fn forget(&self, id: Id) {
        if let Some((id, put_at)) = self.shelf.forget(id)
            && let Err(error) = remove(&self.disk.place(id, put_at))
        {
            self.report(error);
        }
    }
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Opens a file that is held; checks it against its checksum unless that was done before. Blocks.
fn open_whole(path: &Path, size: u64, checksum: Option<Checksum>) -> io::Result<File> {
    let file = File::open(path)?;
    let is_good = file.metadata()?.len() == size
        && match checksum {
            Some(checksum) => Checksum::of_reader(&file)? == checksum,
            None => true,
        };
    if is_good { Ok(file) } else { Err(io::Error::other(DamagedOnDisk { path: path.into() })) }
}

#[derive(Debug, thiserror::Error)]
#[error("`{}` is not the file it was", path.display())]
struct DamagedOnDisk {
    path: PathBuf,
}

/// The inner store is being asked whether it has a file. If the answer is not waited for, the next
/// reader asks.
struct Confirming<'a> {
    shelf: &'a Shelf,
    id: Option<Id>,
}

impl Drop for Confirming<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shelf.set_unconfirmed(id);
        }
    }
}

impl<S: CrateStore> CachedCrateStore<S> {
    /// Reads the whole of a file, by the cache.
    async fn read(&self, key: &CrateKey) -> Result<Option<CrateFile>, StoreError> {
        let (id, shelf) = (Id::of(key), &self.cache.shelf);
        let arrival = shelf.begun();
        // Each round but the first two finds that a file was forgotten, or a reader left.
        loop {
            match shelf.find(id, (self.now)(), self.staleness) {
                Place::Led(lead) => {
                    self.meter(CacheRead::Miss);
                    return self.lead(key, lead).await;
                }
                Place::Kept(kept) => {
                    if let Some(file) = self.open_kept(key, id, kept, None).await {
                        self.meter(CacheRead::Hit);
                        return Ok(Some(file));
                    }
                }
                Place::Followed(mut receiver, number) => {
                    let is_current = number > arrival;
                    match answer(&mut receiver).await {
                        Answer::Growing(growing) => {
                            self.meter(CacheRead::Hit);
                            let (inner, key) = (self.inner.clone(), key.clone());
                            return Ok(Some(Follower::file(inner, key, growing, receiver)));
                        }
                        Answer::Uncached => {
                            self.meter(CacheRead::Miss);
                            return self.inner.get(key, None).await;
                        }
                        Answer::Absent if is_current => {
                            self.meter(CacheRead::Hit);
                            return Ok(None);
                        }
                        Answer::Failed(failure) if is_current => {
                            self.meter(CacheRead::Hit);
                            return Err(failure.into());
                        }
                        Answer::Absent | Answer::Failed(_) | Answer::None => {}
                    }
                }
            }
        }
    }

    /// Reads a file from the inner store, for all who ask meanwhile.
    async fn lead(&self, key: &CrateKey, lead: Lead) -> Result<Option<CrateFile>, StoreError> {
        let file = match self.inner.get(key, None).await {
            Ok(Some(file)) => file,
            Ok(None) => {
                lead.end(Progress::Absent);
                return Ok(None);
            }
            Err(error) => {
                let failure = Failure::from(error);
                lead.end(Progress::Failed(failure.clone()));
                return Err(failure.into());
            }
        };
        let (size, put_at) = (file.size, file.modified);
        let Some((room, given_up)) = self.cache.shelf.reserve(size) else {
            lead.end(Progress::Uncached);
            return Ok(Some(file));
        };
        let (cache, id) = (self.cache.clone(), lead.id);
        let staged = blocking(move || {
            cache.remove_all(given_up)?;
            cache.disk.stage(id, put_at)
        });
        let staged = match staged.await {
            Ok(staged) => Arc::new(staged),
            Err(error) => {
                self.cache.report(error);
                lead.end(Progress::Uncached);
                return Ok(Some(file));
            }
        };
        let growing = Growing { staged, size, put_at, available: 0, is_whole: false };
        let receiver = lead.flight.progress.subscribe();
        lead.flight.progress.send_replace(Progress::Growing(growing.clone()));
        let (cache, key, body) = (self.cache.clone(), key.clone(), file.body);
        let fill = Fill { cache, lead, room, key: key.clone(), body, growing: growing.clone() };
        tokio::spawn(fill.run());
        Ok(Some(Follower::file(self.inner.clone(), key, growing, receiver)))
    }

    /// Opens a file that is held, or a part of it; `None` if it is no longer to be had, and then
    /// it is forgotten.
    async fn open_kept(
        &self,
        key: &CrateKey,
        id: Id,
        kept: Kept,
        range: Option<ByteRange>,
    ) -> Option<CrateFile> {
        let Kept { size, put_at, is_verified, is_to_be_confirmed } = kept;
        if is_to_be_confirmed && !self.confirm(key, id, size).await {
            self.cache.forget(id);
            return None;
        }
        let path = self.cache.disk.place(id, put_at);
        let checksum = (!is_verified).then_some(key.checksum);
        match blocking(move || open_whole(&path, size, checksum)).await {
            Ok(file) => {
                self.cache.shelf.set_verified(id);
                Some(part_of(file, size, put_at, range))
            }
            Err(error) => {
                self.cache.forget(id);
                // It may have made room for another file since it was found.
                if error.kind() != io::ErrorKind::NotFound {
                    self.cache.report(error);
                }
                None
            }
        }
    }

    /// Whether the inner store has a file, or cannot say.
    async fn confirm(&self, key: &CrateKey, id: Id, size: u64) -> bool {
        let mut confirming = Confirming { shelf: &self.cache.shelf, id: Some(id) };
        let stored = self.inner.head(key).await;
        confirming.id = None;
        match stored {
            Ok(stored) => stored.is_some_and(|stored| stored.size == size),
            Err(StoreError::Quarantined { .. }) => false,
            Err(_) => true,
        }
    }
}

fn part_of(file: File, size: u64, modified: SystemTime, range: Option<ByteRange>) -> CrateFile {
    let range: Range<u64> = range.map_or(0..size, |range| range.within(size));
    let chunks = crate::folder::read(file, range.clone());
    let body = Box::pin(chunks.map_err(|error| StoreError::failed(BACKEND, error)));
    CrateFile { size, range, modified, body }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateStore> CrateStore for CachedCrateStore<S> {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.inner.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        if range.is_none() {
            return self.read(key).await;
        }
        let id = Id::of(key);
        if let Some(kept) = self.cache.shelf.kept(id, (self.now)(), self.staleness)
            && let Some(part) = self.open_kept(key, id, kept, range).await
        {
            self.meter(CacheRead::Hit);
            return Ok(Some(part));
        }
        self.meter(CacheRead::Miss);
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.inner.head(key).await
    }

    /// That of the inner store, which is then read past the cache.
    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.inner.location(key).await
    }

    fn list(&self) -> StoredCrates<'_> {
        self.inner.list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

/// Forgets a file however a call about it ends.
struct Forgetting<'a>(&'a Cache, Id);

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateUpkeep> CrateUpkeep for CachedCrateStore<S> {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        let _forgetting = Forgetting(&self.cache, Id::of(key));
        self.inner.set_aside(key, reason).await
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        self.inner.list_aside()
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        self.inner.open_aside(entry).await
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.inner.put_back(entry).await
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        let _forgetting = Forgetting(&self.cache, Id::of(&entry.key));
        self.inner.purge(entry).await
    }
}

impl<S> Clone for CachedCrateStore<S> {
    fn clone(&self) -> Self {
        let (inner, cache, meter) = (self.inner.clone(), self.cache.clone(), self.meter.clone());
        Self { inner, cache, staleness: self.staleness, meter, now: self.now }
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedCrateStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedCrateStore")
            .field("inner", &self.inner)
            .field("folder", &self.cache.disk.root())
            .field("staleness", &self.staleness)
            .finish_non_exhaustive()
    }
}

//! [`VerifiedCrateStore`]: nobody is handed a damaged file whole.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{
    Checksum, CrateStore, StoreError,
    checksum::ChecksumHasher,
    scrub::quarantine,
    store::{
        AsideCrate, AsideCrates, AsideReason, ByteRange, CrateBody, CrateFile, CrateKey,
        CrateUpkeep, StoredCrate, StoredCrates,
    },
};

const BACKEND: &str = "verified";

/// Holds every file that is read whole against its checksum on the way.
///
/// The last piece of a file is withheld until the checksum is known: of a damaged one, a reader gets
/// less than all, and an error. Cargo finds out by itself, and says that a download failed; this is
/// for all others, and for who looks after the store: `report` is told of each damaged file, and
/// [`VerifiedCrateStore::with_quarantine`] puts it aside, so that the next reader is told what is the
/// matter. It runs where a file is read, so it must neither block nor panic.
///
/// Costs the time of one SHA-256 over each download. A part of a file is passed on as it is: only the
/// whole has a checksum. [`CrateStore::location`] is `None`, since whom a URL has sent elsewhere
/// reads past this.
///
/// ```
/// use registry_core::memory::MemoryCrateStore;
/// use registry_storage::layer::VerifiedCrateStore;
///
/// let store = MemoryCrateStore::new();
/// let crates = VerifiedCrateStore::new(store.clone(), |damaged| {
///     eprintln!("{} is damaged: {:?}", damaged.key, damaged.consequence);
/// })
/// .with_quarantine(store);
/// ```
#[derive(Clone)]
pub struct VerifiedCrateStore<S> {
    inner: S,
    refusal: Refusal,
}

/// What becomes of a damaged file.
#[derive(Clone)]
struct Refusal {
    report: Arc<Report>,
    upkeep: Option<Arc<dyn CrateUpkeep>>,
}

type Report = dyn Fn(&DamagedRead<'_>) + Send + Sync;

/// A damaged file that was read, and not to its end.
#[derive(Debug)]
#[non_exhaustive]
pub struct DamagedRead<'a> {
    /// What it is stored under, with the checksum that it should have.
    pub key: &'a CrateKey,
    /// The checksum that it has.
    pub found: Checksum,
    /// What was done about it.
    pub consequence: Consequence<'a>,
}

/// What was done about a damaged file, besides refusing its last piece.
#[derive(Debug)]
#[non_exhaustive]
pub enum Consequence<'a> {
    /// Nothing, as nothing else was asked for.
    Nothing,
    /// It was put aside.
    PutAside,
    /// Nothing: it was whole when it was read once more.
    WholeNow,
    /// It could not be put aside.
    NotPutAside(&'a StoreError),
}

impl<S> VerifiedCrateStore<S> {
    /// Checks what is read of `inner`.
    pub fn new(inner: S, report: impl Fn(&DamagedRead<'_>) + Send + Sync + 'static) -> Self {
        Self { inner, refusal: Refusal { report: Arc::new(report), upkeep: None } }
    }

    /// Puts damaged files aside in `upkeep`, which is the inner store, or the one beneath it that
    /// keeps the files: if it has them damaged, too.
    pub fn with_quarantine(mut self, upkeep: impl CrateUpkeep) -> Self {
        self.refusal.upkeep = Some(Arc::new(upkeep));
        self
    }
}

impl Refusal {
    /// The error that a reader gets in place of the last piece.
    async fn refuse(&self, key: &CrateKey, found: Checksum) -> StoreError {
        let put_aside = match &self.upkeep {
            Some(upkeep) => Some(quarantine(upkeep, key).await),
            None => None,
        };
        let consequence = match &put_aside {
            None => Consequence::Nothing,
            Some(Ok(true)) => Consequence::PutAside,
            Some(Ok(false)) => Consequence::WholeNow,
            Some(Err(error)) => Consequence::NotPutAside(error),
        };
        (self.report)(&DamagedRead { key, found, consequence });
        match put_aside {
            Some(Ok(true)) => StoreError::Quarantined { key: key.clone().into() },
            _ => StoreError::failed(BACKEND, Damaged { key: key.clone(), found }),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the file of crate {key} has the checksum {found}")]
struct Damaged {
    key: CrateKey,
    found: Checksum,
}

/// A file that is read whole.
struct Reading {
    key: CrateKey,
    file: CrateFile,
    /// `None` once all is read.
    hasher: Option<ChecksumHasher>,
    /// What was read last.
    withheld: Option<Bytes>,
    refusal: Refusal,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        while let Some(hasher) = &mut self.hasher {
            match self.file.next_chunk().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    hasher.update(&chunk);
                    // An empty one would let all the others go.
                    if !chunk.is_empty()
                        && let Some(ready) = self.withheld.replace(chunk)
                    {
                        return Ok(Some((ready, self)));
                    }
                }
                None => {
                    let found = self.hasher.take().expect("looked at above").finish();
                    if found != self.key.checksum {
                        return Err(self.refusal.refuse(&self.key, found).await);
                    }
                }
            }
        }
        Ok(self.withheld.take().map(|last| (last, self)))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateStore> CrateStore for VerifiedCrateStore<S> {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.inner.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let Some(file) = self.inner.get(key, range).await? else { return Ok(None) };
        let (size, range, modified) = (file.size, file.range.clone(), file.modified);
        if range != (0..size) {
            return Ok(Some(file));
        }
        let reading = Reading {
            key: key.clone(),
            file,
            hasher: Some(ChecksumHasher::new()),
            withheld: None,
            refusal: self.refusal.clone(),
        };
        let body = Box::pin(futures_util::stream::try_unfold(reading, Reading::next));
        Ok(Some(CrateFile { size, range, modified, body }))
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.inner.head(key).await
    }

    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn list(&self) -> StoredCrates<'_> {
        self.inner.list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

/// What is aside is read as it is: whoever looks after the store has to see it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateUpkeep> CrateUpkeep for VerifiedCrateStore<S> {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
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
        self.inner.purge(entry).await
    }
}

impl<S: fmt::Debug> fmt::Debug for VerifiedCrateStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCrateStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

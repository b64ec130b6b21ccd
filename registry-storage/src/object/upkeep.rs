//! How files are put aside, and read from there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use object_store::{Error, ObjectMeta, ObjectStoreExt as _, path::Path};
use registry_core::{
    BoxError, Checksum, StoreError,
    checksum::ChecksumHasher,
    store::{AsideCrate, AsideCrates, AsideReason, CrateFile, CrateKey, CrateUpkeep},
};
use tokio::time::Instant;

use super::ObjectCrateStore;
use crate::layout::{self, aside_at, aside_of, path_of};

/// How often a reader looks for a file that is moved under its eyes.
const LOOKS: usize = 16;

/// How long after an entry took its time the original may still be removed from a bucket.
///
/// The request may be repeated after that, and come late. Together it has to be over when the entry
/// [settles](AsideCrate::SETTLES_AFTER), and collectors count on as much. Source: ours; a bucket
/// copies 5 GiB, the most at a time, in less.
const MOVE_TAKES: Duration = Duration::from_secs(5 * 60);

/// Where a reader has looked for a file, and looks next.
///
/// A file may be moved between two looks. So whoever has seen it aside and does not find it there
/// any more looks again from the beginning, and whoever has not seen it aside looks for it in its
/// place once more: it may have been put back since.
pub(super) struct Search<'a> {
    key: &'a CrateKey,
    step: Step,
    looks: usize,
}

enum Step {
    InPlace,
    Aside,
    InPlaceAgain { is_quarantined: bool },
}

impl<'a> Search<'a> {
    pub(super) fn of(key: &'a CrateKey) -> Self {
        Self { key, step: Step::InPlace, looks: LOOKS }
    }
}

impl ObjectCrateStore {
    /// Where to read next, after nothing was found before; `None` if there is no file.
    pub(super) async fn next_path(
        &self,
        search: &mut Search<'_>,
    ) -> Result<Option<Path>, StoreError> {
        let key = search.key;
        search.looks = search.looks.checked_sub(1).ok_or_else(|| self.failed(KeepsMoving))?;
        match search.step {
            Step::InPlace => {
                search.step = Step::Aside;
                Ok(Some(path_of(key)))
            }
            Step::Aside => {
                let mut aside: Vec<_> = self.list_aside_below(&aside_of(key)).try_collect().await?;
                aside.retain(|entry| !is_begun(entry));
                let unnamed = aside.iter().filter(|entry| entry.reason == AsideReason::Unnamed);
                let newest = unnamed.max_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
                if let Some(entry) = newest {
                    search.step = Step::InPlace;
                    return Ok(Some(path_aside(entry)));
                }
                search.step = Step::InPlaceAgain { is_quarantined: !aside.is_empty() };
                Ok(Some(path_of(key)))
            }
            Step::InPlaceAgain { is_quarantined: false } => {
                self.must_be_there().await.map(|()| None)
            }
            Step::InPlaceAgain { is_quarantined: true } => {
                Err(StoreError::Quarantined { key: key.clone().into() })
            }
        }
    }

    fn list_aside_below(&self, path: &Path) -> AsideCrates<'_> {
        let objects = self.store.list(Some(path)).map_err(|error| self.failed(error));
        Box::pin(objects.try_filter_map(async |object| {
            Ok(aside_at(&object.location).map(|(key, reason, since, id)| AsideCrate {
                key,
                reason,
                since,
                id: id.into(),
                size: object.size,
            }))
        }))
    }

    /// Moves a file of a folder, in one step; `None` in a bucket, which has none for it.
    async fn rename(&self, from: &Path, to: &Path) -> Option<Result<(), BoxError>> {
        #[cfg(feature = "fs")]
        if let Some(folder) = self.folder.clone() {
            let (from, to) = (from.clone(), to.clone());
            let rename = move || folder.rename(from.as_ref(), to.as_ref());
            let renamed = tokio::task::spawn_blocking(rename).await;
            return Some(match renamed {
                Ok(renamed) => renamed.map(drop).map_err(Into::into),
                Err(error) => Err(error.into()),
            });
        }
        #[cfg(not(feature = "fs"))]
        let _ = (from, to);
        None
    }

    /// Copies a file out of its place, and then removes it there, unless that might remove another
    /// one than was copied.
    async fn copy_and_remove(
        &self,
        place: &Path,
        aside: &Path,
        begun: Moment,
    ) -> object_store::Result<()> {
        let copied = self.copy(place, aside).await?;
        let found = self.store.head(place).await?;
        let is_replaced = tag(&copied) != tag(&found);
        let elapsed = begun.elapsed();
        if !is_replaced && elapsed <= MOVE_TAKES {
            return self.delete(place).await;
        }
        // Nothing was removed for its sake, so that nothing depends on the entry. If it stays,
        // the next collection ends it.
        let _ = self.delete(aside).await;
        match is_replaced {
            true => Ok(()),
            false => {
                let source = TooSlow { elapsed, limit: MOVE_TAKES }.into();
                Err(Error::Generic { store: self.backend, source })
            }
        }
    }

    /// Copies a file to a path that nothing is at; what was found of it right before.
    async fn copy(&self, from: &Path, to: &Path) -> object_store::Result<ObjectMeta> {
        let found = self.store.head(from).await?;
        self.store.copy(from, to).await?;
        // Azure may answer before it has copied: until then the copy is empty.
        if self.store.head(to).await?.size != found.size {
            let source = NotCopied.into();
            return Err(Error::Generic { store: self.backend, source });
        }
        Ok(found)
    }

    fn new_aside(
        &self,
        key: &CrateKey,
        reason: AsideReason,
        since: SystemTime,
    ) -> Result<Path, StoreError> {
        let nonce = getrandom::u64().map_err(|error| self.failed(error))?;
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(aside_of(key).join(layout::aside_name(since, nonce, reason)))
    }

    /// Where a file that was just put into its place in a bucket is to be put, too, if what is there
    /// may be removed in favour of another one, which is damaged.
    ///
    /// Who moves a file looks at it again after copying it, and who puts one looks here after
    /// putting it: one of the two sees the other.
    pub(super) async fn refuge(&self, key: &CrateKey) -> Result<Option<Path>, StoreError> {
        let now = SystemTime::now();
        let mut entries = self.list_aside_below(&aside_of(key));
        while let Some(entry) = entries.try_next().await? {
            if entry.may_be_moving(now) && !self.is_whole(&entry).await {
                // Of several, the newest is read.
                let next = entry.since.checked_add(Duration::from_secs(1));
                let since = next.map_or(now, |next| next.max(now));
                return self.new_aside(key, AsideReason::Unnamed, since).map(Some);
            }
        }
        Ok(None)
    }

    /// One that cannot be read is no better than a damaged one.
    async fn is_whole(&self, entry: &AsideCrate) -> bool {
        let Ok(Some(mut file)) = self.open_aside(entry).await else { return false };
        let mut hasher = ChecksumHasher::new();
        while let Some(chunk) = file.next_chunk().await {
            let Ok(chunk) = chunk else { return false };
            hasher.update(&chunk);
        }
        hasher.finish() == entry.key.checksum
    }

    /// Deletes what has been copied. Azure may answer before it has done so: until then, the copy is
    /// empty.
    async fn delete_copied(&self, from: &Path, size: u64, to: &Path) -> object_store::Result<()> {
        match self.store.head(to).await {
            Ok(copy) if copy.size == 0 && size > 0 => {
                Err(Error::Generic { store: self.backend, source: NotCopied.into() })
            }
            // Or moved on by somebody else, who has seen the whole of it.
            Ok(_) | Err(Error::NotFound { .. }) => self.delete(from).await,
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, path: &Path) -> object_store::Result<()> {
        self.store.delete(path).await.or_else(unless_missing)
    }

    async fn put_back_at(&self, entry: &AsideCrate) -> Result<(), BoxError> {
        let (aside, place) = (&path_aside(entry), &path_of(&entry.key));
        if is_begun(entry) {
            return Ok(self.delete(aside).await?);
        }
        match self.store.copy_if_not_exists(aside, place).await {
            Ok(()) | Err(Error::AlreadyExists { .. }) => {
                return Ok(self.delete_copied(aside, entry.size, place).await?);
            }
            Err(Error::NotFound { .. }) => return Ok(()),
            // Not every store can do that: S3 cannot, and a file system without hard links.
            Err(_) => {}
        }
        match self.store.head(place).await {
            Ok(_) => Ok(self.delete_copied(aside, entry.size, place).await?),
            // A put that comes between writes the same bytes, so that it does not matter which of
            // the two comes last.
            Err(Error::NotFound { .. }) => match self.rename(aside, place).await {
                Some(renamed) => renamed,
                None => match self.copy(aside, place).await {
                    Ok(_) => Ok(self.delete(aside).await?),
                    Err(error) => Ok(unless_missing(error)?),
                },
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// On a folder, a file is moved by renaming it. Other stores copy it, and then delete it: if the
/// answer to the latter is lost, it is both in its place and aside. They do not delete what was put
/// anew meanwhile, nor what took them more than five minutes to copy.
#[async_trait]
impl CrateUpkeep for ObjectCrateStore {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        let (place, begun) = (path_of(key), Moment::now());
        let aside = self.new_aside(key, reason, begun.wall)?;
        let moved = match self.rename(&place, &aside).await {
            Some(renamed) => renamed,
            None => {
                let moved = self.copy_and_remove(&place, &aside, begun).await;
                moved.or_else(unless_missing).map_err(Into::into)
            }
        };
        moved.map_err(|error| self.failed(error))
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        Box::pin(self.complete(self.list_aside_below(&Path::from(layout::ASIDE))))
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        self.open_at(&path_aside(entry), None).await
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.put_back_at(entry).await.map_err(|error| self.failed(error))?;
        self.must_be_there().await
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.delete(&path_aside(entry)).await.map_err(|error| self.failed(error))?;
        self.must_be_there().await
    }
}

/// Whether this is no file, but a copy that Azure has begun: the file is where it was.
fn is_begun(entry: &AsideCrate) -> bool {
    let is_empty = entry.size == 0 && entry.key.checksum != Checksum::of(b"");
    is_empty && entry.reason == AsideReason::Unnamed
}

fn path_aside(entry: &AsideCrate) -> Path {
    aside_of(&entry.key).join(&*entry.id)
}

/// What is not there need not be moved or removed any more.
fn unless_missing(error: Error) -> object_store::Result<()> {
    match error {
        Error::NotFound { .. } => Ok(()),
        error => Err(error),
    }
}

/// By what a file that was put anew differs from the one before.
fn tag(meta: &ObjectMeta) -> impl PartialEq + use<'_> {
    (meta.size, meta.last_modified, &meta.e_tag, &meta.version)
}

/// One moment by both clocks of this machine.
#[derive(Clone, Copy)]
struct Moment {
    wall: SystemTime,
    monotonic: Instant,
}

impl Moment {
    fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// By the clock that shows more: one stands still while the machine sleeps, the other one can
    /// be set back.
    fn elapsed(self) -> Duration {
        self.wall.elapsed().unwrap_or_default().max(self.monotonic.elapsed())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("copying the file took {} s, limit {} s: it stays", elapsed.as_secs(), limit.as_secs())]
struct TooSlow {
    elapsed: Duration,
    limit: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("the file was moved again and again while it was looked for")]
struct KeepsMoving;

#[derive(Debug, thiserror::Error)]
#[error("the store has not copied the file")]
struct NotCopied;

//! How files are put aside, and read from there.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use object_store::{Error, ObjectStoreExt as _, path::Path};
use registry_core::{
    BoxError, StoreError,
    store::{AsideCrate, AsideCrates, AsideReason, CrateFile, CrateKey, CrateUpkeep},
};

use super::ObjectCrateStore;
use crate::layout::{self, aside_at, aside_of, path_of};

/// How often a reader looks for a file that is moved under its eyes.
const LOOKS: usize = 16;

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
                let aside: Vec<_> = self.list_aside_below(&aside_of(key)).try_collect().await?;
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

    /// Moves a file to a path that nothing is at. Whether there was one.
    async fn rename(&self, from: &Path, to: &Path) -> Result<bool, BoxError> {
        #[cfg(feature = "fs")]
        if let Some(folder) = self.folder.clone() {
            let (from, to) = (from.clone(), to.clone());
            let rename = move || folder.rename(from.as_ref(), to.as_ref());
            return Ok(tokio::task::spawn_blocking(rename).await??);
        }
        match self.copy_and_delete(from, to).await {
            Ok(()) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn copy_and_delete(&self, from: &Path, to: &Path) -> object_store::Result<()> {
        let size = self.store.head(from).await?.size;
        self.store.copy(from, to).await?;
        // Azure may answer before it has copied: until then the copy is empty.
        if self.store.head(to).await?.size != size {
            let source = NotCopied.into();
            return Err(Error::Generic { store: self.backend, source });
        }
        self.delete(from).await
    }

    async fn delete(&self, path: &Path) -> object_store::Result<()> {
        match self.store.delete(path).await {
            Err(Error::NotFound { .. }) => Ok(()),
            deleted => deleted,
        }
    }

    async fn put_back_at(&self, aside: &Path, place: &Path) -> Result<(), BoxError> {
        match self.store.copy_if_not_exists(aside, place).await {
            Ok(()) | Err(Error::AlreadyExists { .. }) => return Ok(self.delete(aside).await?),
            Err(Error::NotFound { .. }) => return Ok(()),
            // Not every store can do that: S3 cannot, and a file system without hard links.
            Err(_) => {}
        }
        match self.store.head(place).await {
            Ok(_) => Ok(self.delete(aside).await?),
            // A put that comes between writes the same bytes, so that it does not matter which of
            // the two comes last.
            Err(Error::NotFound { .. }) => self.rename(aside, place).await.map(drop),
            Err(error) => Err(error.into()),
        }
    }
}

/// On a folder, a file is moved by renaming it. Other stores copy it, and then delete it: if the
/// answer to the latter is lost, it is both in its place and aside.
#[async_trait]
impl CrateUpkeep for ObjectCrateStore {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        let nonce = getrandom::u64().map_err(|error| self.failed(error))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let aside = aside_of(key).join(layout::aside_name(since, nonce, reason));
        let moved = self.rename(&path_of(key), &aside).await;
        moved.map(drop).map_err(|error| self.failed(error))
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        Box::pin(self.complete(self.list_aside_below(&Path::from(layout::ASIDE))))
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        self.open_at(&path_aside(entry), None).await
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        let put_back = self.put_back_at(&path_aside(entry), &path_of(&entry.key)).await;
        put_back.map_err(|error| self.failed(error))?;
        self.must_be_there().await
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.delete(&path_aside(entry)).await.map_err(|error| self.failed(error))?;
        self.must_be_there().await
    }
}

fn path_aside(entry: &AsideCrate) -> Path {
    aside_of(&entry.key).join(&*entry.id)
}

#[derive(Debug, thiserror::Error)]
#[error("the file was moved again and again while it was looked for")]
struct KeepsMoving;

#[derive(Debug, thiserror::Error)]
#[error("the store has not copied the file")]
struct NotCopied;

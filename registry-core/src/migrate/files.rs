use std::{
    ops::{AddAssign, SubAssign},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::{
    checksum::Checksum,
    registry::Runtime,
    store::{
        AsideCrate, AsideReason, CollectError, Collector, CrateBody, CrateKey, CrateStore,
        CrateUpkeep, Digest, SpoolFolder, StoreError, StoredCrate, StoredCrates,
    },
};

/// How many files are copied at the same time: most of the time goes by waiting for the disks or
/// the networks of two stores.
const AT_ONCE: usize = 8;

/// Copies every crate file of one store to another.
///
/// Each file is read whole and held against its checksum before any of it is written: one that is
/// damaged in the source is reported and not copied, and so is one that cannot be read or written;
/// the others go on. A file that is in the target already is left alone, so a migration that was
/// interrupted can be run again, and copies only the rest.
///
/// A garbage collection may have put a file aside that a line names by now, and the next collection
/// would put it back: give [`FileMigration::with_aside`] a source that may have such files. Damaged
/// files that are aside are not copied.
///
/// Both stores may be in use meanwhile, but **no garbage collection may run on either**: it would
/// take files for unnamed that the index to come names. Files that are new in the source then are
/// left to the next run. So the order of a move is: migrate; have every server use the new store;
/// migrate again, which copies what was published in between.
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{memory::MemoryCrateStore, migrate::FileMigration};
///
/// # async fn program() -> Result<(), Box<dyn std::error::Error>> {
/// let (from, to) = (Arc::new(MemoryCrateStore::new()), Arc::new(MemoryCrateStore::new()));
/// let migration = FileMigration::new(from, to);
/// let migrated = migration.run(|so_far, failure| {
///     if let Some((key, error)) = failure {
///         eprintln!("not copied: {key}: {error}");
///     }
///     eprintln!("{} of {} files", so_far.done().files, so_far.found.files);
/// });
/// assert_eq!(migrated.await?.failed.files, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileMigration {
    from: Arc<dyn CrateStore>,
    aside: Option<Arc<dyn CrateUpkeep>>,
    to: Arc<dyn CrateStore>,
    collector: Collector,
    reads_back: bool,
}

impl FileMigration {
    /// A migration from one store to another, which takes a file that has its length in the target
    /// for the same file: a store never has a part of one.
    pub fn new(from: Arc<dyn CrateStore>, to: Arc<dyn CrateStore>) -> Self {
        Self { from, aside: None, to, collector: Collector::default(), reads_back: false }
    }

    /// Copies as well what is aside in `source`, and not as damaged: to its place in the target. `source`
    /// is the store to copy from.
    pub fn with_aside(self, source: Arc<dyn CrateUpkeep>) -> Self {
        Self { aside: Some(source), ..self }
    }

    /// Collects files of more than 1 MiB in a folder on their way, rather than in memory, where up to
    /// eight are at a time.
    ///
    /// In the file system of a target that is a folder, so that they are renamed and not copied.
    pub fn with_spool(self, folder: SpoolFolder, runtime: impl Runtime) -> Self {
        Self { collector: Collector::with_spool(folder, Arc::new(runtime)), ..self }
    }

    /// Reads every file in the target, too, whether it was there or has been copied, and copies it
    /// again if it has not its checksum.
    pub fn with_read_back(self) -> Self {
        Self { reads_back: true, ..self }
    }

    /// Copies what the target lacks. `report` is told after each file how far it is, and why the
    /// file is not in the target if it is not.
    ///
    /// # Errors
    /// [`FileMigrateError`] if a store or the spool fails as a whole, or cannot be written to.
    /// What was copied stays.
    pub async fn run(
        &self,
        mut report: impl FnMut(&MigratedFiles, Option<(&CrateKey, &FileCopyError)>) + Send,
    ) -> Result<MigratedFiles, FileMigrateError> {
        let mut migrated = MigratedFiles::default();
        let mut listed = self.list();
        while let Some(stored) = listed.try_next().await.map_err(FileMigrateError::Source)? {
            migrated.found += stored.size;
        }
        let listed = self.list().map_err(FileMigrateError::Source);
        let mut copies = listed
            .map_ok(|stored| async move {
                let outcome = self.copy(&stored).await;
                Ok((stored, outcome))
            })
            .try_buffer_unordered(AT_ONCE);
        while let Some((stored, outcome)) = copies.try_next().await? {
            let failure = match outcome {
                Ok(Copied::New) => {
                    migrated.copied += stored.size;
                    None
                }
                Ok(Copied::Same) => {
                    migrated.same += stored.size;
                    None
                }
                Err(error) => {
                    migrated.failed += stored.size;
                    Some(self.of_one_file(error).await?)
                }
            };
            report(&migrated, failure.as_ref().map(|error| (&stored.key, error)));
        }
        Ok(migrated)
    }

    /// What is to be copied.
    fn list(&self) -> StoredCrates<'_> {
        let Some(aside) = &self.aside else { return self.from.list() };
        let unnamed = aside.list_aside().try_filter_map(async |entry| {
            let AsideCrate { key, reason, since: modified, size, .. } = entry;
            let is_unnamed = reason == AsideReason::Unnamed;
            Ok(is_unnamed.then_some(StoredCrate { key, size, modified }))
        });
        Box::pin(self.from.list().chain(unnamed))
    }

    async fn copy(&self, stored: &StoredCrate) -> Result<Copied, FileCopyError> {
        if self.is_there(stored).await? {
            return Ok(Copied::Same);
        }
        let file = self.read(&stored.key).await?;
        self.to.put(&stored.key, file).await.map_err(FileCopyError::Target)?;
        if self.reads_back && !self.is_there(stored).await? {
            return Err(FileCopyError::Differs);
        }
        Ok(Copied::New)
    }

    /// Whether the target has the file, whole.
    async fn is_there(&self, stored: &StoredCrate) -> Result<bool, FileCopyError> {
        match unless_quarantined(self.to.head(&stored.key).await)? {
            Some(there) if there.size != stored.size => return Ok(false),
            Some(_) if !self.reads_back => return Ok(true),
            Some(_) => {}
            None => return Ok(false),
        }
        let Some(file) = unless_quarantined(self.to.get(&stored.key, None).await)? else {
            return Ok(false);
        };
        let found = Digest::of(file).await.map_err(FileCopyError::Target)?;
        Ok(found.is_of(&stored.key, None))
    }

    /// The file of the source, whole.
    async fn read(&self, key: &CrateKey) -> Result<CrateBody, FileCopyError> {
        let file = self.from.get(key, None).await.map_err(FileCopyError::Source)?;
        let file = file.ok_or(FileCopyError::Gone)?;
        let (body, found) = self.collector.collect(file).await.map_err(|error| match error {
            CollectError::Read(error) => FileCopyError::Source(error),
            CollectError::Spool(error) => FileCopyError::Spool(error),
        })?;
        match found.is_of(key, None) {
            true => Ok(body),
            false => Err(FileCopyError::Damaged { found: found.checksum }),
        }
    }

    /// The failure of one file, if it is no more than that.
    async fn of_one_file(&self, error: FileCopyError) -> Result<FileCopyError, FileMigrateError> {
        match error {
            FileCopyError::Source(error) => match self.from.list().try_next().await {
                Ok(_) => Ok(FileCopyError::Source(error)),
                Err(_) => Err(FileMigrateError::Source(error)),
            },
            FileCopyError::Target(
                error @ (StoreError::Full { .. } | StoreError::ReadOnly { .. }),
            ) => Err(FileMigrateError::Target(error)),
            FileCopyError::Target(error) => match self.to.ready().await {
                Ok(()) => Ok(FileCopyError::Target(error)),
                Err(_) => Err(FileMigrateError::Target(error)),
            },
            // The spool is no matter of this file.
            FileCopyError::Spool(error) => Err(FileMigrateError::Spool(error)),
            error => Ok(error),
        }
    }
}

/// A damaged file of the target that was put aside is none, until it is copied anew.
fn unless_quarantined<T>(found: Result<Option<T>, StoreError>) -> Result<Option<T>, FileCopyError> {
    match found {
        Err(StoreError::Quarantined { .. }) => Ok(None),
        found => found.map_err(FileCopyError::Target),
    }
}

enum Copied {
    New,
    Same,
}

/// What became of the files of the source, until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigratedFiles {
    /// What the source had when the migration began.
    pub found: FileCount,
    /// What was not in the target, and is now.
    pub copied: FileCount,
    /// What was in the target already.
    pub same: FileCount,
    /// What is not in the target.
    pub failed: FileCount,
}

impl MigratedFiles {
    /// What has been seen to. More than what was found, if there are new files by now.
    pub fn done(&self) -> FileCount {
        let all = [self.copied, self.same, self.failed];
        FileCount {
            files: all.iter().map(|count| count.files).sum(),
            bytes: all.iter().map(|count| count.bytes).sum(),
        }
    }
}

/// Some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCount {
    /// How many there are.
    pub files: u64,
    /// The sum of their lengths in bytes.
    pub bytes: u64,
}

/// One more file, of so many bytes.
impl AddAssign<u64> for FileCount {
    fn add_assign(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// One file less, of so many bytes.
impl SubAssign<u64> for FileCount {
    fn sub_assign(&mut self, bytes: u64) {
        self.files = self.files.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Why a file is not in the target as it is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileCopyError {
    /// The source has lost it since it was listed.
    #[error("the source does not have it any more")]
    Gone,
    /// What the source has of it is something else.
    #[error("it is damaged in the source: its checksum is {found}")]
    Damaged {
        /// The checksum of what the source has.
        found: Checksum,
    },
    /// The target has something else than what was written.
    #[error("the target does not show what was written to it")]
    Differs,
    /// It cannot be read from the source.
    #[error("it cannot be read from the source")]
    Source(#[source] StoreError),
    /// It cannot be collected in the spool.
    #[error("it cannot be collected in the spool")]
    Spool(#[source] StoreError),
    /// It cannot be written to the target, or read from there.
    #[error("it cannot be written to the target, or read from there")]
    Target(#[source] StoreError),
}

/// A migration of files did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileMigrateError {
    /// The source failed.
    #[error("the source of the migration failed")]
    Source(#[source] StoreError),
    /// The spool failed, or is full.
    #[error("the spool of the migration failed")]
    Spool(#[source] StoreError),
    /// The target failed, or is full or read-only.
    #[error("the target of the migration failed")]
    Target(#[source] StoreError),
}

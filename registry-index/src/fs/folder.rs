//! The folder as those see it who read, and what all have in common.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    num::NonZeroUsize,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use registry_core::{
    CanonicalName, ETag, IndexFile,
    codec::RecordHeader,
    index::{Lookup, Revision, Stored},
};

use super::{
    disk::{self, For},
    error::FolderError,
    layout::{self, Layout},
    record_file::RecordFile,
};

/// The folder, and what this process has to remember of it.
///
/// Each call finds its way from the root: nothing is kept open, so that a folder that was moved
/// away is missed at once, and found again when it is back.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) layout: Layout,
    unsettled: Mutex<BTreeSet<CanonicalName>>,
}

impl Folder {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, unsettled: Mutex::default() }
    }

    /// Waits until nobody else has the lock of this crate, in any process.
    pub(super) fn lock(&self, name: &CanonicalName) -> Result<File, FolderError> {
        self.lock_at(&self.layout.lock(layout::stripe_of(name)))
    }

    /// Waits for the lock on what is not of a crate.
    pub(super) fn lock_folder(&self) -> Result<File, FolderError> {
        self.lock_at(&self.layout.folder_lock())
    }

    fn lock_at(&self, path: &Path) -> Result<File, FolderError> {
        disk::lock(path).map_err(|error| match error {
            // It would be made if the folder were there.
            FolderError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                FolderError::Gone { path: self.layout.root().into() }
            }
            error => error,
        })
    }

    /// Crates whose last write here failed when its record was in place already. What readers see
    /// of such a one may be gone with the power, so that nobody may take it for done.
    pub(super) fn unsettled(&self) -> MutexGuard<'_, BTreeSet<CanonicalName>> {
        // No change of a set is half done when something panics.
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, FolderError> {
        match RecordFile::open(&self.layout, name)? {
            None => Ok(Lookup::Absent),
            Some(record) if Some(&record.header.etag) == known => Ok(Lookup::Unchanged),
            Some(record) => record.index_file().map(Lookup::Found),
        }
    }

    pub(super) fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, FolderError> {
        if self.unsettled().contains(name) {
            let _lock = self.lock(name)?;
            self.settle(name)?;
        }
        let Some(record) = RecordFile::open(&self.layout, name)? else {
            return Ok(Lookup::Absent);
        };
        let revision = revision_of(&record.header);
        if Some(&revision) == known {
            return Ok(Lookup::Unchanged);
        }
        Ok(Lookup::Found(Stored { record: record.record()?, revision }))
    }

    pub(super) fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, FolderError> {
        if !disk::exists(&self.layout.format())? {
            return Err(FolderError::Gone { path: self.layout.root().into() });
        }
        let folders = disk::list(self.layout.records())?.into_iter().map(|(folder, _)| folder);
        let mut shards: Vec<String> = folders.filter(|folder| layout::is_shard(folder)).collect();
        shards.sort();
        let first = after.map_or("", layout::shard_of);
        let mut names = Vec::new();
        for shard in shards.iter().filter(|shard| shard.as_str() >= first) {
            let listed = self.names_in(&self.layout.records().join(shard))?;
            // Nobody looks for a record of another name here, and it would spoil the order.
            let listed = listed.into_iter().filter(|name| layout::shard_of(name) == *shard);
            names.extend(listed.filter(|name| after.is_none_or(|after| name > after)));
            if names.len() >= limit.get() {
                names.truncate(limit.get());
                break;
            }
        }
        Ok(names)
    }

    /// The names that have a record in this shard.
    ///
    /// Where a rename makes a new entry of the one that it replaces (btrfs, tmpfs), a listing can
    /// pass by a crate that is written to meanwhile. So one is believed if nothing was renamed
    /// while it lasted and it has nothing new; as records stay, all of them together are right
    /// sooner. Their number has a limit, lest somebody who writes all the time ends no listing.
    fn names_in(&self, shard: &Path) -> Result<BTreeSet<CanonicalName>, FolderError> {
        const MOST_LISTINGS: usize = 8;
        let mut names = BTreeSet::new();
        if !disk::is_folder(shard)? {
            return Ok(names);
        }
        for _ in 0..MOST_LISTINGS {
            let (count, modified) = (names.len(), disk::modified(shard)?);
            let files = disk::list(shard)?.into_iter();
            names.extend(files.filter_map(|(file, _)| layout::canonical(&file)));
            if names.len() == count && disk::modified(shard)? == modified {
                break;
            }
        }
        Ok(names)
    }

    /// Succeeds if there is room for something to be written.
    pub(super) fn ready(&self) -> Result<(), FolderError> {
        let _lock = self.lock_folder()?;
        let path = self.layout.staged_other("ready");
        let written = disk::stage(&path, &[b'\n'; 4096], For::Owner);
        disk::remove(&path)?;
        written
    }
}

pub(super) fn revision_of(header: &RecordHeader) -> Revision {
    Revision::from(header.write.to_string())
}

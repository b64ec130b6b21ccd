//! How a record is replaced, and what is made of a write that was interrupted.
//!
//! A write stages the record and the lines and flushes both, then renames the one and the other to
//! their places. A kill, or an end of the power, may come anywhere in between:
//!
//! - Until both files are flushed, neither place has been touched.
//! - From then on both staged names are durable: on ext4, XFS and btrfs the flush of a new file
//!   takes its name along. A rename takes a staged name away in the same step in which it replaces
//!   the file at the place, and the journal has both or neither. So whichever of the two renames is
//!   lost, its staged name is back; if none is there, both took place.
//!
//! The staged names are thus a complete list of the crates whose lines may not be those of
//! their record, however many crates there are, and [`Folder::settle`] makes either of them right.
//! It writes in the same way, so that an interruption of its own leaves such names as well.

use std::path::Path;

use bytes::Bytes;
use registry_core::{CanonicalName, CrateRecord, IndexError, IndexFile, codec, index::Revision};

use super::{
    disk::{self, For},
    error::FolderError,
    folder::{Folder, revision_of},
    layout,
    record_file::RecordFile,
};

/// Why a write did not come to its end.
enum WriteError {
    /// The old record is in place.
    Before(FolderError),
    /// The new record is in place, durably or not.
    After(FolderError),
}

impl Folder {
    pub(super) fn commit(
        &self,
        expected: Option<&Revision>,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        let _lock = self.lock(&name)?;
        self.settle(&name)?;
        let stored = RecordFile::open(&self.layout, &name)?.map(|record| record.header);
        if stored.as_ref().map(revision_of).as_ref() != expected {
            return Err(IndexError::Conflict { name });
        }
        let write = getrandom::u64().map_err(FolderError::Random)?;
        let record = codec::encode(next, write);
        let lines = index_file_of(&record);
        // Left alone where only owners change: to a web server and its clients nothing does.
        let lines =
            (stored.map(|header| header.etag).as_ref() != Some(&lines.etag)).then_some(lines);
        match self.write(&name, &record, lines.as_ref()) {
            Ok(()) => Ok(Revision::from(write.to_string())),
            Err(WriteError::Before(error)) => {
                // Nothing has been done yet. What cannot be removed is settled by the next write.
                let _ = self.remove_staged(&name);
                Err(error.into())
            }
            Err(WriteError::After(error)) => {
                self.unsettled().insert(name.clone());
                Err(IndexError::OutcomeUnknown { name, source: error.into() })
            }
        }
    }

    /// Makes one durable state of what an interrupted or failed write of this crate has left, if
    /// there was one. The caller has the crate's lock, so no write of it is under way.
    pub(super) fn settle(&self, name: &CanonicalName) -> Result<(), FolderError> {
        let (record, lines) = (self.layout.staged_record(name), self.layout.staged_lines(name));
        let is_settled =
            !disk::exists(&record)? && !disk::exists(&lines)? && !self.unsettled().contains(name);
        if is_settled {
            return Ok(());
        }
        self.rewrite(name)?;
        self.unsettled().remove(name);
        Ok(())
    }

    /// Writes a record once more, with its lines. What failed to be flushed is not flushed again,
    /// because the system may have forgotten what there was to flush.
    pub(super) fn rewrite(&self, name: &CanonicalName) -> Result<(), FolderError> {
        let Some(stored) = RecordFile::open(&self.layout, name)? else {
            return self.remove_unrecorded(name);
        };
        let record = stored.bytes()?;
        let written = self.write(name, &record, Some(&index_file_of(&record)));
        written.map_err(|(WriteError::Before(error) | WriteError::After(error))| error)
    }

    /// Removes what the first write of a crate has left that did not get as far as its record.
    fn remove_unrecorded(&self, name: &CanonicalName) -> Result<(), FolderError> {
        // The power may have taken the rename of the record and left that of the lines. Then what
        // is staged is whole, and says where they are.
        let staged = match RecordFile::open_at(self.layout.staged_record(name), name) {
            Err(error) if error.is_damage() => None,
            staged => staged?,
        };
        if let Some(staged) = staged {
            let lines = self.layout.index_file(&staged.header.name);
            if disk::exists(&lines)? {
                disk::remove(&lines)?;
                sync_folder_of(&lines)?;
            }
        }
        self.remove_staged(name)
    }

    fn remove_staged(&self, name: &CanonicalName) -> Result<(), FolderError> {
        disk::remove(&self.layout.staged_record(name))?;
        disk::remove(&self.layout.staged_lines(name))
    }

    /// Puts a record, and the lines if they are given, in place of what is there.
    fn write(
        &self,
        name: &CanonicalName,
        record: &Bytes,
        lines: Option<&IndexFile>,
    ) -> Result<(), WriteError> {
        let lines_at = lines.map(|lines| self.layout.index_file(&lines.name));
        let (staged_record, staged_lines) =
            (self.layout.staged_record(name), self.layout.staged_lines(name));
        let record_at = self.layout.record(name);
        let stage = || {
            disk::make_folder(&self.layout.shard(name), For::Owner)?;
            disk::stage(&staged_record, record, For::Owner)?;
            if let (Some(lines), Some(lines_at)) = (lines, &lines_at) {
                self.make_folders_of(lines_at)?;
                disk::stage(&staged_lines, &lines.body, For::Readers)?;
            }
            // The moment at which the write takes place, to whoever reads by the record.
            disk::rename(&staged_record, &record_at)
        };
        let finish = || {
            if let Some(lines_at) = &lines_at {
                disk::rename(&staged_lines, lines_at)?;
            }
            sync_folder_of(&record_at)?;
            lines_at.as_deref().map_or(Ok(()), sync_folder_of)
        };
        stage().map_err(WriteError::Before)?;
        finish().map_err(WriteError::After)
    }

    /// Makes the folders between the root and an index file.
    fn make_folders_of(&self, index_file: &Path) -> Result<(), FolderError> {
        let root = self.layout.root();
        let mut missing: Vec<&Path> =
            index_file.ancestors().skip(1).take_while(|folder| *folder != root).collect();
        missing.reverse();
        missing.into_iter().try_for_each(|folder| disk::make_folder(folder, For::Readers))
    }

    /// Settles what writes have left that were interrupted, for all crates.
    ///
    /// What cannot be settled now, on a full disk say, is so by the next commit of that crate: until
    /// then nothing is amiss but the file of its lines.
    pub(super) fn settle_all(&self) -> Result<(), FolderError> {
        for (file, _) in disk::list(&self.layout.staged())? {
            if let Some(name) = layout::staged_crate(&file) {
                let _lock = self.lock(&name)?;
                let _ = self.settle(&name);
            }
        }
        Ok(())
    }
}

fn sync_folder_of(file: &Path) -> Result<(), FolderError> {
    file.parent().map_or(Ok(()), disk::sync_folder)
}

fn index_file_of(record: &Bytes) -> IndexFile {
    codec::index_file(record.clone()).expect("encoded by us, or its header has been read")
}

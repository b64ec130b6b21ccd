//! An index of one's own: a folder with one file per crate.
//!
//! This file is all of it. What it owes is said by [`RecordStore`]; that it pays is shown by
//! registry-core's conformance suite, in `tests/conformance.rs`. For one process at a time, and
//! for disks that are quick: it blocks while it writes.

use std::{
    fs::{self, File},
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Mutex,
};

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{CanonicalName, IndexError, index::Revision};
use registry_index::RecordStore;

/// Keeps the record of each crate in a file of that name. Before the record, each file has a line
/// with how often the record was replaced: its revision.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
    writing: Mutex<()>,
}

impl FolderStore {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, writing: Mutex::new(()) })
    }

    fn read(&self, name: &CanonicalName) -> io::Result<Option<(u64, Bytes)>> {
        let mut file = match fs::read(self.folder.join(name.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => Bytes::from(file?),
        };
        let end = file.iter().position(|byte| *byte == b'\n').unwrap_or_default();
        let count = str::from_utf8(&file[..end]).ok().and_then(|count| count.parse().ok());
        let count = count.ok_or_else(|| io::Error::other(format!("`{name}` is not a record")))?;
        Ok(Some((count, file.split_off(end + 1))))
    }

    fn replace(&self, name: &CanonicalName, count: u64, record: &[u8]) -> io::Result<()> {
        // No crate name contains a dot, so this file is never taken for a record.
        let staged = self.folder.join(".staged");
        let mut file = File::create(&staged)?;
        file.write_all(format!("{count}\n").as_bytes())?;
        file.write_all(record)?;
        file.sync_all()?;
        // Renamed, not written in place: a reader must see the old record or the new one.
        fs::rename(staged, self.folder.join(name.as_str()))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[async_trait]
impl RecordStore for FolderStore {
    async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
        let found = self.read(name).map_err(failed)?;
        Ok(found.map(|(count, record)| (record, count.to_string().into())))
    }

    async fn put(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        record: Bytes,
    ) -> Result<Revision, IndexError> {
        let _one_at_a_time = self.writing.lock().map_err(|_| failed("a writer panicked"))?;
        let count = self.read(name).map_err(failed)?.map(|(count, _)| count);
        if count.map(|count| count.to_string()).as_deref() != expected.map(Revision::as_str) {
            return Err(IndexError::Conflict { name: name.clone() });
        }
        let next = count.unwrap_or(0) + 1;
        // Where the rename failed, and where only the flush after it did: who knows.
        self.replace(name, next, &record).map_err(|source| IndexError::OutcomeUnknown {
            name: name.clone(),
            source: source.into(),
        })?;
        Ok(next.to_string().into())
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let files = fs::read_dir(&self.folder).map_err(failed)?;
        let files = files.map(|file| file.map(|file| file.file_name()));
        let files: Vec<_> = files.collect::<Result<_, _>>().map_err(failed)?;
        let names = files.iter().filter_map(|file| CanonicalName::new(file.to_str()?).ok());
        let mut names: Vec<_> =
            names.filter(|name| after.is_none_or(|after| name > after)).collect();
        names.sort();
        names.truncate(limit.get());
        Ok(names)
    }

    async fn ready(&self) -> Result<(), IndexError> {
        fs::read_dir(&self.folder).map(drop).map_err(failed)
    }
}

fn failed(source: impl Into<registry_core::BoxError>) -> IndexError {
    IndexError::Backend { backend: "folder", source: source.into() }
}

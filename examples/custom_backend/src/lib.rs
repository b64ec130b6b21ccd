//! An index of one's own: a folder with one file per crate, for one process and a quick disk. What
//! it owes is said by [`RecordStore`]; that it pays is shown by `tests/conformance.rs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{BoxError, CanonicalName, IndexError, RecordStore, index::Revision};

/// Keeps the record of each crate in a file of that name, behind a line with its revision: how
/// often it was replaced.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
    writing: Mutex<()>,
}

impl FolderStore {
    /// Opens a folder, and makes it if it is not there.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, writing: Mutex::new(()) })
    }

    fn read(&self, name: &CanonicalName) -> Result<Option<(u64, Bytes)>, BoxError> {
        let mut file = match fs::read(self.folder.join(name.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => Bytes::from(file?),
        };
        let line = file.iter().position(|&byte| byte == b'\n').ok_or("a file is cut")?;
        let record = file.split_off(line + 1);
        Ok(Some((str::from_utf8(&file[..line])?.parse()?, record)))
    }

    fn replace(&self, name: &CanonicalName, revision: u64, record: &[u8]) -> io::Result<()> {
        // No crate name contains a dot, so this file is never taken for a record.
        let staged = self.folder.join(".staged");
        let mut file = File::create(&staged)?;
        file.write_all(&[format!("{revision}\n").as_bytes(), record].concat())?;
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
        Ok(found.map(|(revision, record)| (record, revision.to_string().into())))
    }

    async fn put(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        record: Bytes,
    ) -> Result<Revision, IndexError> {
        let _turn = self.writing.lock().map_err(|_| failed("a writer panicked".into()))?;
        let stored = self.read(name).map_err(failed)?.map(|(revision, _)| revision);
        if stored.map(|stored| stored.to_string()).as_deref() != expected.map(Revision::as_str) {
            return Err(IndexError::Conflict { name: name.clone() });
        }
        let next = stored.unwrap_or(0) + 1;
        // Whether the old or the new file survives a failed flush, nobody knows.
        let unknown = |source| IndexError::OutcomeUnknown { name: name.clone(), source };
        self.replace(name, next, &record).map_err(|error| unknown(error.into()))?;
        Ok(next.to_string().into())
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let files = fs::read_dir(&self.folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let files = files.map_err(|error| failed(error.into()))?;
        let names =
            files.iter().filter_map(|file| CanonicalName::new(file.file_name().to_str()?).ok());
        let mut names: Vec<_> = names.filter(|name| after.is_none_or(|a| name > a)).collect();
        names.sort();
        names.truncate(limit.get());
        Ok(names)
    }

    async fn ready(&self) -> Result<(), IndexError> {
        fs::read_dir(&self.folder).map(drop).map_err(|error| failed(error.into()))
    }
}

fn failed(source: BoxError) -> IndexError {
    IndexError::Backend { backend: "folder", source }
}

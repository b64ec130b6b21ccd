//! The files that cargo reads, compared with the records.

use std::{num::NonZeroUsize, path::Path};

use registry_core::{CanonicalName, CrateName};

use super::{disk, error::FolderError, folder::Folder, record_file::RecordFile};

/// How many names are in memory at a time.
const PAGE: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// An index file that is not what the records say. It is made anew by
/// [`FolderIndex::rebuild`](super::FolderIndex::rebuild).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// The file of this crate is not there, or has other bytes.
    #[error(
        "the index file of crate `{name}` in the folder is not there, or differs from its record"
    )]
    Differs {
        /// The crate, as first published.
        name: CrateName,
    },
    /// A file is where cargo would look for this crate, and no record says so.
    #[error("there is an index file of crate `{name}` in the folder, and no record of it")]
    Unrecorded {
        /// The crate, in lower case.
        name: CrateName,
    },
}

impl Folder {
    pub(super) fn differences(&self, rebuild: bool) -> Result<Vec<Difference>, FolderError> {
        let mut found = Vec::new();
        let mut last = None;
        loop {
            let names = self.names(last.as_ref(), PAGE)?;
            for name in &names {
                found.extend(unless_damaged(self.difference(name, rebuild))?.flatten());
            }
            match names.into_iter().next_back() {
                Some(name) => last = Some(name),
                None => break,
            }
        }
        self.unrecorded(self.layout.root(), "", rebuild, &mut found)?;
        Ok(found)
    }

    fn difference(
        &self,
        name: &CanonicalName,
        rebuild: bool,
    ) -> Result<Option<Difference>, FolderError> {
        let _lock = self.lock(name)?;
        if rebuild {
            self.settle(name)?;
        }
        let Some(record) = RecordFile::open(&self.layout, name)? else { return Ok(None) };
        let spelling = record.header.name.clone();
        if !self.lines_differ(record)? {
            return Ok(None);
        }
        if rebuild {
            self.rewrite(name)?;
        }
        Ok(Some(Difference::Differs { name: spelling }))
    }

    fn lines_differ(&self, record: RecordFile) -> Result<bool, FolderError> {
        let expected = record.index_file()?;
        Ok(!disk::holds(&self.layout.index_file(&expected.name), &expected.body)?)
    }

    /// Looks for files at the paths of crates that have no record, or another spelling.
    fn unrecorded(
        &self,
        folder: &Path,
        below: &str,
        remove: bool,
        found: &mut Vec<Difference>,
    ) -> Result<(), FolderError> {
        let mut entries = disk::list(folder)?;
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (file, kind) in entries {
            let (path, below) = (folder.join(&file), format!("{below}{file}"));
            if kind.is_dir() {
                // No deeper than an index is, and not where there is none.
                if !file.starts_with('.') && below.matches('/').count() < 2 {
                    self.unrecorded(&path, &format!("{below}/"), remove, found)?;
                }
                continue;
            }
            let Some(name) = CrateName::from_sparse_path(&below) else { continue };
            let canonical = name.canonical();
            let _lock = self.lock(&canonical)?;
            let record = unless_damaged(RecordFile::open(&self.layout, &canonical))?;
            // What is to be there nobody knows.
            let Some(record) = record else { continue };
            if record.is_some_and(|record| record.header.name.sparse_path() == below) {
                continue;
            }
            if remove {
                disk::remove(&path)?;
                disk::sync_folder(folder)?;
            }
            found.push(Difference::Unrecorded { name });
        }
        Ok(())
    }
}

/// Nothing, if it is one record that is damaged: whoever loads it is told, and the others go on.
fn unless_damaged<T>(done: Result<T, FolderError>) -> Result<Option<T>, FolderError> {
    match done {
        Err(error) if error.is_damage() => Ok(None),
        done => done.map(Some),
    }
}

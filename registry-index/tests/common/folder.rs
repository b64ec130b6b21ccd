//! A folder index with one crate, and what lies in its files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use registry_core::{
    CrateRecord, Index as _,
    conformance::record_fixture::{canonical, first, publish},
    index::{Lookup, Revision, Stored},
    record::Transition,
};
use registry_index::fs::FolderIndex;
use tempfile::TempDir;

/// A folder with one crate, whose state is known.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) index: FolderIndex,
    pub(crate) record: CrateRecord,
    pub(crate) revision: Revision,
}

pub(crate) const CRATE: &str = "Foo-Bar";
pub(crate) const LINES: &str = "fo/o-/foo-bar";
pub(crate) const RECORD: &str = ".records/fo/foo_bar";

pub(crate) fn open(folder: &TempDir) -> FolderIndex {
    FolderIndex::open(folder.path().join("index")).unwrap()
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder);
        let (record, change) = first(CRATE, "0.1.0");
        let revision = index.commit(None, &change, &record).await.unwrap();
        Self { folder, index, record, revision }
    }

    pub(crate) async fn commit(&mut self, (next, change): Transition) {
        let committed = self.index.commit(Some(&self.revision), &change, &next).await;
        (self.record, self.revision) = (next, committed.unwrap());
    }

    pub(crate) async fn publish(&mut self, version: &str) {
        self.commit(publish(&self.record, version)).await;
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("index").join(file)
    }

    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(file), bytes).unwrap();
    }

    pub(crate) fn staged(&self) -> Vec<PathBuf> {
        files_below(&self.path(".records/staged"))
    }

    /// Everybody sees the same state, and no write is half done.
    pub(crate) async fn assert_stored(&self) {
        let (name, expected) = (canonical(CRATE), self.record.index_file());
        let stored = Stored { record: self.record.clone(), revision: self.revision.clone() };
        assert_eq!(self.index.load(&name, None).await.unwrap(), Lookup::Found(stored));
        let file = self.index.index_file(&name, None).await.unwrap();
        assert_eq!(file, Lookup::Found(expected.clone()));
        assert_eq!(self.read(LINES), expected.body);
        assert_eq!(self.staged(), [] as [PathBuf; 0]);
    }
}

/// The files in a folder and below, by their paths from it.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let file = PathBuf::from(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path()).iter().map(|below| file.join(below))),
            false => files.push(file),
        }
    }
    files.sort();
    files
}

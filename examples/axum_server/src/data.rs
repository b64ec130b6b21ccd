//! The data folder: `index.sqlite`, which also holds the tokens, and crate files in `crates/`.

use std::{fs, io, path::Path};

use registry_index::sqlite::{SqliteDatabase, SqliteIndex, SqliteTokens};
use registry_storage::ObjectCrateStore;

use crate::{error::Error, routes::REGISTRY};

pub(crate) struct Data {
    database: SqliteDatabase,
    crates: ObjectCrateStore,
}

impl Data {
    /// Opens the data in `folder`, which is made if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        create_folder(folder)
            .map_err(|source| Error::DataFolder { folder: folder.into(), source })?;
        let path = folder.join("index.sqlite");
        let database = SqliteDatabase::open(&path)
            .map_err(|error| Error::Open { path, source: error.into() })?;
        let path = folder.join("crates");
        let crates = ObjectCrateStore::filesystem(&path)
            .map_err(|error| Error::Open { path, source: error.into() })?;
        Ok(Self { database, crates })
    }

    pub(crate) fn index(&self) -> SqliteIndex {
        self.database.index(REGISTRY)
    }

    pub(crate) fn crates(&self) -> ObjectCrateStore {
        self.crates.clone()
    }

    pub(crate) fn tokens(&self) -> SqliteTokens {
        self.database.tokens()
    }
}

/// Makes a folder that nobody else on the machine looks into.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

//! The data folder: `index.sqlite`, which also holds the tokens, and crate files in `crates/`.

use std::path::Path;

use registry_index::sqlite::{SqliteDatabase, SqliteOpenError};
use registry_storage::ObjectCrateStore;

use crate::error::Error;

const DATABASE: &str = "index.sqlite";

/// Whether there is a registry in `folder`.
pub(crate) fn is_there(folder: &Path) -> bool {
    folder.join(DATABASE).exists()
}

/// Opens the database in the data folder `folder`; makes both if they are not there, so that
/// nobody else on the machine looks into them.
pub(crate) fn open_database(folder: &Path) -> Result<SqliteDatabase, Error> {
    let path = folder.join(DATABASE);
    SqliteDatabase::open(&path).map_err(|error| match error {
        SqliteOpenError::Create { source, .. } if !folder.is_dir() => {
            Error::DataFolder { folder: folder.into(), source }
        }
        error => Error::Open { path, source: error.into() },
    })
}

/// Opens the crate files in the data folder.
pub(crate) fn open_crates(folder: &Path) -> Result<ObjectCrateStore, Error> {
    let path = folder.join("crates");
    ObjectCrateStore::filesystem(&path).map_err(|error| Error::Open { path, source: error.into() })
}

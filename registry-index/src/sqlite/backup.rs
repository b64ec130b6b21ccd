//! Copies of the file, made while it is in use.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process,
    time::SystemTime,
};

use registry_core::BoxError;

use super::{
    SqliteDatabase,
    schema::{self, Access},
};

impl SqliteDatabase {
    /// Writes a copy of the whole database to a new file at `path`, mode 0600, as it is at one
    /// moment, while readers and writers go on; [`SqliteDatabase::open`] opens it.
    ///
    /// The copy is made in a hidden file beside `path`, which becomes `path` once it is complete and
    /// on disk: what is there under that name is whole. If the process is killed, the hidden file is
    /// left, and may be removed.
    ///
    /// Takes as long as reading every page does, and the log beside the file cannot be emptied
    /// meanwhile, so it grows by what is written. A backup that has begun goes on when its future is
    /// dropped.
    ///
    /// # Errors
    /// [`SqliteBackupError::Exists`] if there is something at `path`, which is left as it is;
    /// otherwise what failed. Nothing is left behind.
    pub async fn backup(&self, path: impl Into<PathBuf>) -> Result<(), SqliteBackupError> {
        let (database, path) = (self.clone(), path.into());
        let copied = tokio::task::spawn_blocking(move || database.copy(&path));
        copied.await.map_err(|panic| SqliteBackupError::Sqlite { source: panic.into() })?
    }

    fn copy(&self, path: &Path) -> Result<(), SqliteBackupError> {
        let failed = |source| SqliteBackupError::Write { path: path.into(), source };
        if path.symlink_metadata().is_ok() {
            return Err(SqliteBackupError::Exists { path: path.into() });
        }
        let staged = Staged::create(path).map_err(failed)?;
        self.vacuum_into(&staged.0).map_err(|source| SqliteBackupError::Sqlite { source })?;
        // SQLite leaves it to us to have the copy on disk.
        fs::File::open(&staged.0).and_then(|file| file.sync_all()).map_err(failed)?;
        // A link, because a rename would replace what somebody else has put there meanwhile.
        fs::hard_link(&staged.0, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SqliteBackupError::Exists { path: path.into() },
            _ => failed(error),
        })?;
        drop(staged);
        schema::sync_folder(path.parent().unwrap_or(Path::new(""))).map_err(failed)
    }

    /// One read transaction of a connection of its own, which gives one state and keeps no writer
    /// waiting, and takes note of damaged pages, as it reads by their content.
    fn vacuum_into(&self, path: &Path) -> Result<(), BoxError> {
        let path = path.to_str().ok_or("SQLite takes no file name that is not UTF-8")?;
        let connection = self.0.connect(Access::Write)?;
        connection.execute("VACUUM INTO ?1", [path])?;
        Ok(())
    }
}

/// The copy while it is made, removed in the end.
struct Staged(PathBuf);

impl Staged {
    fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut staged = OsString::from(".");
        staged.push(name);
        // Two backups to one place are not to meet in one file, and what a killed process left is
        // not to stand in the way of the next, which may have its number.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        staged.push(format!(".{}-{}.partial", process::id(), now.as_nanos()));
        let staged = path.with_file_name(staged);
        schema::create_file(&staged)?;
        Ok(Self(staged))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What cannot be removed stays, and nobody takes it for a backup.
        let _ = fs::remove_file(&self.0);
    }
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteBackupError {
    /// There is something where the backup is to be, and it is not replaced.
    #[error("`{}` is there already", path.display())]
    Exists {
        /// Where the backup was to be.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Where the backup was to be.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The database could not be read, or its copy not be written.
    #[error("the database cannot be copied")]
    Sqlite {
        /// What SQLite said.
        #[source]
        source: BoxError,
    },
}

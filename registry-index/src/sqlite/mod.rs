//! Registries, users, tokens and audit trails in one SQLite file.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("registry.sqlite");
//! use registry_index::sqlite::SqliteDatabase;
//!
//! let database = SqliteDatabase::open(path)?;
//! let index = database.index("main");
//! let tokens = database.tokens();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Several processes on one host may use one file; a network file system will not do, because
//! SQLite's write-ahead log needs shared memory. Every acknowledged write has reached the disk
//! (`synchronous=FULL`). A write that has begun goes on when its future is dropped.
//!
//! Runs its queries by [`tokio::task::spawn_blocking`], so it needs a tokio runtime around it.
//!
//! If the file is moved, removed or replaced while it is open, everything fails until the process is
//! started again, or the file is back: writes to a file that nobody finds any more would be lost.
//!
//! Back it up with [`SqliteDatabase::backup`], never by copying the file: the newest commits are in
//! the log beside it.
//!
//! Writers that wait at the same time share one transaction and its way to the disk, so many of them
//! get more done than one. A search reads a word index (FTS5) in the same file.

mod accounts;
mod approved_names;
mod audit;
mod backup;
mod index;
mod keys;
mod pool;
mod registries;
mod schema;
mod search;
mod single_use;
mod tokens;
mod trusted;

use std::{fmt, path::PathBuf, sync::Arc};

use registry_core::{BoxError, CanonicalName, IndexError, record::About, search::crate_words};

use self::pool::Pool;
pub use self::{
    accounts::SqliteAccounts, approved_names::SqliteApprovedNames, audit::SqliteAudit,
    backup::SqliteBackupError, index::SqliteIndex, keys::SqliteKeys, registries::SqliteRegistries,
    schema::SqliteOpenError, single_use::SqliteSingleUse, tokens::SqliteTokens,
    trusted::SqliteTrustedPublishers,
};

const BACKEND: &str = "sqlite";

/// One SQLite file, opened. Clones share its connections.
#[derive(Clone)]
pub struct SqliteDatabase(Arc<Pool>);

impl SqliteDatabase {
    /// Opens the file at `path`, and creates it, with the folders above it, if it is not there:
    /// for the owner alone, mode 0600, folders 0700. Brings an older schema up to date.
    ///
    /// Blocks for as long as the disk takes, and up to five seconds for other processes.
    ///
    /// # Errors
    /// [`SqliteOpenError`] if the file is not ours, or of a later version, or cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SqliteOpenError> {
        let path = path.into();
        let connection = schema::open(&path)?;
        match Pool::new(path.clone(), connection) {
            Ok(pool) => Ok(Self(Arc::new(pool))),
            Err(source) => Err(SqliteOpenError::Sqlite { path, source: source.into() }),
        }
    }

    /// The index of the registry called `registry`; its crates are not seen by any other.
    ///
    /// A registry is there as soon as something is published in it, but for one of the
    /// [list](Self::registries): `registry` is its [key] then, which alone has a
    /// `#` in it, and nothing can be published in it after it was deleted.
    ///
    /// [key]: registry_core::registries::RegistryRecord::key
    pub fn index(&self, registry: &str) -> SqliteIndex {
        SqliteIndex { pool: self.0.clone(), registry: registry.into() }
    }

    /// The list of those registries in this file that were made by name. They have users, tokens and keys
    /// in common with all others.
    pub fn registries(&self) -> SqliteRegistries {
        SqliteRegistries { pool: self.0.clone() }
    }

    /// The users, service accounts and groups, which all registries in this file have in common.
    pub fn accounts(&self) -> SqliteAccounts {
        SqliteAccounts { pool: self.0.clone() }
    }

    /// The users and tokens, which all registries in this file have in common.
    pub fn tokens(&self) -> SqliteTokens {
        SqliteTokens { pool: self.0.clone(), outside: None }
    }

    /// The trusted publishers of the crates of the registry called `registry`.
    pub fn trusted_publishers(&self, registry: &str) -> SqliteTrustedPublishers {
        SqliteTrustedPublishers { pool: self.0.clone(), registry: registry.into() }
    }

    /// The keys that users sign tokens with, which all registries in this file have in common.
    pub fn keys(&self) -> SqliteKeys {
        SqliteKeys { pool: self.0.clone() }
    }

    /// The new names that were agreed to in the registry called `registry`.
    pub fn approved_names(&self, registry: &str) -> SqliteApprovedNames {
        SqliteApprovedNames { pool: self.0.clone(), registry: registry.into() }
    }

    /// What counts only once, in all registries in this file.
    pub fn single_use(&self) -> SqliteSingleUse {
        SqliteSingleUse { pool: self.0.clone() }
    }

    /// The audit trail of the registry called `registry`. Its index writes to it by itself: what was
    /// committed and its entry are one transaction.
    pub fn audit(&self, registry: &str) -> SqliteAudit {
        SqliteAudit { pool: self.0.clone(), registry: registry.into() }
    }

    /// A number that has changed if anything was committed to the file since it was last asked for,
    /// by this process or another; `None` if that cannot be told, such as a moment after the file
    /// was replaced. For caches: what was read after a number was had is still so while it stays.
    ///
    /// Takes some microseconds and does not wait for writers, so it may be called from async code. On
    /// Linux, it is read from the shared memory beside the file: a file stays open for that, also when
    /// the database is dropped while others have it open.
    pub fn generation(&self) -> Option<u64> {
        self.0.generation()
    }

    /// Looks for damage in the whole file (`PRAGMA quick_check`).
    ///
    /// Reads every page, so it is not a part of [`SqliteDatabase::open`]: a server should not take
    /// longer to start the more it holds.
    ///
    /// # Errors
    /// [`IndexError::Backend`] with what was found.
    pub async fn check(&self) -> Result<(), IndexError> {
        let found = self.0.read(|transaction| {
            Ok(transaction
                .pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0))?)
        });
        match found.await {
            Ok(found) if found == "ok" => Ok(()),
            Ok(found) => Err(failed(found.into())),
            Err(source) => Err(failed(source)),
        }
    }
}

impl fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteDatabase").field(&self.0).finish()
    }
}

/// The words by which a crate is found, as the table keeps them.
fn words_text(name: &CanonicalName, about: &About) -> String {
    crate_words(name, about).into_iter().collect::<Vec<_>>().join(" ")
}

fn failed(source: BoxError) -> IndexError {
    IndexError::Backend { backend: BACKEND, source }
}

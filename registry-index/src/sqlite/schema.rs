//! Opening the file: what it must be, and how a connection is set up.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use registry_core::{
    BoxError, CanonicalName, Login, Owner,
    auth::{Scopes, TokenDigest, TokenId, TokenKey, TokenKind, TokenRecord, Vouched},
    record::Timestamp,
};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::{tokens::insert_token, words_text};

/// In the header of every file of ours, so that nothing else's is taken for one.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"CrgR");

/// What makes version n + 1 of the schema out of version n. Never edited, only added to.
const MIGRATIONS: [Migration; 6] = [
    Migration { sql: include_str!("migrations/1.sql"), ..Migration::NOTHING },
    Migration { prepare: fill_words, sql: include_str!("migrations/2.sql"), ..Migration::NOTHING },
    Migration { sql: include_str!("migrations/3.sql"), ..Migration::NOTHING },
    Migration { sql: include_str!("migrations/4.sql"), finish: key_tokens, ..Migration::NOTHING },
    Migration { sql: include_str!("migrations/5.sql"), ..Migration::NOTHING },
    Migration { sql: include_str!("migrations/6.sql"), ..Migration::NOTHING },
];

/// One step of the schema.
struct Migration {
    /// What SQL cannot do, run before `sql`.
    prepare: fn(&Transaction<'_>) -> Result<(), BoxError>,
    sql: &'static str,
    /// The same, run behind it.
    finish: fn(&Transaction<'_>) -> Result<(), BoxError>,
}

impl Migration {
    const NOTHING: Self = Self { prepare: |_| Ok(()), sql: "", finish: |_| Ok(()) };
}

/// Older ones could damage a file in write-ahead mode. Source: sqlite.org/wal.html, "The WAL-Reset
/// Bug".
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a lock of another process is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before trying again where SQLite does not wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// What a connection is for.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Read,
    Write,
    /// To ask whether anything was committed, where nothing may block.
    Watch,
}

/// Why a file cannot be used as a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteOpenError {
    /// SQLite is too old. Only a program that brings its own SQLite sees this.
    #[error("SQLite {found} is too old, at least 3.51.3 is needed")]
    OldSqlite {
        /// Its version.
        found: &'static str,
    },
    /// The file, or a folder above it, cannot be created.
    #[error("cannot create `{}`", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is a database of something else.
    #[error("`{}` is not a database of this registry", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of this library.
    #[error(
        "`{}` has schema version {found}, this version reads up to {}",
        path.display(), MIGRATIONS.len()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i32,
    },
    /// SQLite failed.
    #[error("cannot open `{}`", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: BoxError,
    },
}

/// Opens the file to write, creates it if there is none, and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Connection, SqliteOpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(SqliteOpenError::OldSqlite { found: rusqlite::version() });
    }
    create(path).map_err(|source| SqliteOpenError::Create { path: path.into(), source })?;
    let damaged = |source| SqliteOpenError::Sqlite { path: path.into(), source };
    let failed = |source: rusqlite::Error| damaged(source.into());
    let mut connection = connect(path, Access::Write).map_err(failed)?;
    let (application_id, tables) = identify(&mut connection).map_err(failed)?;
    if application_id != APPLICATION_ID && (application_id, tables) != (0, 0) {
        return Err(SqliteOpenError::Foreign { path: path.into() });
    }
    let mode = switch_to_wal(&connection).map_err(failed)?;
    if mode != "wal" {
        return Err(damaged(format!("the journal mode is `{mode}` and cannot be changed").into()));
    }
    match migrate(&mut connection).map_err(damaged)? {
        Some(found) => Err(SqliteOpenError::Newer { path: path.into(), found }),
        None => Ok(connection),
    }
}

/// Turns the write-ahead log on; the journal mode that the file has after that.
///
/// Two processes that open a new file at once stand in each other's way here, and SQLite gives up
/// at once rather than after the busy timeout: each holds a lock that the other needs.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<String> {
    let started = Instant::now();
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0));
        match mode {
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                thread::sleep(BUSY_PAUSE);
            }
            mode => return mode,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// The application id, and how many tables there are.
fn identify(connection: &mut Connection) -> rusqlite::Result<(i32, i64)> {
    // In one transaction: another process may be creating the tables now.
    let transaction = connection.transaction()?;
    let application_id =
        transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((application_id, tables))
}

/// Runs what is missing; the version found, if it is later than all we know.
fn migrate(connection: &mut Connection) -> Result<Option<i32>, BoxError> {
    // What a migration removes is not left in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = usize::try_from(found).ok().and_then(|done| MIGRATIONS.get(done..)) else {
        return Ok(Some(found));
    };
    if !missing.is_empty() {
        for migration in missing {
            (migration.prepare)(&transaction)?;
            transaction.execute_batch(migration.sql)?;
            (migration.finish)(&transaction)?;
        }
        let version = i32::try_from(MIGRATIONS.len()).expect("there are a handful");
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()?;
    Ok(None)
}

/// Gives each crate of schema 1 the words by which it is found.
fn fill_words(transaction: &Transaction<'_>) -> Result<(), BoxError> {
    let mut crates = transaction.prepare("SELECT id, canonical, about FROM crate")?;
    let mut update = transaction.prepare("UPDATE crate SET search_text = ?2 WHERE id = ?1")?;
    let mut rows = crates.query([])?;
    while let Some(row) = rows.next()? {
        let canonical = CanonicalName::new(row.get_ref(1)?.as_str()?)?;
        let about = serde_json::from_str(row.get_ref(2)?.as_str()?)?;
        update.execute((row.get::<_, i64>(0)?, words_text(&canonical, &about)))?;
    }
    Ok(())
}

/// Makes the key of the file, and puts the tokens of schema 3, which are plain digests, under it.
fn key_tokens(transaction: &Transaction<'_>) -> Result<(), BoxError> {
    let key = TokenKey::generate()?;
    transaction.execute(include_str!("sql/insert_token_key.sql"), [key.expose()])?;
    let mut plain = transaction.prepare(
        "SELECT plain_token.digest, plain_token.created_at, user.id, user.login
         FROM plain_token JOIN user ON user.id = plain_token.user",
    )?;
    let mut rows = plain.query([])?;
    while let Some(row) = rows.next()? {
        let hash = key.hash(&TokenDigest::from_bytes(row.get(0)?));
        let login = Login::new(row.get_ref(3)?.as_str()?)?;
        let token = TokenRecord {
            id: TokenId::of(&hash),
            user: Owner { id: row.get(2)?, login, name: None },
            name: String::new(),
            kind: TokenKind::User,
            scopes: Scopes::all_but_admin(),
            vouched: Vouched::default(),
            created_at: Timestamp(row.get::<_, i64>(1)?.try_into()?),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        insert_token(transaction, &hash, &token)?;
    }
    drop(rows);
    drop(plain);
    transaction.execute_batch("DROP TABLE plain_token")?;
    Ok(())
}

/// Opens one more connection to a file that is there.
pub(super) fn connect(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    // Without CREATE: if the file was moved away, an empty one in its place would be no registry.
    // Without URI: a path is a path, whatever characters are in it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Before anything else: what is set below is set in the file that is opened for it.
    connection.busy_timeout(match access {
        Access::Watch => Duration::ZERO,
        Access::Read | Access::Write => BUSY_TIMEOUT,
    })?;
    connection.set_prepared_statement_cache_capacity(64);
    // NORMAL may lose acknowledged commits when the power fails.
    connection.pragma_update(None, "synchronous", "full")?;
    // macOS leaves in the drive's memory what another system's fsync has on the disk.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // No function is run because a damaged or planted schema says so.
    connection.pragma_update(None, "trusted_schema", false)?;
    // Damage is noticed where it is read, and a failing disk is an error and not a signal.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    if let Access::Read | Access::Watch = access {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(connection)
}

/// Makes the file, if there is none, and the folders above it, for their owner alone.
fn create(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let missing: Vec<&Path> = parent.ancestors().take_while(|path| !path.exists()).collect();
        folder.create(parent)?;
        // A new folder lasts once the one above it is on disk; SQLite sees to the one of the file.
        for above in missing.iter().filter_map(|path| path.parent()) {
            sync_folder(above)?;
        }
    }
    match create_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Makes an empty file for its owner alone, where there is none.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    let mut file = fs::OpenOptions::new();
    file.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(path).map(drop)
}

#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path)?.sync_all()
}

/// A folder cannot be opened as a file elsewhere.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

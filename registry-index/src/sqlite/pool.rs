//! Connections, and the threads on which they are used.
//!
//! One transaction writes at a time, for as many writers as are waiting, and a few read beside it.
//! A connection that failed, or whose user panicked, is closed rather than used again, so no fault
//! outlives its cause.

mod generation;
mod group;
mod wal_index;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use registry_core::BoxError;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use self::{generation::Generation, group::Queue};
use super::schema::{self, Access};
use crate::write_error::WriteError;

/// Transactions that read at the same time. More of them would wait for the same disk and cores.
const READERS: usize = 4;
/// Of these, those that may take long.
const LONG_READERS: usize = READERS / 2;

pub(super) struct Pool {
    path: PathBuf,
    file: FileId,
    readers: Lane,
    // Waited for here rather than on a blocking thread, of which there are not that many.
    permits: Arc<Semaphore>,
    long_permits: Arc<Semaphore>,
    writer: Lane,
    queue: Queue,
    generation: Generation,
}

/// Connections of one kind that nobody uses at the moment.
struct Lane {
    access: Access,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// A pool of connections to the file at `path`, which was opened with `writer`.
    pub(super) fn new(path: PathBuf, writer: Connection) -> io::Result<Self> {
        let file = FileId::of(&path)?;
        let lane = |access, idle| Lane { access, idle: Mutex::new(idle) };
        Ok(Self {
            path,
            file,
            readers: lane(Access::Read, Vec::new()),
            permits: Arc::new(Semaphore::new(READERS)),
            long_permits: Arc::new(Semaphore::new(LONG_READERS)),
            writer: lane(Access::Write, vec![writer]),
            queue: Queue::default(),
            generation: Generation::default(),
        })
    }

    /// A connection to use.
    fn take(&self, lane: &Lane) -> Result<Connection, BoxError> {
        self.check_file()?;
        let idle = lane.idle().pop();
        idle.map_or_else(|| Ok(schema::connect(&self.path, lane.access)?), Ok)
    }

    /// A connection outside of any transaction, beside those that are shared.
    pub(super) fn connect(&self, access: Access) -> Result<Connection, BoxError> {
        self.check_file()?;
        Ok(schema::connect(&self.path, access)?)
    }

    /// Whether the path still leads to the file that all connections have open.
    fn check_file(&self) -> Result<(), BoxError> {
        match FileId::of(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            Ok(_) => Err(Replaced.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Replaced.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs `work` in a transaction that sees one state of the database from its first to its last
    /// statement.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, BoxError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, BoxError> + Send + 'static,
    {
        let pool = self.clone();
        let permit = self.permits.clone().acquire_owned().await?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection = pool.take(&pool.readers)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let found = work(&transaction)?;
            transaction.commit()?;
            pool.readers.give_back(connection);
            Ok(found)
        })
        .await?
    }

    /// As [`Pool::read`], for work that may take long: however many do it, others need not wait for
    /// them.
    pub(super) async fn read_long<T, F>(self: &Arc<Self>, work: F) -> Result<T, BoxError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, BoxError> + Send + 'static,
    {
        let permit = self.long_permits.clone().acquire_owned().await?;
        let read = self.read(move |transaction| {
            let _permit = permit;
            work(transaction)
        });
        read.await
    }
}

/// The database was removed, or another one put in its place, a backup say. A connection would go
/// on with the old file, and what it is told to keep would be gone with the process.
#[derive(Debug, thiserror::Error)]
#[error("the database file was moved, removed or replaced while it was in use")]
struct Replaced;

/// Which file it is that a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let file = std::fs::metadata(path)?;
        Ok(Self { device_and_inode: (file.dev(), file.ino()) })
    }

    /// Elsewhere, a file that is open stays where it is.
    #[cfg(not(unix))]
    fn of(_: &Path) -> io::Result<Self> {
        Ok(Self {})
    }
}

/// An error that rolled the transaction back.
fn before_commit(error: BoxError) -> WriteError {
    let full = error
        .downcast_ref::<rusqlite::Error>()
        .is_some_and(|error| error.sqlite_error_code() == Some(ErrorCode::DiskFull));
    if full { WriteError::Full(error) } else { WriteError::Failed(error) }
}

/// An error of the commit itself.
///
/// The frame that makes a transaction count is the last one written to the log: if there was no
/// room for it, or the lock was not had, it is not there. After any other error it may be there,
/// and be found when the log is next recovered.
fn at_commit(error: rusqlite::Error) -> WriteError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => WriteError::Full(error.into()),
        Some(ErrorCode::DatabaseBusy) => WriteError::Failed(error.into()),
        _ => WriteError::Unknown(error.into()),
    }
}

impl Lane {
    fn give_back(&self, connection: Connection) {
        self.idle().push(connection);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing panics between taking this lock and letting go of it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

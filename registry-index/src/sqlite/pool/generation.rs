//! A number that tells whether anything was committed.

use std::{
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use registry_core::BoxError;
use rusqlite::Connection;

use super::{Pool, wal_index::WalIndex};
use crate::sqlite::schema::{self, Access};

/// What says it.
pub(super) struct Generation {
    asked: Mutex<Asked>,
    /// Where the answer stands for all to read, while `asked` has its connection. Behind it, for the
    /// connection is closed first.
    header: RwLock<Option<WalIndex>>,
    began: Instant,
    /// In which hundredth of a second since then the path was last looked at; 0 for never.
    looked_at: AtomicU64,
}

impl Default for Generation {
    fn default() -> Self {
        let (asked, header) = (Mutex::default(), RwLock::default());
        Self { asked, header, began: Instant::now(), looked_at: AtomicU64::new(0) }
    }
}

/// The connection that is asked, and writes nothing: SQLite tells a connection of all commits but
/// its own.
#[derive(Default)]
struct Asked {
    connection: Option<Connection>,
    /// How many connections there were. Each counts the commits in its own way.
    opened: u32,
}

/// How often a header is looked for: for each, a file may stay open.
const MOST_HEADERS: u32 = 16;

impl Pool {
    /// A number that has changed if anything was committed since it was last asked for, by whatever
    /// connection of whatever process; `None` if that cannot be told.
    ///
    /// Takes a microsecond or some, so that it may be called where nothing may block. On Linux, it is
    /// read from the shared memory beside the file, by as many at a time as there are. Elsewhere, and
    /// in the moment of a commit, SQLite looks there, under a lock that it does not wait for. A writer,
    /// or a checkpoint, does not stand in the way; only the repair of a log that another process left
    /// behind does, and then this is `None`. Two threads that ask SQLite at once wait for each other.
    /// That the file was replaced is noticed within a hundredth of a second.
    pub(in super::super) fn generation(&self) -> Option<u64> {
        // Before the question: what was counted in the file that was here says nothing of another.
        if self.is_there()
            && let Some(number) = self.generation.glance()
        {
            return Some(number);
        }
        // Whatever panicked, a connection answers or is closed.
        let mut asked = self.generation.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.ask(&mut asked);
        if generation.is_err() {
            let header = self.generation.replace_header(None);
            asked.connection = None;
            drop(header);
        }
        generation.ok()
    }

    /// Whether the path still leads to the file. To look costs more than all else that is done here, so
    /// it is done once in that time: only a mistake replaces a file that is in use.
    fn is_there(&self) -> bool {
        let Generation { began, looked_at, .. } = &self.generation;
        let now = began.elapsed().as_millis() as u64 / 10 + 1;
        if looked_at.load(Relaxed) == now {
            return true;
        }
        let is_there = self.check_file().is_ok();
        if is_there {
            looked_at.store(now, Relaxed);
        }
        is_there
    }

    fn ask(&self, asked: &mut Asked) -> Result<u64, BoxError> {
        self.check_file()?;
        let (connection, is_new) = match &asked.connection {
            Some(connection) => (connection, false),
            None => {
                let connection = schema::connect(&self.path, Access::Watch)?;
                asked.opened = asked.opened.checked_add(1).ok_or("too many connections")?;
                (&*asked.connection.insert(connection), true)
            }
        };
        let mut query = connection.prepare_cached("PRAGMA data_version")?;
        let version: u32 = query.query_row([], |row| row.get(0))?;
        if is_new && asked.opened <= MOST_HEADERS {
            self.generation.replace_header(WalIndex::of(&self.path));
            // The same number as whoever asks next is given.
            if let Some(number) = self.generation.glance() {
                return Ok(number);
            }
        }
        Ok(u64::from(asked.opened) << 32 | u64::from(version))
    }
}

impl Generation {
    fn glance(&self) -> Option<u64> {
        self.header.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.number()
    }

    fn replace_header(&self, header: Option<WalIndex>) -> Option<WalIndex> {
        let mut place = self.header.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, header)
    }
}

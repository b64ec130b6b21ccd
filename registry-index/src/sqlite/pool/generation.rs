//! A number that tells whether anything was committed.

use std::sync::{Mutex, PoisonError};

use registry_core::BoxError;
use rusqlite::Connection;

use super::Pool;
use crate::sqlite::schema::{self, Access};

/// The connection that is asked, and writes nothing: SQLite tells a connection of all commits but
/// its own.
#[derive(Default)]
pub(super) struct Generation(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    connection: Option<Connection>,
    /// How many connections there were. Each counts the commits in its own way.
    opened: u32,
}

impl Pool {
    /// A number that has changed if anything was committed since it was last asked for, by whatever
    /// connection of whatever process; `None` if that cannot be told.
    ///
    /// Takes some microseconds, so that it may be called where nothing may block: SQLite looks at
    /// the shared memory beside the file, under a lock that it does not wait for. A writer, or a
    /// checkpoint, does not stand in the way; only the repair of a log that another process left
    /// behind does, and then this is `None`. Two threads that ask at once wait for each other.
    pub(in super::super) fn generation(&self) -> Option<u64> {
        // Whatever panicked, a connection answers or is closed.
        let mut asked = self.generation.0.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.ask(&mut asked);
        if generation.is_err() {
            asked.connection = None;
        }
        generation.ok()
    }

    fn ask(&self, asked: &mut Asked) -> Result<u64, BoxError> {
        // Before the question: what was counted in the file that was here says nothing of another.
        self.check_file()?;
        let connection = match &asked.connection {
            Some(connection) => connection,
            None => {
                let connection = schema::connect(&self.path, Access::Watch)?;
                asked.opened = asked.opened.checked_add(1).ok_or("too many connections")?;
                asked.connection.insert(connection)
            }
        };
        let mut query = connection.prepare_cached("PRAGMA data_version")?;
        let version: u32 = query.query_row([], |row| row.get(0))?;
        Ok(u64::from(asked.opened) << 32 | u64::from(version))
    }
}

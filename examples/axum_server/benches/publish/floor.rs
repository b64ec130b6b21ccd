//! The least that a publish can cost on this disk: one file brought to it, then one commit.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

/// A row of about the size of an index line.
const LINE_BYTES: usize = 400;

/// A folder and a database to make things durable in.
pub(crate) struct Floor {
    folder: PathBuf,
    database: Connection,
    count: usize,
}

impl Floor {
    /// Makes both in `parent`.
    pub(crate) fn new(parent: &Path) -> Self {
        let folder = parent.join("floor");
        fs::create_dir(&folder).unwrap();
        let database = Connection::open(parent.join("floor.sqlite")).unwrap();
        database.pragma_update(None, "journal_mode", "wal").unwrap();
        database.pragma_update(None, "synchronous", "full").unwrap();
        database.execute("CREATE TABLE line (id INTEGER PRIMARY KEY, line TEXT)", []).unwrap();
        Self { folder, database, count: 0 }
    }

    /// Writes a new file and brings it to disk, then commits one row.
    pub(crate) fn write_fsync_commit(&mut self, content: &[u8]) {
        self.count += 1;
        let mut file = File::create_new(self.folder.join(self.count.to_string())).unwrap();
        file.write_all(content).unwrap();
        file.sync_all().unwrap();
        drop(file);
        let mut insert = self.database.prepare_cached("INSERT INTO line (line) VALUES (?1)");
        insert.as_mut().unwrap().execute(["x".repeat(LINE_BYTES)]).unwrap();
    }
}

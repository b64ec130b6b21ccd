//! What SQLite writes into the shared memory beside a database with each commit.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    path::Path,
};

/// The header of a database's wal-index, which tells one state of the database from all others.
///
/// It is read as a file, without a lock: there are two copies of it, which differ while one of them is
/// being written. Source: SQLite, "WAL-mode File Format", section 2.
pub(super) struct WalIndex {
    /// Until it is dropped.
    file: Option<File>,
    hasher: RandomState,
}

impl WalIndex {
    const HEADER_BYTES: usize = 48;
    /// The version of the format. There is one.
    const VERSION: u32 = 3_007_000;

    /// Of a database that has a connection, for as long as it has that.
    ///
    /// None where it is not certain that what is written to shared memory is read from the file.
    pub(super) fn of(database: &Path) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        // Beside the file itself, if the path is a link to it.
        let mut path = fs::canonicalize(database).ok()?.into_os_string();
        path.push("-shm");
        Some(Self { file: Some(File::open(path).ok()?), hasher: RandomState::new() })
    }

    /// A number for the state that somebody who begins to read now sees, never less than 2^63; `None` if
    /// the header does not tell.
    pub(super) fn number(&self) -> Option<u64> {
        let mut copies = [0; 2 * Self::HEADER_BYTES];
        read_start(self.file.as_ref()?, &mut copies)?;
        let (one, other) = copies.split_at(Self::HEADER_BYTES);
        let is_ready = one[12] == 1;
        let is_known = one[..4] == Self::VERSION.to_ne_bytes();
        let is_whole = one == other;
        (is_whole && is_known && is_ready).then(|| self.hasher.hash_one(one) | 1 << 63)
    }
}

impl Drop for WalIndex {
    /// With the first of its descriptors that is closed, a process loses its locks on a file, also
    /// those of SQLite. So one is closed only if SQLite has removed the file, as the last connection
    /// does. Source: POSIX, `fcntl`.
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && !is_removed(&file)
        {
            std::mem::forget(file);
        }
    }
}

#[cfg(unix)]
fn read_start(file: &File, buffer: &mut [u8]) -> Option<()> {
    use std::os::unix::fs::FileExt as _;
    file.read_exact_at(buffer, 0).ok()
}

#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|file| file.nlink() == 0)
}

#[cfg(not(unix))]
fn read_start(_: &File, _: &mut [u8]) -> Option<()> {
    None
}

#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

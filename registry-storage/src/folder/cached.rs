//! What can be had of a file without waiting for a disk.
//!
//! Whoever gets nothing here, for whatever reason, asks again in a way that waits, and learns the
//! reason there: old kernels, some file systems and some sandboxes know no such calls.

use std::{fs::File, path::Path};

/// Opens a file whose path the system has in memory.
#[cfg(target_os = "linux")]
pub(super) fn open(path: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    let (flags, mode) = (OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    openat2(CWD, path, flags, mode, ResolveFlags::CACHED).ok().map(File::from)
}

/// Reads what the system has of a file in memory from `offset` on; returns how much that is.
#[cfg(target_os = "linux")]
pub(super) fn read(file: &File, room: &mut [u8], offset: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let room = &mut [std::io::IoSliceMut::new(room)];
    preadv2(file, room, offset, ReadWriteFlags::NOWAIT).ok().filter(|read| *read > 0)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

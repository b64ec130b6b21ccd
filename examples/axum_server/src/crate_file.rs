//! Crate files outside of a crate store.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use registry_core::{Checksum, checksum::ChecksumHasher};

/// The checksum of a file, read piece by piece.
pub(crate) fn checksum_of(path: &Path) -> io::Result<Checksum> {
    let (mut file, mut hasher) = (File::open(path)?, ChecksumHasher::new());
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

//! The least that making files durable can cost on this disk.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A folder to make files durable in, as a publish has to at the least.
pub(crate) struct Floor {
    folder: PathBuf,
    directory: File,
    count: usize,
}

impl Floor {
    /// Makes the folder `name` in `parent`.
    pub(crate) fn new(parent: &Path, name: &str) -> Self {
        let folder = parent.join(name);
        fs::create_dir(&folder).unwrap();
        let directory = File::open(&folder).unwrap();
        Self { folder, directory, count: 0 }
    }

    /// Makes one file durable under a new name, and says how long it took.
    pub(crate) fn write_fsync_rename(&mut self, content: &[u8]) -> Duration {
        self.count += 1;
        let started = Instant::now();
        let staged = self.folder.join("staged");
        let mut file = File::create(&staged).unwrap();
        file.write_all(content).unwrap();
        file.sync_all().unwrap();
        fs::rename(&staged, self.folder.join(self.count.to_string())).unwrap();
        self.directory.sync_all().unwrap();
        started.elapsed()
    }
}

/// How often in a second 4 KiB can be written into a file that has its blocks and be brought to
/// disk: what a database's log costs at the least.
pub(crate) fn fsync_rate(path: &Path, duration: Duration) -> f64 {
    const BLOCK: [u8; 4096] = [b'x'; 4096];
    let mut file = File::create(path).unwrap();
    let blocks = 256;
    file.write_all(&BLOCK.repeat(blocks)).unwrap();
    file.sync_all().unwrap();
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < duration {
        file.seek(SeekFrom::Start((count % blocks * BLOCK.len()) as u64)).unwrap();
        file.write_all(&BLOCK).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

//! The folder of a cache: one process at a time, files that are known by their names.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use registry_core::{Checksum, store::CrateKey};

use crate::folder;

const LOCK: &str = "lock";
const STAGED: &str = "staged-";

/// Tells the file of one key from all others, in a name of one length without surprises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(Checksum);

impl Id {
    pub(super) fn of(key: &CrateKey) -> Self {
        Self(Checksum::of(key.to_string()))
    }
}

/// `<folder>/lock`, `<folder>/staged-<process>-<number>` and `<folder>/<two digits>/<id>-<time>`, where the
/// time is when the inner store was given the file, in seconds since 1970.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Held until the last handle is gone; by the operating system not longer than the process is.
    _lock: File,
}

/// A whole file that an earlier process has left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) id: Id,
    pub(super) put_at: SystemTime,
    pub(super) size: u64,
    pub(super) cached_at: SystemTime,
}

#[derive(Debug, thiserror::Error)]
#[error("another cache is using `{}`", folder.display())]
struct InUse {
    folder: PathBuf,
}

impl Disk {
    /// Takes the folder over, removes what was being written, and looks at the names of the rest.
    pub(super) fn open(root: &Path) -> io::Result<(Self, Vec<Left>)> {
        folder::create(root)?;
        let lock = File::options().create(true).append(true).open(root.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other(InUse { folder: root.into() }),
            TryLockError::Error(error) => error,
        })?;
        let mut left = Vec::new();
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(STAGED) {
                fs::remove_file(entry.path())?;
            } else if entry.file_type()?.is_dir() {
                find_left(&entry.path(), &mut left)?;
            }
        }
        Ok((Self { root: root.into(), _lock: lock }, left))
    }

    /// Where a whole file lies.
    pub(super) fn place(&self, id: Id, put_at: SystemTime) -> PathBuf {
        let name = format!("{}-{}", id.0, seconds(put_at));
        self.root.join(&name[..2]).join(name)
    }

    /// Makes a file to be written, for its owner alone.
    pub(super) fn stage(&self, id: Id, put_at: SystemTime) -> io::Result<Staged> {
        // Of no other cache that this process has had, either: readers of that may outlive it.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(format!("{STAGED}{}-{number}", process::id()));
        let mut options = File::options();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create_new(true).open(&path)?;
        Ok(Staged { file, path, place: self.place(id, put_at) })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// Only the names of this cache: what others have put there is left alone.
fn find_left(folder: &Path, left: &mut Vec<Left>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some((id, put_at)) = parse(&entry.file_name().to_string_lossy()) else { continue };
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            let (size, cached_at) = (metadata.len(), metadata.modified()?);
            left.push(Left { id, put_at, size, cached_at });
        }
    }
    Ok(())
}

fn parse(name: &str) -> Option<(Id, SystemTime)> {
    let (id, time) = name.split_once('-')?;
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(time.parse().ok()?))?;
    Some((Id(id.parse().ok()?), time))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A file that is being written. Removed when it is dropped, unless it was put in its place.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

impl Staged {
    pub(super) fn write(&self, pieces: &[Bytes]) -> io::Result<()> {
        let mut file = &self.file;
        pieces.iter().try_for_each(|piece| file.write_all(piece))
    }

    /// Renames it, so that an opening of the cache finds it. Not brought to disk before: whatever
    /// a crash makes of it, its checksum is compared before it is used by another process.
    pub(super) fn settle(&self) -> io::Result<()> {
        let rename = || fs::rename(&self.path, &self.place);
        match (rename(), self.place.parent()) {
            (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                folder::create(parent)?;
                rename()
            }
            (renamed, _) => renamed,
        }
    }

    /// Removes it from its place.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.place)
    }

    /// Opens it for reading, before it is whole or after.
    pub(super) fn open(&self) -> io::Result<File> {
        File::open(&self.path).or_else(|_| File::open(&self.place))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already if it was put in its place. What cannot be removed, the next start removes.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_folder_is_found_as_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/cache");
        let (disk, left) = Disk::open(&root).unwrap();
        assert_eq!(left, []);
        let id = Id(ID.parse().unwrap());
        let put_at = UNIX_EPOCH + Duration::from_secs(1_234_567);

        let staged = disk.stage(id, put_at).unwrap();
        staged.write(&["ab".into(), "c".into()]).unwrap();
        assert_eq!(io::read_to_string(staged.open().unwrap()).unwrap(), "abc");
        staged.settle().unwrap();
        assert_eq!(io::read_to_string(staged.open().unwrap()).unwrap(), "abc");
        drop(staged);
        let place = root.join("ba").join(format!("{ID}-1234567"));
        assert_eq!(disk.place(id, put_at), place);
        assert_eq!(fs::read_to_string(&place).unwrap(), "abc");
        let cached_at = place.metadata().unwrap().modified().unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(root.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }

        // Somebody else's files, and what a crash has left.
        fs::write(root.join("README"), "").unwrap();
        fs::write(root.join("ba").join(ID), "").unwrap();
        fs::write(root.join("ba").join(format!("{ID}-x")), "").unwrap();
        std::mem::forget(disk.stage(id, put_at).unwrap());
        let error = Disk::open(&root).unwrap_err();
        assert_eq!(error.to_string(), format!("another cache is using `{}`", root.display()));
        drop(disk);
        let (_disk, left) = Disk::open(&root).unwrap();
        assert_eq!(left, [Left { id, put_at, size: 3, cached_at }]);
        let mut names: Vec<_> =
            fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["README", "ba", "lock"]);
    }

    #[test]
    fn a_staged_file_goes_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::open(folder.path()).unwrap();
        let staged = disk.stage(Id(ID.parse().unwrap()), UNIX_EPOCH).unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names(), 2);
        drop(staged);
        assert_eq!(names(), 1);
    }
}

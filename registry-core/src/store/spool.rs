//! Temporary files: where crate files are on their way into a store if they are large.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

/// A folder for temporary files. Processes may share it; clones are handles on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolFolder {
    path: Arc<Path>,
}

/// Ends the name of each file in such a folder: nothing else is ever removed from it.
const SUFFIX: &str = ".crate-spool";

/// A file that nobody has written to for so long was left behind by a crash: those who send, check
/// and store it do something every few seconds.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

impl SpoolFolder {
    /// Opens a folder, which is made if it is not there, for its owner alone.
    ///
    /// Removes what crashes have left in it more than an hour ago; younger files may belong to
    /// another process. If it is nobody's to write to now, that is an error of each upload, until
    /// it is. Blocks.
    ///
    /// # Errors
    /// [`io::Error`] if the folder cannot be made or read.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let folder = Self { path: path.into().into() };
        let opened = folder.make(true).and_then(|()| folder.clean(SystemTime::now()));
        match opened {
            Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {
                Ok(folder)
            }
            opened => opened.map(|()| folder),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file with nothing in it, for its owner alone, to be written to by
    /// [`SpooledFile::file`]. Blocks.
    ///
    /// # Errors
    /// [`io::Error`] if the operating system says so.
    pub fn create(&self) -> io::Result<SpooledFile> {
        let number = getrandom::u64().map_err(io::Error::other)?;
        let path = self.path.join(format!("{number:016x}{SUFFIX}"));
        let file = match create_new(&path) {
            // Somebody has tidied up. That what is around it is gone as well is not for us to mend.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make(false)?;
                create_new(&path)?
            }
            created => created?,
        };
        Ok(SpooledFile::new(file, path))
    }

    fn make(&self, with_parents: bool) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        let mut folder = fs::DirBuilder::new();
        folder.recursive(with_parents);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(&self.path)
    }

    fn clean(&self, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let is_old =
                    |modified| now.duration_since(modified).is_ok_and(|age| age > LEFT_BEHIND);
                // One that is gone by now was somebody else's to remove.
                if modified.is_ok_and(is_old) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }
}

/// Never a file that is there, or that a link leads to.
fn create_new(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.read(true).write(true).create_new(true).open(path)
}

/// A temporary file, removed when the last body in it is gone.
///
/// A store in the same file system may rename it to its final place instead of copying it: what is
/// read through [`SpooledFile::read_at`] stays the same.
#[derive(Debug)]
pub struct SpooledFile {
    file: File,
    path: PathBuf,
    /// What came of bringing it to disk, once somebody has asked for it.
    synced: Mutex<Option<Result<(), io::ErrorKind>>>,
}

impl SpooledFile {
    /// Takes over the file that lies at `path`, opened for reading.
    pub fn new(file: File, path: PathBuf) -> Self {
        Self { file, path, synced: Mutex::new(None) }
    }

    /// Where the file lies, unless a store has renamed it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file. Its cursor belongs to nobody: read by [`SpooledFile::read_at`].
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Brings the file to disk, if that has not been done. Blocks.
    ///
    /// # Errors
    /// [`io::Error`] if the operating system says so, now or when it was first asked: it tells of
    /// lost bytes only once, and another try would find nothing wrong.
    pub fn sync(&self) -> io::Result<()> {
        let mut synced = self.synced.lock().expect("nobody panics while holding it");
        match *synced {
            Some(Ok(())) => Ok(()),
            Some(Err(kind)) => Err(kind.into()),
            None => {
                let done = self.file.sync_all();
                *synced = Some(done.as_ref().copied().map_err(io::Error::kind));
                done
            }
        }
    }

    /// Reads from `offset` on; how many bytes, 0 at the end. Blocks.
    ///
    /// # Errors
    /// [`io::Error`] if the operating system says so.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(&self.file, buffer, offset)
    }
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        // It is gone already if a store has renamed it; if it cannot be removed, the next start of
        // whoever made it will.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn files(folder: &SpoolFolder) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.collect();
        files.sort();
        files
    }

    #[test]
    fn a_file_is_for_its_owner_and_goes_with_its_last_handle() {
        let parent = tempfile::tempdir().unwrap();
        let folder = SpoolFolder::open(parent.path().join("a/.spool")).unwrap();
        let file = folder.create().unwrap();
        file.file().write_all(b"abc").unwrap();
        assert_eq!(files(&folder), [file.path()]);
        assert_eq!(fs::read(file.path()).unwrap(), b"abc");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!([mode(folder.path()), mode(file.path())], [0o700, 0o600]);
        }
        drop(file);
        assert_eq!(files(&folder), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn a_folder_that_is_removed_is_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = SpoolFolder::open(parent.path().join("spool")).unwrap();
        fs::remove_dir(folder.path()).unwrap();
        let file = folder.create().unwrap();
        assert!(file.path().exists());
        drop(file);
        fs::remove_dir_all(parent.path()).unwrap();
        assert_eq!(folder.create().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!parent.path().exists());
    }

    #[test]
    fn only_old_files_of_a_spool_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path = |name: &str| parent.path().join(name);
        let names = ["0.crate-spool", "1.crate-spool", "1.crate", "crate-spool"].map(path);
        for name in &names {
            fs::write(name, "").unwrap();
        }
        let old = SystemTime::now() - LEFT_BEHIND - Duration::from_secs(60);
        for name in &names[1..] {
            File::options().write(true).open(name).unwrap().set_modified(old).unwrap();
        }
        let folder = SpoolFolder::open(parent.path()).unwrap();
        assert_eq!(files(&folder), [path("0.crate-spool"), path("1.crate"), path("crate-spool")]);
    }
}

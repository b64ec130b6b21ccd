//! What is done with single files and folders.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
    time::SystemTime,
};

use super::error::{At, FolderError};

/// Whom a new file or folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Its owner alone: what a record holds is not for everybody.
    Owner,
    /// Whom the umask says: the web server, say.
    Readers,
}

/// Options that follow no symbolic link in the last part of a path, and wait for nobody at a pipe.
fn options(audience: For) -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        if audience == For::Owner {
            options.mode(0o600);
        }
    }
    #[cfg(not(unix))]
    let _ = audience;
    options
}

/// The file for reading, with its length; `None` if there is none.
pub(super) fn open(path: &Path) -> Result<Option<(File, u64)>, FolderError> {
    let file = match options(For::Owner).read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) => {
            return Err(FolderError::NotAFile { path: path.into() });
        }
        opened => opened.at("open", path)?,
    };
    let found = file.metadata().at("look at", path)?;
    match found.is_file() {
        true => Ok(Some((file, found.len()))),
        false => Err(FolderError::NotAFile { path: path.into() }),
    }
}

/// Whether there is a file of these bytes at the path. Reads no more than as many.
pub(super) fn holds(path: &Path, bytes: &[u8]) -> Result<bool, FolderError> {
    let (mut file, length) = match open(path) {
        Ok(Some(found)) => found,
        Ok(None) | Err(FolderError::NotAFile { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    if length != bytes.len() as u64 {
        return Ok(false);
    }
    let mut found = vec![0; bytes.len()];
    match file.read_exact(&mut found) {
        // Cut meanwhile.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.at("read", path).map(|()| found == bytes),
    }
}

/// Waits for the lock on a file, which is made if need be and never removed. It ends with the file
/// that is returned, also if the process is killed.
pub(super) fn lock(path: &Path) -> Result<File, FolderError> {
    let mut options = options(For::Owner);
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).at("open", path)?;
    file.lock().at("lock", path)?;
    Ok(file)
}

/// Writes a file and makes it durable, with its name.
///
/// A file of this name is written over: it has nobody who reads it, and it may be the only trace of
/// a write that was interrupted, so that it must not be gone for a moment.
pub(super) fn stage(path: &Path, bytes: &[u8], audience: For) -> Result<(), FolderError> {
    let mut options = options(audience);
    let options = options.write(true).create(true).truncate(true);
    let mut file = options.open(path).at("create", path)?;
    file.write_all(bytes).at("write", path)?;
    file.sync_all().at("flush", path)
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), FolderError> {
    fs::rename(from, to).at("replace", to)
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}

/// Whether there is anything at this path, a link to nowhere included.
pub(super) fn exists(path: &Path) -> Result<bool, FolderError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("look at", path),
    }
}

/// Whether there is a folder at this path; a symbolic link to one is an error.
pub(super) fn is_folder(path: &Path) -> Result<bool, FolderError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(true),
        Ok(_) => Err(FolderError::NotAFolder { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("look at", path),
    }
}

/// Makes a folder inside one that is there, unless it is there, too.
///
/// If another process has made it just now, its name may not be durable yet; it will be with
/// the first file in it that is flushed, on a file system with a journal.
pub(super) fn make_folder(path: &Path, audience: For) -> Result<(), FolderError> {
    let mut folder = fs::DirBuilder::new();
    #[cfg(unix)]
    if audience == For::Owner {
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    }
    #[cfg(not(unix))]
    let _ = audience;
    match folder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(error) => Err(error).at("create", path),
    }
}

/// Makes the names in a folder durable.
#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> Result<(), FolderError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|folder| folder.sync_all()).at("flush", path)
}

/// A folder cannot be opened as a file elsewhere.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> Result<(), FolderError> {
    Ok(())
}

/// When a name was last made, renamed or removed in a folder.
pub(super) fn modified(path: &Path) -> Result<SystemTime, FolderError> {
    fs::metadata(path).and_then(|found| found.modified()).at("look at", path)
}

/// The names in a folder that are text: no others are ours.
pub(super) fn list(path: &Path) -> Result<Vec<(String, fs::FileType)>, FolderError> {
    let entries = fs::read_dir(path).and_then(|entries| {
        let entries = entries.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().into_string(), entry.file_type()?))
        });
        entries.collect::<io::Result<Vec<_>>>()
    });
    let entries = entries.at("list", path)?.into_iter();
    Ok(entries.filter_map(|(name, kind)| Some((name.ok()?, kind))).collect())
}

//! How a file gets into a folder: whole or not at all, and on disk.

use std::{
    collections::HashSet,
    fs::{self, File},
    hash::BuildHasher as _,
    io,
    path::{Path, PathBuf},
    sync::Mutex,
    time::SystemTime,
};

use registry_core::store::{BodyPlace, CrateBody, SpooledFile};

use super::{create, sync};

/// The folder of a store.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(super) root: PathBuf,
    /// Folders in it that have been seen to be on disk, with all above them.
    lasting: Mutex<HashSet<PathBuf>>,
}

impl Folder {
    /// Most folders that are remembered. Each is a path of some 50 bytes.
    const MAX_LASTING: usize = 10_000;
    /// How often a file is tried to be renamed: whoever purges what is aside removes empty folders,
    /// and perhaps the one that was just made.
    const TRIES: usize = 16;

    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, lasting: Mutex::default() }
    }

    /// Fails if the folder is not there, as that of a disk that was taken away. Blocks.
    ///
    /// What is not found in it is not known to be absent then, and nothing is to be written: a new
    /// folder in its stead would be one without all the other files.
    pub(crate) fn must_be_there(&self) -> io::Result<()> {
        match fs::metadata(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(io::Error::new(error.kind(), Gone(self.root.clone())))
            }
            found => found.map(drop),
        }
    }

    /// Puts a file at `path`, in place of what is there; on disk when this returns. Blocks.
    pub(crate) fn put(&self, path: &str, body: &CrateBody) -> io::Result<()> {
        self.must_be_there()?;
        let place = self.root.join(path);
        match body.place() {
            BodyPlace::Spool(spool) if move_in(spool, &place)? => {}
            _ => copy_in(body, &place)?,
        }
        self.settle(place.parent().expect("it is below the root"))
    }

    /// Renames a file to a place where there is none; whether there was one to rename. On disk when
    /// this returns. Blocks.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
        self.must_be_there()?;
        let (from, to) = (self.root.join(from), self.root.join(to));
        let folder_of = |path: &Path| path.parent().expect("it is below the root").to_owned();
        let mut tries = Self::TRIES;
        while let Err(error) = fs::rename(&from, &to) {
            tries -= 1;
            if error.kind() != io::ErrorKind::NotFound || tries == 0 {
                return Err(error);
            }
            if !from.try_exists()? {
                return Ok(false);
            }
            unless_gone(create(&folder_of(&to)))?;
        }
        // Not by what is remembered: the folders of what is aside come and go.
        let folder = folder_of(&to);
        folder.ancestors().take_while(|above| above.starts_with(&self.root)).try_for_each(sync)?;
        unless_gone(sync(&folder_of(&from)))?;
        Ok(true)
    }

    /// Brings the entries of a folder to disk, and its own in the folders above it.
    ///
    /// That it was there is not enough: another process may have made it a moment ago, and not yet
    /// have come to this. So it is done once for each folder, and a second time does no harm.
    fn settle(&self, folder: &Path) -> io::Result<()> {
        sync(folder)?;
        let lasting = || self.lasting.lock().expect("nobody panics while holding it");
        if lasting().contains(folder) {
            return Ok(());
        }
        let above = folder.ancestors().skip(1).take_while(|above| above.starts_with(&self.root));
        above.into_iter().try_for_each(sync)?;
        let mut lasting = lasting();
        if lasting.len() >= Self::MAX_LASTING {
            lasting.clear();
        }
        lasting.insert(folder.into());
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the folder `{}` is gone", .0.display())]
struct Gone(PathBuf);

/// Renames a spooled file to its place; false if that is on another file system, or was done
/// before, so that its bytes have to be copied.
fn move_in(spool: &SpooledFile, place: &Path) -> io::Result<bool> {
    // As young as a new file: it may have waited since it was written. That this is on disk does
    // not matter: a crash that undoes it ends the commit that the file is young for.
    spool.file().set_modified(SystemTime::now())?;
    spool.sync()?;
    match in_parent(place, || fs::rename(spool.path(), place)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a file beside its place, and renames it once it is on disk.
fn copy_in(body: &CrateBody, place: &Path) -> io::Result<()> {
    let staged = staged_beside(place);
    let mut file = in_parent(place, || create_new(&staged))?;
    let written = body.write_to(&mut file).and_then(|()| file.sync_all());
    drop(file);
    let renamed = written.and_then(|()| fs::rename(&staged, place));
    if renamed.is_err() {
        // What cannot be removed now, the next start will remove.
        let _ = fs::remove_file(&staged);
    }
    renamed
}

/// Does something that needs the folder around `place`, which is made if it is not there.
fn in_parent<T>(place: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match act() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(place.parent().expect("it is below the root"))?;
            act()
        }
        done => done,
    }
}

/// What was to be done to a folder that another process has removed meanwhile.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// A new file for its owner alone; never one that is there, or that a link leads to.
fn create_new(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(path)
}

/// Where a file is written before it is renamed to `place`: `<name>.crate#<number>`, as
/// [`super::clean`] knows it.
fn staged_beside(place: &Path) -> PathBuf {
    // Of keys that are random for each process.
    let number = std::hash::RandomState::new().hash_one(SystemTime::now());
    let mut name = place.as_os_str().to_owned();
    name.push(format!("#{number}"));
    name.into()
}

#[cfg(test)]
mod tests;

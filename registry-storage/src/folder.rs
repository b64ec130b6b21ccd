//! A store in the file system: its folder, and how its files are read.

mod cached;
mod put;
mod read;
mod room;

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, SystemTime},
};

pub(crate) use self::{
    put::Folder,
    read::{Opened, read},
};

/// A write takes no longer; a staged file that is older was left behind by a crash.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// Makes the folder and those above it, if they are missing, for their owner alone.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    folder.create(path)?;
    // A new folder lasts once the one above it is on disk.
    missing.iter().filter_map(|path| path.parent()).try_for_each(sync)
}

#[cfg(unix)]
fn sync(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path)?.sync_all()
}

/// A folder cannot be opened as a file elsewhere.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Has a thread of its own [`clean`] the folder; fails if the folder cannot be read. What goes wrong
/// later is told to nobody: what is left behind is in nobody's way, and the next start tries again.
pub(crate) fn begin_to_clean(path: &Path) -> io::Result<()> {
    fs::read_dir(path)?;
    let (path, now) = (path.to_owned(), SystemTime::now());
    let clean = move || drop(clean(&path, now));
    thread::Builder::new().name("clean".into()).spawn(clean).map(drop)
}

/// Removes what writes that never ended have left behind, in this folder and those below that can be
/// read: there may be some of others, such as the `lost+found` of a disk.
///
/// A file is written as `<name>.crate#<number>` and then renamed; until then no listing shows it.
fn clean(path: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            match clean(&entry.path(), now) {
                // The folder of what was aside goes with it, whoever purges it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                cleaned => cleaned?,
            }
        } else if kind.is_file() && is_staged(&entry.file_name().to_string_lossy()) {
            clean_staged(&entry, now)?;
        }
    }
    Ok(())
}

/// Other processes write, rename and clean in the same folder: a file may be gone by now. One that
/// cannot be removed is in nobody's way.
fn clean_staged(entry: &fs::DirEntry, now: SystemTime) -> io::Result<()> {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    let removed = modified.and_then(|modified| {
        // The earlier of both, whichever way the clock was set meanwhile.
        let age = now.min(SystemTime::now()).duration_since(modified).unwrap_or_default();
        if age > LEFT_BEHIND { fs::remove_file(entry.path()) } else { Ok(()) }
    });
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    match removed {
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem) => {
            Ok(())
        }
        removed => removed,
    }
}

fn is_staged(file_name: &str) -> bool {
    let number = file_name.rsplit_once(".crate#").map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_staged_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1/a");
        create(&path).unwrap();
        let files = ["a.crate", "a.crate#1", "b.crate#", "b.crate#22", "b.crate#x", "c#1"];
        for file in files {
            fs::write(path.join(file), "").unwrap();
        }
        let left = || {
            let names = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let (now, long) = (SystemTime::now(), LEFT_BEHIND + Duration::from_secs(60));
        // Also not by a clock that was ahead when it began, and has been set back.
        for began in [now, now + long] {
            clean(folder.path(), began).unwrap();
            assert_eq!(left(), files.map(str::to_owned));
        }
        for file in files {
            let file = fs::File::options().write(true).open(path.join(file)).unwrap();
            file.set_modified(now - long).unwrap();
        }
        clean(folder.path(), now).unwrap();
        assert_eq!(left(), ["a.crate", "b.crate#", "b.crate#x", "c#1"]);
    }

    #[test]
    fn a_staged_file_that_another_process_has_renamed_or_removed_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.crate#1"), "").unwrap();
        let entry = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        fs::remove_file(entry.path()).unwrap();
        clean_staged(&entry, SystemTime::now()).unwrap();
    }
}

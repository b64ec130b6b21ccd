//! The folder of a store in the file system.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
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

/// Removes what writes that never ended have left behind, in this folder and those below.
///
/// A file is written as `<name>.crate#<number>` and then renamed; until then no listing shows it.
pub(crate) fn clean(path: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            clean(&entry.path(), now)?;
        } else if kind.is_file() && is_staged(&entry.file_name().to_string_lossy()) {
            let age = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
            if age > LEFT_BEHIND {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
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
        clean(folder.path(), SystemTime::now()).unwrap();
        assert_eq!(left(), files.map(str::to_owned));
        clean(folder.path(), SystemTime::now() + LEFT_BEHIND + Duration::from_secs(60)).unwrap();
        assert_eq!(left(), ["a.crate", "b.crate#", "b.crate#x", "c#1"]);
    }
}

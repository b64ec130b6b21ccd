//! Finding crate files, whatever program keeps them.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use registry_core::{Checksum, IndexLine, store::CrateBody};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use super::report::LeftOutLine;
use crate::{crate_file::checksum_of, error::Error};

/// Largest crate file that is read, in bytes: it is held in memory. Source: ours.
const MAX_CRATE_BYTES: u64 = 512 << 20;

/// Memory is given out by the mebibyte, and all of it to a largest file.
const MEMORY_UNIT_BYTES: u64 = 1 << 20;

/// A folder with crate files somewhere in it.
#[derive(Debug)]
pub(super) struct CrateFolder {
    /// Folders that cannot be read.
    pub(super) left_out: Vec<LeftOutLine>,
    files: Vec<PathBuf>,
    /// `NAME-VERSION` in lower case, with all files that may be that one by their paths.
    by_name: HashMap<String, Vec<PathBuf>>,
    by_checksum: OnceCell<HashMap<Checksum, PathBuf>>,
    /// What files being brought over may take together.
    memory: Semaphore,
}

/// A file in memory; makes room for others when it is dropped.
#[derive(Debug)]
pub(super) struct FileInMemory<'a> {
    pub(super) body: CrateBody,
    _memory: SemaphorePermit<'a>,
}

impl CrateFolder {
    /// Looks through the folder `root`. What begins with a dot is passed over; symbolic links are
    /// not followed. A folder below that cannot be read is told, and the others count.
    pub(super) fn find(root: &Path) -> Result<Self, Error> {
        fs::read_dir(root).map_err(|source| Error::ReadFolder { folder: root.into(), source })?;
        let (mut files, mut left_out) = (Vec::new(), Vec::new());
        let mut by_name: HashMap<String, Vec<PathBuf>> = HashMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).and_then(|entries| entries.map(with_kind).collect());
            let entries: Vec<(fs::DirEntry, fs::FileType)> = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    let reason = error.to_string();
                    left_out.push(LeftOutLine { path: folder, line: None, reason });
                    continue;
                }
            };
            for (entry, kind) in entries {
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                let path = entry.path();
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    for name in names_of(path.strip_prefix(root).unwrap_or(&path)) {
                        by_name.entry(name).or_default().push(path.clone());
                    }
                    files.push(path);
                }
            }
        }
        let memory = Semaphore::new(units(MAX_CRATE_BYTES) as usize);
        Ok(Self { left_out, files, by_name, by_checksum: OnceCell::new(), memory })
    }

    /// The files that may be that of the line, by their paths.
    pub(super) fn by_name(&self, line: &IndexLine) -> &[PathBuf] {
        let name = format!("{}-{}", line.name(), line.version()).to_lowercase();
        self.by_name.get(&name).map_or(&[], Vec::as_slice)
    }

    /// A file that has this checksum, whatever its name. The first time, reads every file.
    pub(super) async fn by_checksum(&self, checksum: Checksum) -> Option<&PathBuf> {
        let files = &self.files;
        let all = self.by_checksum.get_or_init(|| async {
            let files = files.clone();
            let all = blocking(move || {
                let checksums = files.into_iter().filter_map(|path| {
                    // What cannot be read is not found.
                    Some((checksum_of(&path).ok()?, path))
                });
                checksums.collect()
            });
            all.await.unwrap_or_default()
        });
        all.await.get(&checksum)
    }

    /// Reads a file, once there is memory for it.
    pub(super) async fn read(&self, path: &Path) -> Result<FileInMemory<'_>, String> {
        let path = path.to_owned();
        let failed = {
            let path = path.clone();
            move |error: io::Error| format!("`{}`: {error}", path.display())
        };
        let metadata = {
            let path = path.clone();
            blocking(move || fs::symlink_metadata(path)).await.unwrap_or_else(Err)
        };
        let bytes = metadata.map_err(&failed)?.len();
        if bytes > MAX_CRATE_BYTES {
            let path = path.display();
            return Err(format!("`{path}` is {bytes} bytes, limit {MAX_CRATE_BYTES}"));
        }
        let memory = self.memory.acquire_many(units(bytes)).await.expect("nobody closes it");
        let body = read_file(path, bytes).await.map_err(failed)?.into();
        Ok(FileInMemory { body, _memory: memory })
    }
}

fn with_kind(entry: io::Result<fs::DirEntry>) -> io::Result<(fs::DirEntry, fs::FileType)> {
    let entry = entry?;
    let kind = entry.file_type()?;
    Ok((entry, kind))
}

fn units(bytes: u64) -> u32 {
    let units = bytes.div_ceil(MEMORY_UNIT_BYTES).max(1);
    u32::try_from(units).expect("no more than the largest file has")
}

/// The whole file; an error if it is longer than `most` bytes.
pub(super) async fn read_file(path: PathBuf, most: u64) -> io::Result<Bytes> {
    blocking(move || {
        let mut content = Vec::new();
        File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
        match content.len() as u64 > most {
            true => Err(io::Error::other(format!("more than {most} bytes"))),
            false => Ok(content.into()),
        }
    })
    .await
    .unwrap_or_else(Err)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// The releases, as `name-version` in lower case, whose file may have this path:
///
/// - `NAME-VERSION.crate`: kellnr, alexandrie, cargo-http-registry, cargo's own cache, by hand;
/// - `NAME/VERSION.crate`, also below folders as an index has them: margo;
/// - `NAME/VERSION/download`: ktra, and whoever saved the answers of a web API;
/// - `NAME/VERSION/crate`: by hand.
fn names_of(path: &Path) -> Vec<String> {
    let parts: Option<Vec<_>> = path.iter().map(|part| part.to_str()).collect();
    let parts = parts.unwrap_or_default().join("/").to_lowercase();
    let parts: Vec<_> = parts.rsplit('/').collect();
    let [file, above @ ..] = &parts[..] else { return Vec::new() };
    match (file.strip_suffix(".crate"), above) {
        (Some(stem), []) => vec![stem.into()],
        (Some(stem), [folder, ..]) => vec![stem.into(), format!("{folder}-{stem}")],
        (None, [version, name, ..]) if matches!(*file, "download" | "crate") => {
            vec![format!("{name}-{version}")]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_of_other_registries_are_known() {
        for (path, names) in [
            ("Foo-1.0.0.crate", vec!["foo-1.0.0"]),
            ("crates/foo/foo-1.0.0+b.crate", vec!["foo-1.0.0+b", "foo-foo-1.0.0+b"]),
            ("crates/fo/o-/foo-bar/1.0.0.crate", vec!["1.0.0", "foo-bar-1.0.0"]),
            ("foo/1.0.0/download", vec!["foo-1.0.0"]),
            ("dl/Foo/1.0.0/crate", vec!["foo-1.0.0"]),
            ("1.0.0/download", vec![]),
            ("download", vec![]),
            ("foo/1.0.0/other", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(names_of(Path::new(path)), names, "{path}");
        }
    }
}

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use registry_core::BoxError;

use super::{
    disk::{self, For},
    error::{At as _, FolderError},
    folder::Folder,
    layout::Layout,
};

/// The layout below the folder that this version writes, and the only one it reads.
const FORMAT: &str = "1\n";

/// Why a folder was not opened as an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderOpenError {
    /// There is an index already, made by something else: its files say nothing of owners, so it
    /// has to be brought in as what it is.
    #[error("`{}` holds an index of something else: `import` it into a folder of its own", path.display())]
    PlainIndex {
        /// The folder.
        path: PathBuf,
    },
    /// Written by another version of this library.
    #[error("the records in `{}` have format `{format}`, this version reads `{}`", path.display(), FORMAT.trim_end())]
    Format {
        /// The folder.
        path: PathBuf,
        /// The format it has.
        format: String,
    },
    /// The folder cannot be used.
    #[error("cannot open the index folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: BoxError,
    },
}

/// Opens the folder, made and settled as need be, while other processes may do the same.
pub(super) fn open(path: &Path) -> Result<Folder, FolderOpenError> {
    let failed =
        |source: FolderError| FolderOpenError::Folder { path: path.into(), source: source.into() };
    let folder = Folder::new(Layout::new(path.into()));
    // Looked for in this order: another process that makes the folder has the records first.
    make_folder_and_above(path).map_err(failed)?;
    let is_index = holds_index_files(path).map_err(failed)?;
    let layout = &folder.layout;
    if is_index && !disk::exists(layout.records()).map_err(failed)? {
        return Err(FolderOpenError::PlainIndex { path: path.into() });
    }
    let format = prepare(&folder).map_err(failed)?;
    if format != FORMAT {
        let format = format.trim_end().escape_debug().to_string();
        return Err(FolderOpenError::Format { path: path.into(), format });
    }
    folder.settle_all().map_err(failed)?;
    Ok(folder)
}

/// Makes the folder, and those above it that are missing; others may read them.
fn make_folder_and_above(path: &Path) -> Result<(), FolderError> {
    let mut missing: Vec<&Path> = Vec::new();
    for folder in path.ancestors().take_while(|folder| !folder.as_os_str().is_empty()) {
        if fs::exists(folder).at("look at", folder)? {
            break;
        }
        missing.push(folder);
    }
    missing.into_iter().rev().try_for_each(|folder| disk::make_folder(folder, For::Readers))
}

/// Whether there is something at the root that an index has there.
fn holds_index_files(path: &Path) -> Result<bool, FolderError> {
    let is_prefix = |name: &str| {
        matches!(name, "1" | "2" | "3")
            || name.len() == 2
                && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let entries = disk::list(path)?;
    Ok(entries.iter().any(|(name, kind)| name == "config.json" || kind.is_dir() && is_prefix(name)))
}

/// Makes what is missing below the folder, and gives the format of what is there.
fn prepare(folder: &Folder) -> Result<String, FolderError> {
    let layout = &folder.layout;
    for path in [layout.records().to_owned(), layout.staged(), layout.locks()] {
        disk::make_folder(&path, For::Owner)?;
        // Not a link to elsewhere.
        disk::is_folder(&path)?;
    }
    let _lock = folder.lock_folder()?;
    let path = layout.format();
    if let Some((file, _)) = disk::open(&path)? {
        let mut format = String::new();
        // A few bytes, whatever it is that somebody has put there.
        file.take(64).read_to_string(&mut format).at("read", &path)?;
        return Ok(format);
    }
    folder.replace(&path, "format", FORMAT.as_bytes(), For::Owner)?;
    Ok(FORMAT.into())
}

impl Folder {
    /// Writes the root document, unless it is there with these bytes.
    pub(super) fn write_config(&self, config: &[u8]) -> Result<(), FolderError> {
        let _lock = self.lock_folder()?;
        let path = self.layout.config();
        if disk::holds(&path, config)? {
            return Ok(());
        }
        self.replace(&path, "config", config, For::Readers)
    }

    /// Replaces a file that is not of a crate. The caller has the lock of the folder.
    fn replace(
        &self,
        path: &Path,
        name: &str,
        bytes: &[u8],
        audience: For,
    ) -> Result<(), FolderError> {
        let staged = self.layout.staged_other(name);
        disk::stage(&staged, bytes, audience)?;
        disk::rename(&staged, path)?;
        path.parent().map_or(Ok(()), disk::sync_folder)
    }
}

use std::path::{Path, PathBuf};

use registry_core::{CanonicalName, Checksum, CrateName};

/// Where each file lies below the folder.
///
/// Every path is made of checked names and of words of ours. What is ours begins with a dot, which
/// no index file does, and has more than two characters below that, which no shard has.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
    records: PathBuf,
}

/// How many locks there are for all crates.
pub(super) const STRIPES: usize = 256;

const STAGED_RECORD: &str = ".record";
const STAGED_LINES: &str = ".lines";

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        let records = root.join(".records");
        Self { root, records }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn records(&self) -> &Path {
        &self.records
    }

    pub(super) fn config(&self) -> PathBuf {
        self.root.join("config.json")
    }

    /// The file of a crate that cargo reads. Its path is in lower case, and one crate has one
    /// spelling: a disk that ignores case takes no two crates for one.
    pub(super) fn index_file(&self, name: &CrateName) -> PathBuf {
        self.root.join(name.sparse_path())
    }

    /// The folder of a crate's record: that of all names which begin with the same two characters,
    /// so that the folders in their order have the names in theirs.
    pub(super) fn shard(&self, name: &CanonicalName) -> PathBuf {
        self.records.join(shard_of(name))
    }

    pub(super) fn record(&self, name: &CanonicalName) -> PathBuf {
        self.shard(name).join(name.as_str())
    }

    pub(super) fn format(&self) -> PathBuf {
        self.records.join("format")
    }

    pub(super) fn staged(&self) -> PathBuf {
        self.records.join("staged")
    }

    pub(super) fn staged_record(&self, name: &CanonicalName) -> PathBuf {
        self.staged().join(format!("{name}{STAGED_RECORD}"))
    }

    pub(super) fn staged_lines(&self, name: &CanonicalName) -> PathBuf {
        self.staged().join(format!("{name}{STAGED_LINES}"))
    }

    /// Something staged that is not of a crate. No name has a dot in it.
    pub(super) fn staged_other(&self, file: &str) -> PathBuf {
        self.staged().join(format!("{file}.other"))
    }

    pub(super) fn locks(&self) -> PathBuf {
        self.records.join("locks")
    }

    pub(super) fn lock(&self, stripe: usize) -> PathBuf {
        self.locks().join(format!("{stripe:02x}"))
    }

    /// The lock on what is not of a crate.
    pub(super) fn folder_lock(&self) -> PathBuf {
        self.locks().join("folder")
    }
}

pub(super) fn shard_of(name: &CanonicalName) -> &str {
    let name = name.as_str();
    &name[..name.len().min(2)]
}

/// Whether a folder beside the records' folders is one of them: the others have longer names.
pub(super) fn is_shard(folder: &str) -> bool {
    folder.len() <= 2 && canonical(folder).is_some()
}

/// The lock that a crate shares with one crate in [`STRIPES`].
pub(super) fn stripe_of(name: &CanonicalName) -> usize {
    usize::from(Checksum::of(name.as_str()).as_bytes()[0])
}

/// The crate that a staged file is of.
pub(super) fn staged_crate(file: &str) -> Option<CanonicalName> {
    let name = file.strip_suffix(STAGED_RECORD).or_else(|| file.strip_suffix(STAGED_LINES))?;
    canonical(name)
}

/// The name that a file is called by, if it is a name in the form in which records are.
pub(super) fn canonical(file: &str) -> Option<CanonicalName> {
    CanonicalName::new(file).ok().filter(|name| name.as_str() == file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_name_leads_to_one_record() {
        let layout = Layout::new("/i".into());
        for (spelling, record, index_file) in [
            ("a", "/i/.records/a/a", "/i/1/a"),
            ("A-", "/i/.records/a_/a_", "/i/2/a-"),
            ("abc", "/i/.records/ab/abc", "/i/3/a/abc"),
            ("Foo-Bar", "/i/.records/fo/foo_bar", "/i/fo/o-/foo-bar"),
            ("fOO_bAR", "/i/.records/fo/foo_bar", "/i/fo/o_/foo_bar"),
        ] {
            let name = CrateName::new(spelling).unwrap();
            assert_eq!(layout.record(&name.canonical()), Path::new(record));
            assert_eq!(layout.index_file(&name), Path::new(index_file));
        }
    }

    #[test]
    fn a_staged_file_tells_its_crate() {
        let layout = Layout::new("/i".into());
        let name = CanonicalName::new("foo_bar").unwrap();
        let file = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(staged_crate(&file(layout.staged_record(&name))), Some(name.clone()));
        assert_eq!(staged_crate(&file(layout.staged_lines(&name))), Some(name));
        for file in [&file(layout.staged_other("format")), "", ".lines", "a-b.record", "A.lines"] {
            assert_eq!(staged_crate(file), None, "{file}");
        }
    }

    #[test]
    fn stripes_are_by_the_first_byte_of_the_checksum() {
        // `printf foo | sha256sum`
        assert_eq!(stripe_of(&CanonicalName::new("foo").unwrap()), 0x2c);
        assert_eq!(Layout::new("/i".into()).lock(0x2c), Path::new("/i/.records/locks/2c"));
        assert_eq!(Layout::new("/i".into()).lock(7), Path::new("/i/.records/locks/07"));
    }
}

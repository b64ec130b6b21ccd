use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{CrateFile, archive::index_folder, axum_server};

/// Another registry, as the files that are left of it: an index and crate files.
pub(crate) struct OldRegistry {
    folder: TempDir,
}

impl OldRegistry {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("index")).unwrap();
        fs::create_dir(folder.path().join("crates")).unwrap();
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.folder().join("index")
    }

    pub(crate) fn crates(&self) -> PathBuf {
        self.folder().join("crates")
    }

    /// Adds a line and its file, as `crates/NAME-VERSION.crate`.
    pub(crate) fn add(&self, file: &CrateFile, line: &str) {
        self.add_line(&file.name, line);
        self.add_file(&format!("crates/{}-{}.crate", file.name, file.version), &file.bytes);
    }

    /// Appends a line to the index file of a crate.
    pub(crate) fn add_line(&self, name: &str, line: &str) {
        let lower = name.to_ascii_lowercase();
        let path = format!("index/{}/{lower}", index_folder(&lower));
        let before = fs::read(self.folder().join(&path)).unwrap_or_default();
        self.add_file(&path, &[&before, line.as_bytes(), b"\n"].concat());
    }

    /// Writes any file.
    pub(crate) fn add_file(&self, path: &str, content: &[u8]) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The command that brings all of it over into the data folder `data`.
    pub(crate) fn import_command(&self, data: &Path) -> Command {
        let mut command = axum_server();
        command.arg("import").arg("--index-dir").arg(self.index());
        command.arg("--crates").arg(self.crates()).arg("--data").arg(data);
        command
    }

    /// Brings all of it over into the data folder `data`.
    pub(crate) fn import(&self, data: &Path) -> Import {
        Import::of(&mut self.import_command(data))
    }
}

/// How an import ended, and what it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) status: Option<i32>,
    /// New, already here, yank changed, left out.
    pub(crate) counts: [usize; 4],
    /// What was left out, each with its reason.
    pub(crate) left_out: Vec<String>,
}

impl Import {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let counts = [" versions new", " already here", " yank changed", " left out"].map(|what| {
            let (before, _) = stdout.split_once(what).unwrap_or_else(|| panic!("{stdout}{stderr}"));
            before.rsplit(' ').next().unwrap().parse().unwrap()
        });
        let left_out = stderr.lines().filter_map(|line| line.strip_prefix("left out: "));
        let left_out = left_out.map(Into::into).collect();
        Self { status: output.status.code(), counts, left_out }
    }

    /// All that was there is new, and nothing was left out.
    pub(crate) fn all_new(count: usize) -> Self {
        Self { status: Some(0), counts: [count, 0, 0, 0], left_out: Vec::new() }
    }

    /// All that was there is here already.
    pub(crate) fn nothing_new(count: usize) -> Self {
        Self { status: Some(0), counts: [0, count, 0, 0], left_out: Vec::new() }
    }
}

/// The canonical line of a crate without dependencies, with `more` JSON members at its end.
pub(crate) fn index_line(file: &CrateFile, more: &str) -> String {
    let CrateFile { name, version, .. } = file;
    let checksum = file.checksum();
    format!(
        r#"{{"name":"{name}","vers":"{version}","deps":[],"cksum":"{checksum}","features":{{}},"yanked":false{more}}}"#
    )
}

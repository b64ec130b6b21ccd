use std::{
    fs,
    path::{Path, PathBuf},
};

/// A package on disk that can be published or built.
pub(crate) struct Package {
    folder: PathBuf,
}

impl Package {
    pub(crate) fn new(folder: PathBuf, name: &str, version: &str) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n\
             description = \"the crate {name}\"\nlicense = \"MIT\"\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        Self { folder }
    }

    /// A package or workspace that is there already.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Appends to `Cargo.toml`.
    pub(crate) fn manifest(self, toml: &str) -> Self {
        let path = self.folder.join("Cargo.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + "\n" + toml).unwrap();
        self
    }

    /// Adds `[dependencies]`, one a line.
    pub(crate) fn dependencies(self, lines: &str) -> Self {
        self.manifest(&format!("[dependencies]\n{lines}\n"))
    }

    /// Writes a file, in place of one that may be there.
    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of a file.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap()
    }
}

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A package on disk that can be published or built.
#[derive(Debug)]
pub struct Package {
    folder: PathBuf,
}

impl Package {
    /// A package without sources, in a folder that is made for it.
    pub fn new(folder: PathBuf, name: &str, version: &str) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n\
             description = \"the crate {name}\"\nlicense = \"MIT\"\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        Self { folder }
    }

    /// A package or workspace that is there already.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Appends to `Cargo.toml`.
    pub fn manifest(self, toml: &str) -> Self {
        let path = self.folder.join("Cargo.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + "\n" + toml).unwrap();
        self
    }

    /// Adds `[dependencies]`, one a line.
    pub fn dependencies(self, lines: &str) -> Self {
        self.manifest(&format!("[dependencies]\n{lines}\n"))
    }

    /// Writes a file, in place of one that may be there.
    pub fn file(self, path: &str, content: &str) -> Self {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap()
    }
}

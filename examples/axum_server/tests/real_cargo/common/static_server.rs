use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::wait_for;

/// Python's web server, on a folder. Killed when dropped.
pub(crate) struct StaticServer {
    folder: PathBuf,
    output: TempDir,
    process: Child,
    address: String,
}

impl StaticServer {
    /// Serves `folder`, which is made if it is not there.
    pub(crate) fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let output = TempDir::new().unwrap();
        let file = |name: &str| File::create(output.path().join(name)).unwrap();
        let process = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("`python3` is there");
        let stdout = output.path().join("stdout");
        let address = wait_for("the static server to listen", || {
            let stdout = fs::read_to_string(&stdout).unwrap();
            let (_, rest) = stdout.split_once("(http://")?;
            Some(rest.split_once("/)")?.0.to_owned())
        });
        Self { folder: folder.into(), output, process, address }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of the folder, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests answered until now.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.output.path().join("stderr")).unwrap()
    }
}

impl Drop for StaticServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! The reference server as a process of its own.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    arguments: Vec<String>,
}

impl Server {
    /// Starts it with its data in `folder`, and returns when it listens.
    pub(crate) fn start(folder: &Path, flags: &[String]) -> Self {
        let data = folder.join("data").to_str().unwrap().to_owned();
        let arguments: Vec<String> =
            ["--data".into(), data].into_iter().chain(flags.iter().cloned()).collect();
        let mut child = Command::new(env!("CARGO_BIN_EXE_axum_server"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(&arguments)
            .env("REGISTRY_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address, arguments }
    }

    /// A new token of the user `bench`.
    pub(crate) fn token(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_axum_server"))
            .args(["token", "create", "--user", "bench"])
            .args(&self.arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

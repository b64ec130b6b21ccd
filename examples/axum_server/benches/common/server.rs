//! The reference server as a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    arguments: Vec<String>,
    variables: Variables,
}

/// Environment variables.
pub(crate) type Variables = Vec<(&'static str, String)>;

impl Server {
    /// Starts it with its data in `folder`, and returns when it listens.
    pub(crate) fn start(folder: &Path, flags: &[String]) -> Self {
        Self::start_with(folder, flags, vec![])
    }

    /// The same, in an environment with these variables.
    pub(crate) fn start_with(folder: &Path, flags: &[String], variables: Variables) -> Self {
        let data = folder.join("data").to_str().unwrap().to_owned();
        let arguments: Vec<String> =
            ["--data".into(), data].into_iter().chain(flags.iter().cloned()).collect();
        let mut child = Command::new(env!("CARGO_BIN_EXE_axum_server"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(&arguments)
            .envs(variables.iter().cloned())
            .env("REGISTRY_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address, arguments, variables }
    }

    /// A new token of the user `bench`.
    pub(crate) fn token(&self) -> String {
        self.token_of("bench")
    }

    /// A new token of a user, who is made if there is none.
    pub(crate) fn token_of(&self, user: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_axum_server"))
            .args(["token", "create", "--user", user])
            .args(&self.arguments)
            .envs(self.variables.iter().cloned())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Its resident memory now, and at its highest, in bytes.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kilobytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
            kilobytes * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Has the highest memory begin anew with what it is now. Source: proc(5), `clear_refs`.
    pub(crate) fn reset_highest_memory(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

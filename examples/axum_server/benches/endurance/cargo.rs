//! The installed cargo, in a loop.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use real_cargo::{Cargo, Registry};
use tokio::sync::watch;

use crate::{common::server::Server, tally::Tally};

/// Versions of a crate before it is another one's turn: of each the server has the whole index file
/// compressed in its cache.
const VERSIONS: u32 = 10;
/// How long a round takes at the least, so that the index does not grow without end.
const ROUND: Duration = Duration::from_secs(5);
/// After how many rounds cargo's own folders begin anew.
const CLEAN: u32 = 10;

pub(crate) const PUBLISHED: &str = "cargo publish";

/// Where cargo finds the registry.
pub(crate) struct Place {
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Place {
    pub(crate) fn of(server: &Server, token: &str) -> Self {
        Self { address: server.address.clone(), token: token.to_owned() }
    }
}

impl Registry for Place {
    fn index_url(&self) -> String {
        format!("sparse+http://{}/main/index/", self.address)
    }

    fn token(&self, _: &str) -> String {
        self.token.clone()
    }
}

/// Publishes, builds with it, searches, yanks, until `stop`. The names of the crates begin with
/// `prefix`.
pub(crate) fn run(place: &Place, prefix: &str, tally: &Tally, stop: &watch::Receiver<()>) {
    let cargo = Cargo::of(place, "bench");
    let run = |what: &'static str, folder: &Path, arguments: &[&str]| {
        let output = cargo.command(folder).args(arguments).output().unwrap();
        match output.status.success() {
            true => tally.count(what, "done"),
            false => tally.fail(what, String::from_utf8_lossy(&output.stderr)),
        }
    };
    let mut round = 0;
    while !stop.has_changed().unwrap_or(true) {
        let began = Instant::now();
        let (name, version) = (
            format!("{prefix}-by-cargo-{}", round / VERSIONS),
            format!("1.0.{}", round % VERSIONS),
        );
        let library = cargo.library(&name, &version);
        let publish = ["publish", "--registry", "main", "--no-verify", "--allow-dirty"];
        run(PUBLISHED, library.folder(), &publish);
        let program = cargo.program("app", "");
        run("cargo add", program.folder(), &["add", "--registry", "main", &name]);
        run("cargo check", program.folder(), &["check"]);
        let found = ["search", "--registry", "main", &name];
        run("cargo search", cargo.folder(), &found);
        let yanked = format!("{name}@{version}");
        run("cargo yank", cargo.folder(), &["yank", "--registry", "main", &yanked]);
        let owners = ["owner", "--list", "--registry", "main", &name];
        run("cargo owner", cargo.folder(), &owners);
        round += 1;
        // What it has downloaded, too: it comes as from a machine that never heard of the crate.
        let mut old: Vec<PathBuf> =
            vec![library.folder().into(), program.folder().into(), cargo.home().join("registry")];
        if round % CLEAN == 0 {
            old.push(cargo.folder().join("target"));
        }
        for folder in old {
            // What is not there was not made, and that is told already.
            let _ = fs::remove_dir_all(folder);
        }
        thread::sleep(ROUND.saturating_sub(began.elapsed()));
    }
}

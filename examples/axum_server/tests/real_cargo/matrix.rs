//! Every command of cargo that speaks to a registry, with several cargos, on every set of backends.

use std::{env, path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::common::{Cargo, Package, Place, Server};

/// Has a table of all that was tried.
const README: &str = include_str!("../../../../README.md");

/// Runs a command and looks at what came of it.
type Run = fn(&Cell);

/// The commands, in an order in which each finds what it needs.
const COMMANDS: [(&str, Run); 14] = [
    ("login", |cell| {
        let token = cell.server.token("alice") + "\n";
        cell.cargo.run_with_input(&token, ["login", "--registry", "main"]).success();
    }),
    ("publish", |cell| {
        cell.cargo.publish_library("hello", "1.0.0");
        cell.cargo.publish_library("hello", "1.1.0");
        let tool = cell.cargo.program("tool", "println!(\"{}\", hello::version())");
        let tool = tool.dependencies("hello = { version = \"1\", registry = \"main\" }");
        cell.cargo.run_in(&tool, ["publish", "--registry", "main"]).success();
        let again = cell.cargo.publish(&cell.cargo.library("hello", "1.0.0")).failure();
        assert!(again.contains("already"), "{again}");
    }),
    ("yank", |cell| {
        cell.cargo.run(["yank", "hello@1.1.0", "--registry", "main"]).success();
    }),
    ("search", |cell| {
        let found = cell.cargo.run(["search", "hell", "--registry", "main"]).success();
        assert!(found.starts_with("hello = \"1.0.0\""), "{found}");
    }),
    ("info", |cell| {
        let info = cell.cargo.run(["info", "hello", "--registry", "main"]).success();
        assert!(info.contains("version: 1.0.0"), "{info}");
    }),
    ("add", |cell| {
        cell.cargo.run_in(&cell.app, ["add", "hello", "--registry", "main"]).success();
        let manifest = cell.app.read("Cargo.toml");
        assert!(manifest.contains("hello = { version = \"1.0.0\", registry = \"main\" }"));
    }),
    ("fetch", |cell| {
        cell.cargo.run_in(&cell.app, ["fetch"]).success();
        assert!(cell.app.read("Cargo.lock").contains("name = \"hello\"\nversion = \"1.0.0\""));
    }),
    ("check", |cell| {
        cell.cargo.run_in(&cell.app, ["check", "--locked"]).success();
    }),
    ("build", |cell| {
        cell.cargo.run_in(&cell.app, ["build", "--locked", "--offline"]).success();
        let built = cell.cargo.folder().join("target/debug/app");
        assert_eq!(Command::new(built).output().unwrap().stdout, b"1.0.0\n");
    }),
    ("update", |cell| {
        cell.cargo.run(["yank", "--undo", "hello@1.1.0", "--registry", "main"]).success();
        cell.cargo.run_in(&cell.app, ["update"]).success();
        assert!(cell.app.read("Cargo.lock").contains("name = \"hello\"\nversion = \"1.1.0\""));
    }),
    ("vendor", |cell| {
        let config = cell.cargo.run_in(&cell.app, ["vendor"]).success();
        assert!(config.contains(&cell.server.index_url()), "{config}");
        assert!(cell.app.read("vendor/hello/Cargo.toml").contains("version = \"1.1.0\""));
    }),
    ("install", |cell| {
        let root = cell.cargo.folder().join("installed");
        let arguments = ["install", "tool", "--registry", "main", "--root"].map(Into::into);
        let arguments = arguments.into_iter().chain([root.clone().into_os_string()]);
        cell.cargo.run(arguments).success();
        assert_eq!(Command::new(root.join("bin/tool")).output().unwrap().stdout, b"1.1.0\n");
    }),
    ("owner", |cell| {
        let owner = |flag: &[&str]| {
            let all = [&["owner", "--registry", "main", "hello"][..], flag].concat();
            cell.cargo.run(all).success()
        };
        cell.server.token("bob");
        owner(&["--add", "bob"]);
        assert_eq!(owner(&["--list"]), "alice\nbob\n");
        owner(&["--remove", "bob"]);
        assert_eq!(owner(&["--list"]), "alice\n");
    }),
    ("logout", |cell| {
        cell.cargo.run(["logout", "--registry", "main"]).success();
        let refused = cell.cargo.publish(&cell.cargo.library("hello", "2.0.0")).failure();
        assert!(refused.contains("no token found for `main`"), "{refused}");
    }),
];

/// A cargo and a server.
struct Cell {
    server: Server,
    cargo: Cargo,
    /// Of cargo's version.
    minor: u32,
    app: Package,
}

impl Cell {
    fn new(program: Option<PathBuf>, place: &Place) -> Self {
        let server = Server::start_at(place);
        let cargo = Cargo::anonymous(&server).with_program(program);
        let version = cargo.run(["--version"]).success();
        let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
        let app = cargo.program("app", "println!(\"{}\", hello::version())");
        Self { server, cargo, minor: minor.expect("cargo 1.…"), app }
    }

    /// Whether this cargo has a command at all. Source: the changelog of cargo.
    fn has(&self, command: &str) -> bool {
        command != "info" || self.minor >= 82
    }
}

/// The sets of backends for which what they need is there.
fn places(folder: &TempDir) -> Vec<(&'static str, Place)> {
    let (bucket, postgres) = (Place::bucket(), Place::postgres());
    let mut places =
        vec![("SQLite, folder", Place::sqlite(folder)), ("folder, folder", Place::folder(folder))];
    if let Some(bucket) = &bucket {
        places.push(("SQLite, bucket", Place::sqlite(folder).with_files_in(bucket)));
        places.push(("bucket, bucket", bucket.clone()));
    }
    if let Some(postgres) = postgres {
        places.push(("PostgreSQL, folder", postgres));
    }
    if let (Some(bucket), Some(postgres)) = (bucket, Place::postgres()) {
        places.push(("PostgreSQL, bucket", postgres.with_files_in(&bucket)));
    }
    places
}

#[test]
fn every_command_of_every_cargo_works_on_every_backend() {
    // Further cargos, by their paths.
    let others = env::var_os("REGISTRY_TEST_CARGOS").unwrap_or_default();
    let others = env::split_paths(&others).filter(|path| !path.as_os_str().is_empty());
    let programs: Vec<_> = [None].into_iter().chain(others.map(Some)).collect();
    if programs.len() == 1 {
        eprintln!("the installed cargo alone: REGISTRY_TEST_CARGOS does not name others");
    }
    for program in programs {
        let folder = TempDir::new().unwrap();
        for (backends, place) in places(&folder) {
            assert!(README.contains(&format!("\n| {backends} | all")), "{backends}");
            let cell = Cell::new(program.clone(), &place);
            for (command, run) in COMMANDS {
                let known = cell.has(command);
                // Shown if the test fails.
                let note = if known { "" } else { ": no command yet" };
                println!("cargo 1.{} {command}, {backends}{note}", cell.minor);
                if known {
                    run(&cell);
                }
            }
        }
    }
}

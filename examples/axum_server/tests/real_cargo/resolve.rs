use std::{collections::BTreeSet, fs};

use crate::common::{Cargo, Server, index_path};

/// Publishes a crate that depends on seven others, in each way a dependency can be written.
fn publish_every_kind(server: &Server) -> Cargo {
    let cargo = Cargo::of(server, "alice");
    for name in ["plain", "real-name", "chosen", "on-unix", "on-windows", "builder", "tester"] {
        cargo.publish_library(name, "1.2.3");
    }
    let every = cargo.library("every", "1.0.0").manifest(
        r#"
        [dependencies]
        plain = { version = "1", registry = "main" }
        nick = { version = "1.2", registry = "main", package = "real-name" }
        chosen = { version = "1", registry = "main", optional = true, default-features = false }

        [target.'cfg(unix)'.dependencies]
        on-unix = { version = "1", registry = "main" }

        [target.'cfg(windows)'.dependencies]
        on-windows = { version = "1", registry = "main" }

        [build-dependencies]
        builder = { version = "1", registry = "main" }

        [dev-dependencies]
        tester = { version = "1", registry = "main" }
        "#,
    );
    let lib = "pub fn versions() -> Vec<&'static str> {
        let mut all = vec![env!(\"BUILT_WITH\"), plain::version(), nick::version()];
        #[cfg(unix)]
        all.push(on_unix::version());
        #[cfg(windows)]
        all.push(on_windows::version());
        #[cfg(feature = \"chosen\")]
        all.push(chosen::version());
        all
    }
    #[test]
    fn it_is_tested() { assert_eq!(tester::version(), \"1.2.3\"); }";
    let build = "fn main() { println!(\"cargo:rustc-env=BUILT_WITH={}\", builder::version()) }";
    let every = every.file("src/lib.rs", lib).file("build.rs", build);
    cargo.publish(&every).success();
    cargo
}

#[test]
fn each_kind_of_dependency_is_in_the_index_as_written() {
    let server = Server::start();
    publish_every_kind(&server);
    let line = server.client().get(&index_path("every")).json();
    let mut dependencies = line["deps"].as_array().unwrap().clone();
    // What a reader may assume if it is not there.
    for dependency in &mut dependencies {
        let dependency = dependency.as_object_mut().unwrap();
        for key in ["registry", "package", "target"] {
            dependency.entry(key).or_insert(serde_json::Value::Null);
        }
    }
    dependencies.sort_by_key(|dependency| dependency["name"].as_str().unwrap().to_owned());
    let dependency = |name, req, kind, target: Option<&str>, package: Option<&str>| {
        let optional = name == "chosen";
        serde_json::json!({
            "name": name, "req": req, "features": [], "optional": optional,
            "default_features": !optional, "target": target, "kind": kind,
            "registry": null, "package": package,
        })
    };
    assert_eq!(
        dependencies,
        [
            dependency("builder", "^1", "build", None, None),
            dependency("chosen", "^1", "normal", None, None),
            dependency("nick", "^1.2", "normal", None, Some("real-name")),
            dependency("on-unix", "^1", "normal", Some("cfg(unix)"), None),
            dependency("on-windows", "^1", "normal", Some("cfg(windows)"), None),
            dependency("plain", "^1", "normal", None, None),
            dependency("tester", "^1", "dev", None, None),
        ]
    );
}

#[test]
fn each_kind_of_dependency_resolves_as_written() {
    let server = Server::start();
    let cargo = publish_every_kind(&server);
    let app = cargo.program("app", "println!(\"{}\", every::versions().join(\" \"))");
    let app = app.dependencies(r#"every = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.2.3 1.2.3 1.2.3 1.2.3\n");
    let here = if cfg!(windows) { "on-windows" } else { "on-unix" };
    let mut always = ["builder", "every", here, "plain", "real-name"].map(str::to_owned).to_vec();
    assert_eq!(downloads(&server), always);

    let chosen = r#"every = { version = "1", registry = "main", features = ["chosen"] }"#;
    let app = cargo.program("app-chosen", "println!(\"{}\", every::versions().join(\" \"))");
    let app = app.dependencies(chosen);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.2.3 1.2.3 1.2.3 1.2.3 1.2.3\n");

    always.insert(1, "chosen".to_owned());
    assert_eq!(downloads(&server), always);
    // A dev-dependency is nobody's but the crate's own.
    assert!(!app.read("Cargo.lock").contains("tester"));
}

/// The crates downloaded until now, sorted.
fn downloads(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let paths = requests.iter().filter_map(|request| request.path.strip_prefix("/main/dl/"));
    let names = paths.map(|path| path.split_once('/').unwrap().0.to_owned());
    Vec::from_iter(BTreeSet::from_iter(names))
}

#[test]
fn a_program_is_installed() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let tool = cargo
        .program("tool", "println!(\"tool with hello {}\", hello::version())")
        .dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.publish(&tool).success();
    cargo.run(["install", "tool", "--registry", "main"]).success();
    let program =
        cargo.home().join("bin").join("tool").with_extension(std::env::consts::EXE_EXTENSION);
    let output = std::process::Command::new(program).output().unwrap();
    assert_eq!(output.stdout, b"tool with hello 1.0.0\n");
}

#[test]
fn an_update_finds_a_new_version() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");

    cargo.publish_library("hello", "1.0.1");
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    let updated = cargo.run_in(&app, ["update"]);
    updated.success();
    assert!(updated.stderr().contains("Updating hello v1.0.0"), "{}", updated.stderr());
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.1\n");
}

#[test]
fn a_locked_project_is_fetched_and_then_built_offline() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.run_in(&app, ["generate-lockfile"]).success();
    cargo.publish_library("hello", "1.0.1");

    cargo.forget_downloads();
    cargo.run_in(&app, ["fetch", "--locked"]).success();
    drop(server);
    assert_eq!(cargo.run_in(&app, ["run", "--offline", "--locked"]).success(), "1.0.0\n");
}

#[test]
fn dependencies_are_vendored() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    let config = cargo.run_in(&app, ["vendor"]).success();
    let app = app.file(".cargo/config.toml", &config);
    let line = server.client().get(&index_path("hello")).json();
    let vendored = fs::read(app.folder().join("vendor/hello/.cargo-checksum.json")).unwrap();
    let vendored: serde_json::Value = serde_json::from_slice(&vendored).unwrap();
    assert_eq!(vendored["package"], line["cksum"]);

    drop(server);
    cargo.forget_downloads();
    assert_eq!(cargo.run_in(&app, ["run", "--locked"]).success(), "1.0.0\n");
}

#[test]
fn a_missing_crate_is_reported_as_missing() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let app =
        cargo.program("app", "").dependencies(r#"absent = { version = "1", registry = "main" }"#);
    let refused = cargo.run_in(&app, ["generate-lockfile"]).failure();
    assert!(refused.contains("no matching package named `absent` found"), "{refused}");
}

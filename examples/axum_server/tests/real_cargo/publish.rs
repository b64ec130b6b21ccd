use std::process::Command;

use crate::common::{Cargo, CrateFile, Server, checksum, index_path, noise};

#[test]
fn a_published_crate_is_added_and_built() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");

    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    cargo.run_in(&app, ["add", "hello", "--registry", "main"]).success();
    assert!(app.read("Cargo.toml").contains(r#"hello = { version = "1.0.0", registry = "main" }"#));
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
}

#[test]
fn a_second_version_is_what_a_new_project_gets() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    cargo.publish_library("hello", "1.1.0");

    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.1.0\n");
}

#[test]
fn a_publish_is_built_and_waited_for_by_cargo_as_usual() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let hello = cargo.library("hello", "1.0.0");
    let published = cargo.run_in(&hello, ["publish", "--registry", "main"]);
    published.success();
    // No `timed out waiting` and no other warning: cargo found the version at its first look.
    assert!(!published.stderr().contains("warning:"), "{}", published.stderr());
    assert!(published.stderr().contains("Published hello v1.0.0 at registry `main`"));
}

#[test]
fn the_index_line_says_what_was_published() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let hello = cargo
        .library("hello", "1.0.0")
        .manifest("links = \"hello\"")
        .file("build.rs", "fn main() {}");
    let hello = hello.manifest("rust-version = \"1.70\"\n[features]\ndefault = [\"a\"]\na = []");
    cargo.publish(&hello).success();

    let answer = server.client().get(&index_path("hello"));
    assert_eq!(answer.status, 200);
    let mut line = answer.json();
    let line = line.as_object_mut().unwrap();
    let pubtime = line.remove("pubtime").unwrap();
    let pubtime = pubtime.as_str().unwrap();
    assert!(pubtime.len() == 20 && pubtime.ends_with('Z'), "{pubtime}");
    let cksum = line.remove("cksum").unwrap();
    let package = cargo.folder().join("target/package/tmp-crate/hello-1.0.0.crate");
    let package = std::fs::read(package).unwrap();
    assert_eq!(cksum, checksum(&package));
    assert_eq!(
        serde_json::Value::from(line.clone()),
        serde_json::json!({
            "name": "hello", "vers": "1.0.0", "deps": [],
            "features": { "a": [], "default": ["a"] },
            "links": "hello", "rust_version": "1.70", "yanked": false,
        })
    );
    // And the file is the one that cargo made, byte for byte, under both addresses.
    for path in [
        format!("/main/dl/hello/1.0.0/{}", cksum.as_str().unwrap()),
        "/main/api/v1/crates/hello/1.0.0/download".to_owned(),
    ] {
        let download = server.client().get(&path);
        assert_eq!((download.status, download.body == package), (200, true), "{path}");
        assert_eq!(download.header("content-encoding"), None);
    }
}

#[test]
fn the_same_version_is_refused_by_cargo_and_by_the_server() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let hello = cargo.library("hello", "1.0.0");
    cargo.publish(&hello).success();
    let refused = cargo.publish(&hello).failure();
    assert!(refused.contains("crate hello@1.0.0 already exists"), "{refused}");

    let other = CrateFile::library("hello", "1.0.0", b"other bytes");
    let answer = server.client_of("alice").publish(&other.frame());
    assert_eq!(answer.error(), (409, "crate version `1.0.0` is already uploaded".into()));
}

#[test]
fn a_version_stays_taken_when_it_is_yanked() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let hello = cargo.library("hello", "1.0.0");
    cargo.publish(&hello).success();
    cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).success();
    let refused = cargo.publish(&hello).failure();
    let taken = "(status 409 Conflict): crate version `1.0.0` is already uploaded";
    assert!(refused.contains(taken), "{refused}");
}

#[test]
fn versions_that_differ_in_build_metadata_alone_are_one() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0+a");
    let refused = cargo.publish(&cargo.library("hello", "1.0.0+b")).failure();
    assert!(refused.contains("already exists"), "{refused}");

    let other = CrateFile::library("hello", "1.0.0+b", b"");
    let answer = server.client_of("alice").publish(&other.frame());
    assert_eq!(answer.error(), (409, "crate version `1.0.0` is already uploaded".into()));

    // The metadata is part of every path, where `+` stands for itself.
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0+a\n");
}

#[test]
fn bare_publish_and_add_go_to_the_default_registry() {
    let server = Server::start();
    let cargo = Cargo::bare().with("CARGO_REGISTRIES_MAIN_TOKEN", &server.token("alice"));
    cargo.configure(&format!(
        "[registry]\ndefault = \"main\"\n\n[registries.main]\nindex = \"{}\"",
        server.index_url()
    ));
    cargo.run_in(&cargo.library("hello", "1.0.0"), ["publish", "--no-verify"]).success();

    let requests = server.requests();
    let puts: Vec<_> = requests.iter().filter(|request| request.method == "PUT").collect();
    assert_eq!(puts.len(), 1);
    assert_eq!((puts[0].path.as_str(), puts[0].status), ("/main/api/v1/crates/new", 200));

    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    cargo.run_in(&app, ["add", "hello"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
}

#[test]
fn a_tree_that_is_dirty_in_git_is_published_when_allowed() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let hello = cargo.library("hello", "1.0.0");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let output = Command::new("git")
            .current_dir(hello.folder())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(identity)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "start"]);
    let hello = hello.file("src/lib.rs", "pub fn edited_by_the_pipeline() {}");

    let refused = cargo.publish(&hello).failure();
    assert!(refused.contains("uncommitted changes"), "{refused}");
    let publish = ["publish", "--registry", "main", "--no-verify", "--allow-dirty"];
    cargo.run_in(&hello, publish).success();
    let file = server.client().get("/main/api/v1/crates/hello/1.0.0/download").body;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file.as_slice()));
    let info = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.path().unwrap().ends_with(".cargo_vcs_info.json"));
    let info: serde_json::Value = serde_json::from_reader(info.unwrap()).unwrap();
    assert_eq!(info["git"]["dirty"], true);
}

#[test]
fn a_crate_above_the_limit_is_refused_with_limit_and_size() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let hello = cargo.library("hello", "1.0.0");
    // Random enough not to shrink.
    std::fs::write(hello.folder().join("noise"), noise(11 << 20)).unwrap();
    let refused = cargo.publish(&hello).failure();
    assert!(refused.contains("max upload size is: 10485760"), "{refused}");
}

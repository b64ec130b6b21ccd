//! A registry that is only read.

use crate::common::{Cargo, CrateFile, Import, OldRegistry, Server, index_line};

#[test]
fn a_read_only_registry_serves_and_refuses() {
    let server = Server::start_with(&["--read-only"]);
    // Who may write to its data still brings crates into it.
    let old = OldRegistry::new();
    let file = CrateFile::library("dep", "1.0.0", b"");
    old.add(&file, &index_line(&file, ""));
    assert_eq!(old.import(&server.data()), Import::all_new(1));

    let config = server.client().get("/main/index/config.json").json();
    let dl = format!("{}/dl/{{crate}}/{{version}}/{{sha256-checksum}}", server.url());
    assert_eq!(config, serde_json::json!({ "dl": dl }));
    assert!(server.stdout().contains(&server.index_url()) && !server.stdout().contains("token"));

    let cargo = Cargo::of(&server, "admin");
    let program = cargo
        .program("uses-dep", "")
        .dependencies("dep = { version = \"1\", registry = \"main\" }");
    cargo.run_in(&program, ["fetch"]).success();
    let library = cargo.library("new", "1.0.0");
    let yank = ["yank", "--registry", "main", "--version", "1.0.0", "dep"];
    for refused in [cargo.publish(&library), cargo.run(yank)] {
        let refused = refused.failure();
        assert!(refused.contains("does not support API commands"), "{refused}");
    }
}

#[test]
fn a_write_that_is_sent_all_the_same_is_refused() {
    let server = Server::start_with(&["--read-only"]);
    let old = OldRegistry::new();
    let file = CrateFile::library("dep", "1.0.0", b"");
    old.add(&file, &index_line(&file, ""));
    assert_eq!(old.import(&server.data()), Import::all_new(1));

    let new = CrateFile::library("new", "1.0.0", b"").frame();
    let owners = br#"{"users":["admin"]}"#;
    let client = server.client_of("admin");
    for (method, path, body) in [
        ("PUT", "/main/api/v1/crates/new", &new[..]),
        ("DELETE", "/main/api/v1/crates/dep/1.0.0/yank", b""),
        ("PUT", "/main/api/v1/crates/dep/1.0.0/unyank", b""),
        ("PUT", "/main/api/v1/crates/dep/owners", owners),
        ("DELETE", "/main/api/v1/crates/dep/owners", owners),
    ] {
        let answer = client.send(method, path, &[], body);
        assert_eq!(answer.error(), (403, "this registry is read-only".to_owned()), "{path}");
    }
    assert_eq!(client.get("/main/api/v1/crates/dep/owners").status, 200);
}

//! The registry as plain files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::SystemTime,
};

use tempfile::TempDir;

use crate::common::{Cargo, CrateFile, Server, StaticServer, axum_server, index_path};

fn export(server: &Server, folder: &Path, more: &[&str]) -> Output {
    let mut command = axum_server();
    command.arg("export").arg("--static").arg(folder);
    command.arg("--data").arg(server.data()).args(more).output().unwrap()
}

/// How many files were written and removed.
#[track_caller]
fn exported(output: &Output) -> [usize; 2] {
    assert!(output.status.success(), "{output:?}");
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    [" files written", " removed"].map(|what| {
        stdout.split_once(what).expect(stdout).0.rsplit(' ').next().unwrap().parse().unwrap()
    })
}

/// All files below a folder, but for what the export keeps for itself.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with(".registry-export") {
                    folders.push(path);
                }
                continue;
            }
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            files.insert(path.clone(), (fs::read(&path).unwrap(), modified));
        }
    }
    files
}

#[test]
fn cargo_builds_from_an_export_that_python_serves() {
    let server = Server::start();
    let publisher = Cargo::of(&server, "alice");
    publisher.publish_library("Base_Lib", "1.0.0");
    publisher.publish_library("x", "0.1.0+build");
    let top = publisher
        .library("top", "1.0.0")
        .dependencies("Base_Lib = { version = \"1\", registry = \"main\" }");
    publisher.publish(&top).success();

    let folder = TempDir::new().unwrap();
    let web = StaticServer::start(&folder.path().join("export"));
    assert_eq!(exported(&export(&server, web.folder(), &["--base-url", &web.url()])), [7, 0]);
    let config = fs::read_to_string(web.folder().join("config.json")).unwrap();
    let dl = format!("{}/crates/{{crate}}/{{crate}}-{{version}}.crate", web.url());
    assert_eq!(config, format!(r#"{{"dl":"{dl}"}}"#));
    for name in ["base_lib", "x", "top"] {
        let served = server.client().get(&index_path(name)).body;
        let path = index_path(name).replace("/main/index/", "");
        assert_eq!(fs::read(web.folder().join(path)).unwrap(), served);
    }
    // `top` says where `Base_Lib` is by saying nothing: in the same registry.
    drop(server);
    let cargo = Cargo::bare();
    cargo.configure(&format!("[registries.main]\nindex = \"sparse+{}/\"\n", web.url()));
    let program = cargo.program("uses-top", "").dependencies(
        "top = { version = \"1\", registry = \"main\" }\n\
         x = { version = \"0.1\", registry = \"main\" }",
    );
    cargo.run_in(&program, ["fetch"]).success();
    cargo.run_in(&program, ["build"]).success();
    assert!(web.log().contains("GET /crates/x/x-0.1.0+build.crate"), "{}", web.log());

    let publish = cargo.with("CARGO_REGISTRIES_MAIN_TOKEN", "token");
    let refused = publish.publish(&publish.library("new", "1.0.0")).failure();
    assert!(refused.contains("does not support API commands"), "{refused}");
}

#[test]
fn the_next_export_writes_what_changed_and_removes_what_is_gone() {
    let server = Server::start();
    let client = server.client_of("alice");
    let (foo, bar) =
        (CrateFile::library("foo", "1.0.0", b""), CrateFile::library("bar", "1.0.0", b""));
    for file in [&foo, &bar] {
        assert_eq!(client.publish(&file.frame()).status, 200);
    }
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    assert_eq!(exported(&export(&server, folder, &[])), [5, 0]);
    let first = files(folder);
    assert_eq!(exported(&export(&server, folder, &[])), [0, 0]);
    assert_eq!(files(folder), first);

    // Damage, leftovers where files of a registry are, and files of others beside them.
    fs::write(folder.join("crates/foo/foo-1.0.0.crate"), b"damaged").unwrap();
    fs::write(folder.join("crates/foo/foo-0.9.0.crate"), b"gone").unwrap();
    fs::create_dir_all(folder.join("go/ne")).unwrap();
    fs::write(folder.join("go/ne/gone"), b"{}").unwrap();
    fs::write(folder.join("index.html"), b"hello").unwrap();
    fs::create_dir(folder.join(".git")).unwrap();
    fs::write(folder.join(".git/HEAD"), b"ref").unwrap();
    assert_eq!(client.send("DELETE", "/main/api/v1/crates/bar/1.0.0/yank", &[], b"").status, 200);
    assert_eq!(exported(&export(&server, folder, &[])), [2, 2]);
    let now = files(folder);
    let content = |path: &str| now.get(&folder.join(path)).map(|(content, _)| content.as_slice());
    assert_eq!(content("crates/foo/foo-1.0.0.crate"), Some(foo.bytes.as_slice()));
    assert_eq!(content("3/b/bar"), Some(client.get(&index_path("bar")).body.as_slice()));
    assert_eq!(
        (content("index.html"), content(".git/HEAD")),
        (Some(&b"hello"[..]), Some(&b"ref"[..]))
    );
    assert_eq!(now.len(), 7);
    assert_eq!(now[&folder.join("3/f/foo")], first[&folder.join("3/f/foo")]);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let server = Server::start();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.tex"), b"only copy").unwrap();
    let output = export(&server, folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "error: `{}` is not empty, and not an export of a registry\n",
        folder.path().display()
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

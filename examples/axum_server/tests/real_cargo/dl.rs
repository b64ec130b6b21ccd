//! Crate files that clients find elsewhere, by the template in `config.json`.

use std::fs;

use tempfile::TempDir;

use crate::common::{Cargo, CrateFile, Server, StaticServer, axum_server, noise};

/// Names that make a difference: in case, by `-`, and in the length of their prefix.
const NAMES: [&str; 5] = ["Hello-World", "x", "Ab", "foo", "under_score"];

/// Publishes a version of each crate.
fn publish(server: &Server) -> Vec<CrateFile> {
    let alice = server.client_of("alice");
    let files = NAMES.map(|name| CrateFile::library(name, "1.2.3-rc.1", &noise(100)));
    for file in &files {
        assert_eq!(alice.publish(&file.frame()).status, 200);
    }
    files.into()
}

/// Has cargo fetch all of them, and asserts that the server was asked for none.
fn fetch(server: &Server) {
    let cargo = Cargo::anonymous(server);
    let line = |name| format!("{name} = {{ version = \"=1.2.3-rc.1\", registry = \"main\" }}\n");
    let app = cargo.program("app", "").dependencies(&NAMES.map(line).concat());
    cargo.run_in(&app, ["fetch"]).success();
    let is_download = |path: &str| path.starts_with("/main/dl/") || path.ends_with("/download");
    assert!(server.requests().iter().all(|request| !is_download(&request.path)));
}

/// The paths that were found, in order.
fn found(elsewhere: &StaticServer) -> Vec<String> {
    let log = elsewhere.log();
    let requests = log.lines().filter(|line| line.contains("\" 200 "));
    let mut paths: Vec<_> = requests
        .map(|line| line.split_once("\"GET ").unwrap().1.split(' ').next().unwrap().to_owned())
        .collect();
    paths.sort();
    paths
}

#[test]
fn cargo_finds_files_on_another_host_by_all_five_markers() {
    let folder = TempDir::new().unwrap();
    let elsewhere = StaticServer::start(folder.path());
    let template =
        elsewhere.url() + "/{prefix}/{lowerprefix}/{crate}/{version}/{sha256-checksum}.crate";
    let server = Server::start_with(&["--dl", &template]);
    let config = server.client().get("/main/index/config.json").json();
    assert_eq!(config["dl"], template);
    let prefixes = ["He/ll/he/ll", "1/1", "2/2", "3/f/3/f", "un/de/un/de"];
    let mut expected = Vec::new();
    for (file, prefixes) in publish(&server).iter().zip(prefixes) {
        let path = format!("/{prefixes}/{}/1.2.3-rc.1/{}.crate", file.name, file.checksum());
        let place = folder.path().join(&path[1..]);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, &file.bytes).unwrap();
        expected.push(path);
    }
    fetch(&server);
    expected.sort();
    assert_eq!(found(&elsewhere), expected);
}

#[test]
fn cargo_finds_files_where_the_registry_keeps_them() {
    let folder = TempDir::new().unwrap();
    let elsewhere = StaticServer::start(folder.path());
    let storage = format!("file:{}", folder.path().display());
    let template = elsewhere.url() + "/{lowerprefix}/{crate}/{version}-{sha256-checksum}.crate";
    let server = Server::start_with(&["--storage", &storage, "--dl", &template]);
    let prefixes = ["he/ll", "1", "2", "3/f", "un/de"];
    let mut expected: Vec<_> = publish(&server)
        .iter()
        .zip(prefixes)
        .map(|(file, prefix)| {
            format!("/{prefix}/{}/1.2.3-rc.1-{}.crate", file.name, file.checksum())
        })
        .collect();
    fetch(&server);
    expected.sort();
    assert_eq!(found(&elsewhere), expected);
}

#[test]
fn a_template_that_leads_nowhere_is_refused_before_anything_is_made() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let template = "https://cdn.example/{name}/{version}";
    let output = axum_server()
        .args(["serve", "--listen", "127.0.0.1:0", "--dl", template, "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let reason = format!(
        "`{template}` cannot be where crate files are: `{{name}}` is no marker: there are {{crate}}, \
         {{version}}, {{prefix}}, {{lowerprefix}} and {{sha256-checksum}}"
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&reason), "{stderr}");
    assert!(!data.exists());
}

//! Moving here from another registry.

use std::{fs, path::Path, process::Stdio, time::Instant};

use tempfile::TempDir;

use crate::common::{
    Cargo, CrateFile, Import, OldRegistry, Server, StaticServer, axum_server, index_line,
    index_path, wait_for,
};

/// Checks every crate and every file.
#[track_caller]
fn verify(data: &Path) {
    let output = axum_server().args(["index", "verify", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A checkout of a git index with this many crates of ten versions each, and their files.
fn checkout(crates: usize) -> OldRegistry {
    let old = OldRegistry::new();
    old.add_file("index/config.json", br#"{"dl":"https://old.example.com/dl"}"#);
    old.add_file("index/README.md", b"# An index");
    old.add_file("index/.git/HEAD", b"ref: refs/heads/master\n");
    old.add_file("index/.git/objects/ob/je/objects", b"not a line");
    for number in 0..crates {
        let name = format!("crate-{number:03}");
        for version in 0..10 {
            let file = CrateFile::library(&name, &format!("0.{version}.0"), b"");
            old.add(&file, &index_line(&file, ""));
        }
    }
    old
}

#[test]
fn a_checkout_of_5000_lines_comes_over_and_the_second_time_there_is_nothing_to_do() {
    let old = checkout(500);
    let data = TempDir::new().unwrap();
    let start = Instant::now();
    assert_eq!(old.import(data.path()), Import::all_new(5000));
    let first = start.elapsed();
    let start = Instant::now();
    assert_eq!(old.import(data.path()), Import::nothing_new(5000));
    println!("5,000 lines: {first:.1?}, again: {:.1?}", start.elapsed());
    verify(data.path());
}

#[test]
fn an_import_that_was_killed_is_completed_by_the_next() {
    let old = checkout(40);
    let data = TempDir::new().unwrap();
    let mut process = old.import_command(data.path()).stdout(Stdio::null()).spawn().unwrap();
    let files = data.path().join("crates");
    let stored = || {
        let mut folders = vec![files.clone()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            // What is being written may be renamed meanwhile.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => folders.push(entry.path()),
                    false => count += 1,
                }
            }
        }
        count
    };
    wait_for("files to be stored", || (stored() >= 60).then_some(()));
    process.kill().unwrap();
    process.wait().unwrap();
    verify(data.path());
    let again = old.import(data.path());
    let [new, already_here, ..] = again.counts;
    assert_eq!((new + already_here, again.status), (400, Some(0)));
    assert!(new > 0);
    verify(data.path());
}

#[test]
fn lines_come_over_byte_for_byte_into_a_server_that_runs() {
    let server = Server::start();
    let old = OldRegistry::new();
    let file = |version: &str| CrateFile::library("Foo", version, version.as_bytes());
    // Unknown fields, odd white space, absent fields, another order, a time, and a version that
    // cargo itself passes over.
    let pubtime = r#","pubtime":"2020-01-01T00:00:00Z","unknown":{ "a" : [1e400, null] }"#;
    let (a, b, c) = (file("1.0.0"), file("0.9.0+build"), file("2.0.0"));
    let odd = format!(
        r#"{{ "cksum": "{}", "vers" :"0.9.0+build","deps":[],"name":"Foo"}}"#,
        b.checksum()
    );
    let invalid = index_line(&c, r#","deps":"none","rust_version":"=1.70""#);
    let lines = [index_line(&a, pubtime), odd, invalid];
    for (file, line) in [&a, &b, &c].into_iter().zip(&lines) {
        old.add(file, &format!("{line}\r"));
        old.add_line("Foo", " \t");
    }
    assert_eq!(old.import(&server.data()), Import::all_new(3));
    let client = server.client();
    let served = client.get(&index_path("foo"));
    assert_eq!(served.text(), lines.map(|line| line + "\n").concat());
    for file in [&a, &b, &c] {
        assert_eq!(client.get(&file.download_path()).body, file.bytes);
    }
    // Publishes go on where the old registry ended: by the owner, after the same versions.
    let next = file("3.0.0");
    let by_alice = server.client_of("alice").publish(&next.frame());
    assert_eq!(by_alice.status, 403);
    assert_eq!(server.client_of("admin").publish(&a.frame()).status, 409);
    assert_eq!(server.client_of("admin").publish(&next.frame()).status, 200);
    // And what is here stays here.
    assert_eq!(old.import(&server.data()), Import::nothing_new(3));
    assert_eq!(client.get(&index_path("foo")).text().lines().count(), 4);
}

#[test]
fn yanks_and_new_versions_follow_the_old_registry_and_its_owner_is_named() {
    let server = Server::start();
    let old = OldRegistry::new();
    let first = CrateFile::library("foo", "1.0.0", b"");
    let line = index_line(&first, "");
    old.add(&first, &line);
    let import = || {
        let mut command = old.import_command(&server.data());
        Import::of(command.args(["--owner", "alice"]))
    };
    assert_eq!(import(), Import::all_new(1));
    let owners = server.client_of("alice").get("/main/api/v1/crates/foo/owners").json();
    assert_eq!(owners["users"][0]["login"], "alice");

    let yanked = line.replace("\"yanked\":false", "\"yanked\":true");
    old.add_file("index/3/f/foo", format!("{yanked}\n").as_bytes());
    let second = CrateFile::library("foo", "1.1.0", b"");
    old.add(&second, &index_line(&second, ""));
    assert_eq!(import().counts, [1, 0, 1, 0]);
    let served = server.client().get(&index_path("foo"));
    assert_eq!(served.text(), format!("{yanked}\n{}\n", index_line(&second, "")));

    old.add_file("index/3/f/foo", format!("{line}\n").as_bytes());
    assert_eq!(import().counts, [0, 0, 1, 0]);
    // A line that says something else stays as it is here, and is told.
    let other = line.replace("\"features\":{}", "\"features\":{\"a\":[]}");
    old.add_file("index/3/f/foo", format!("\n{other}\n").as_bytes());
    let path = old.index().join("3/f/foo");
    let left_out = format!("{}:2: version `1.0.0` is here with another line", path.display());
    let expected = Import { status: Some(3), counts: [0, 0, 0, 1], left_out: vec![left_out] };
    assert_eq!(import(), expected);
    let served = server.client().get(&index_path("foo"));
    assert_eq!(served.text(), format!("{line}\n{}\n", index_line(&second, "")));
}

#[test]
fn each_layout_of_crate_files_is_found() {
    let server = Server::start();
    // Where each program keeps the file of NAME 1.0.0.
    for (name, path) in [
        ("kellnr", "crates/kellnr-1.0.0.crate"),
        ("Alexandrie", "crates/Alexandrie-1.0.0.crate"),
        ("ktra", "crates/ktra/1.0.0/download"),
        ("margo", "crates/crates/ma/rg/margo/1.0.0.crate"),
        ("by-hand", "crates/by-hand/by-hand-1.0.0.crate"),
        ("Lower-Case", "crates/lower-case/1.0.0.crate"),
        ("saved", "crates/api/v1/crates/saved/1.0.0/crate"),
        ("sparse", "crates/sp/ar/sparse-1.0.0.crate"),
        ("named-otherwise", "crates/blobs/0001"),
    ] {
        let old = OldRegistry::new();
        let file = CrateFile::library(name, "1.0.0", name.as_bytes());
        old.add_line(name, &index_line(&file, ""));
        old.add_file(path, &file.bytes);
        // Another one that has the right name, too, and comes first or last.
        let decoy = CrateFile::library(name, "1.0.0", b"another one");
        for place in ["a", "z"] {
            old.add_file(&format!("crates/{place}/{name}-1.0.0.crate"), &decoy.bytes);
        }
        assert_eq!(old.import(&server.data()), Import::all_new(1), "{name}");
        assert_eq!(server.client().get(&file.download_path()).body, file.bytes);
    }
    // cargo-http-registry: all in one folder, and the path of the index file in the name's case.
    let old = OldRegistry::new();
    let file = CrateFile::library("MyCrate", "1.0.0", b"");
    old.add_file("My/Cr/MyCrate", format!("{}\n", index_line(&file, "")).as_bytes());
    old.add_file("MyCrate-1.0.0.crate", &file.bytes);
    let mut command = axum_server();
    for flag in ["import", "--index-dir", "--crates"] {
        command.arg(flag);
        if flag != "import" {
            command.arg(old.folder());
        }
    }
    assert_eq!(Import::of(command.arg("--data").arg(server.data())), Import::all_new(1));

    let cargo = Cargo::anonymous(&server);
    let names = ["kellnr", "Alexandrie", "ktra", "margo", "by-hand", "Lower-Case", "MyCrate"];
    let lines = names.map(|name| format!("{name} = {{ version = \"1\", registry = \"main\" }}\n"));
    let program = cargo.program("uses-all", "").dependencies(&lines.concat());
    cargo.run_in(&program, ["build"]).success();
}

#[test]
fn a_locked_project_moves_from_the_old_url_to_the_new_without_a_change() {
    let old = OldRegistry::new();
    let web = StaticServer::start(old.folder());
    let dl = format!("{}/crates", web.url());
    old.add_file("index/config.json", format!(r#"{{"dl":"{dl}"}}"#).as_bytes());
    for version in ["1.0.0", "1.1.0"] {
        let file = CrateFile::library("dep", version, version.as_bytes());
        old.add_line("dep", &index_line(&file, ""));
        old.add_file(&format!("crates/dep/{version}/download"), &file.bytes);
    }
    let old_url = format!("sparse+{}/index/", web.url());
    let registries = format!("[registries.old]\nindex = \"{old_url}\"\n");
    let cargo = Cargo::bare();
    cargo.configure(&registries);
    let program = cargo
        .program("uses-dep", "")
        .dependencies("dep = { version = \"=1.0.0\", registry = \"old\" }");
    cargo.run_in(&program, ["build"]).success();
    let lockfile = program.read("Cargo.lock");
    assert!(lockfile.contains(&CrateFile::library("dep", "1.0.0", b"1.0.0").checksum()));

    let server = Server::start();
    assert_eq!(old.import(&server.data()), Import::all_new(2));
    drop(web);
    let elsewhere = Cargo::bare();
    elsewhere.configure(&format!(
        "{registries}\n[source.old]\nregistry = \"{old_url}\"\nreplace-with = \"new\"\n\n\
         [source.new]\nregistry = \"{}\"\n",
        server.index_url()
    ));
    elsewhere.run_in(&program, ["build", "--locked"]).success();
    assert_eq!(program.read("Cargo.lock"), lockfile);
    assert!(
        server.requests().iter().any(|request| request.path.starts_with("/main/dl/dep/1.0.0/"))
    );
}

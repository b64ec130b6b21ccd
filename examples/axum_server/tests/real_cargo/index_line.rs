//! The line of a crate file, for an index that is kept by hand.

use std::{fs, process::Output};

use crate::common::{Cargo, CrateFile, Server, axum_server, index_path};

fn line(file: &std::path::Path, more: &[&str]) -> Output {
    axum_server().args(["index", "line"]).arg(file).args(more).output().unwrap()
}

#[test]
fn the_line_of_a_crate_file_is_the_one_a_publish_would_write() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("base", "1.0.0");
    let package = cargo
        .library("Top", "1.2.3+build")
        .dependencies("base = { version = \"1\", registry = \"main\", optional = true }")
        .manifest("[features]\nextra = [\"dep:base\"]\n");
    cargo.publish(&package).success();
    let published = server.client().get(&index_path("top")).text().to_owned();
    let pubtime = published.find(",\"pubtime\":").unwrap();
    let without_time = format!("{}}}\n", &published[..pubtime]);

    cargo.run_in(&package, ["package", "--registry", "main", "--no-verify"]).success();
    let file = cargo.folder().join("target/package/Top-1.2.3+build.crate");
    let own = server.index_url();
    let printed = line(&file, &["--index-url", &own]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), without_time);
    let yanked = line(&file, &["--index-url", &own, "--yanked"]);
    let expected = without_time.replace("\"yanked\":false", "\"yanked\":true");
    assert_eq!(String::from_utf8(yanked.stdout).unwrap(), expected);
    // For another index, the dependency is one on this registry.
    let elsewhere = String::from_utf8(line(&file, &[]).stdout).unwrap();
    let dependency: serde_json::Value = serde_json::from_str(&elsewhere).unwrap();
    assert_eq!(dependency["deps"][0]["registry"], own);
}

#[test]
fn what_could_not_be_published_has_no_line() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("any.crate");
    let not_there = line(&path, &[]);
    assert_eq!(not_there.status.code(), Some(1));
    let manifest: &[u8] = b"[package]\nname = \"std\"\nversion = \"1.0.0\"\n";
    for (file, reason) in [
        (b"not a crate".to_vec(), "uploaded tarball is malformed or too large when decompressed"),
        (
            CrateFile::of("a", "1.0.0", [("b-1.0.0/src/lib.rs", &b""[..])]).bytes,
            "Cargo.toml manifest is missing",
        ),
        (
            CrateFile::of("std", "1.0.0", [("std-1.0.0/Cargo.toml", manifest)]).bytes,
            "cannot upload a crate with a reserved name",
        ),
        (
            CrateFile::of(
                "a",
                "1.0.0",
                [("other/Cargo.toml", &b"[package]\nname = \"a\"\nversion = \"1.0.0\"\n"[..])],
            )
            .bytes,
            "invalid path found: other/Cargo.toml",
        ),
    ] {
        fs::write(&path, file).unwrap();
        let output = line(&path, &[]);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
        let expected = format!("error: `{}` could not be published: {reason}\n", path.display());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
}

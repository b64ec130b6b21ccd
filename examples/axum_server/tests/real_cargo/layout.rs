use std::{fs, process::Command};

use crate::common::{Cargo, Server, index_path};

/// An index in git, with a line of `server`'s, which sends downloads to `dl`.
fn git_index(cargo: &Cargo, server: &Server, dl: &str) -> String {
    let folder = cargo.folder().join("index");
    fs::create_dir_all(folder.join("he/ll")).unwrap();
    fs::write(folder.join("config.json"), format!(r#"{{"dl":"{dl}"}}"#)).unwrap();
    let line = server.client().get(&index_path("hello")).body;
    fs::write(folder.join("he/ll/hello"), line).unwrap();
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    for arguments in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "-m", "all"]]
    {
        let mut git = Command::new("git");
        git.current_dir(&folder).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = git.args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    format!("file://{}", folder.display())
}

#[test]
fn an_index_elsewhere_names_the_downloads_without_markers() {
    let server = Server::start();
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let cargo = Cargo::bare();
    // Cargo appends `/{crate}/{version}/download` to what has no markers.
    let dl = format!("{}/api/v1/crates", server.url());
    let index = git_index(&cargo, &server, &dl);
    let cargo = cargo.with("CARGO_REGISTRIES_ELSEWHERE_INDEX", &index);
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "elsewhere" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    let last = server.requests().pop().unwrap();
    assert_eq!(
        (last.path.as_str(), last.status),
        ("/main/api/v1/crates/hello/1.0.0/download", 200)
    );
}

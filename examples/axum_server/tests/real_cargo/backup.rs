//! `axum_server index backup`: a copy to begin again from.

use std::{fs, process::Output};

use tempfile::TempDir;

use crate::common::{CrateFile, Place, Server, index_path};

fn backup(server: &Server, file: &str) -> Output {
    server.command(["index", "backup", file]).output().unwrap()
}

#[test]
fn a_copy_made_while_the_server_runs_is_a_registry_with_its_tokens() {
    let folder = TempDir::new().unwrap();
    let server = Server::start();
    let token = server.token("alice");
    let client = server.client().with_token(&token);
    assert_eq!(client.publish(&CrateFile::library("hello", "1.0.0", b"").frame()).status, 200);
    let copy = folder.path().join("copy.sqlite");
    let output = backup(&server, copy.to_str().unwrap());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!(
            "`sqlite:{}/index.sqlite` is copied to `{}`; copy the crate files after it\n",
            server.data().display(),
            copy.display()
        )
    );
    assert_eq!(client.publish(&CrateFile::library("hello", "1.1.0", b"").frame()).status, 200);

    let restored = Server::start_at(&Place::sqlite_at(&copy));
    let lines = restored.client().get(&index_path("hello")).body;
    assert!(server.client().get(&index_path("hello")).body.starts_with(&lines));
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
    let client = restored.client().with_token(&token);
    assert_eq!(client.publish(&CrateFile::library("hello", "2.0.0", b"").frame()).status, 200);
}

#[test]
fn nothing_is_replaced_by_a_backup() {
    let folder = TempDir::new().unwrap();
    let server = Server::start();
    let file = folder.path().join("there");
    fs::write(&file, "somebody's only copy").unwrap();
    let output = backup(&server, file.to_str().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: cannot back up the index: "), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's only copy");
}

#[test]
fn other_indexes_are_told_how_they_are_backed_up() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("copy");
    let mut places = vec![(Place::folder(&folder), "copy the folder with all that is in it")];
    places.extend(Place::bucket().map(|place| (place, "let the bucket keep versions")));
    places.extend(Place::postgres().map(|place| (place, "use `pg_dump`")));
    for (place, instead) in places {
        let server = Server::start_at(&place);
        let output = backup(&server, file.to_str().unwrap());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        let expected = format!(" is not backed up by this command: {instead}");
        assert!(error.contains(&expected), "{error}");
        assert!(!file.exists());
    }
}

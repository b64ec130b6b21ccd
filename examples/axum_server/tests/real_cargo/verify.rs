//! `axum_server index verify`: whatever is wrong is named, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::common::{CrateFile, Place, Server};

/// The stored file of a crate.
fn stored_file(server: &Server, file: &CrateFile) -> PathBuf {
    fn find(folder: &Path, suffix: &str) -> Option<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find_map(|path| match path.is_dir() {
            true => find(&path, suffix),
            false => path.to_str().unwrap().ends_with(suffix).then_some(path),
        })
    }
    let suffix = format!("{}.crate", file.checksum());
    find(&server.data().join("crates"), &suffix).expect("a stored file")
}

/// A server with these crates in it, all by alice.
fn server_with(mut server: Server, names: &[&str]) -> (Server, Vec<CrateFile>) {
    let client = server.client_of("alice");
    let files: Vec<_> = names.iter().map(|name| CrateFile::library(name, "1.0.0", b"")).collect();
    for file in &files {
        assert_eq!(client.publish(&file.frame()).status, 200);
    }
    server.terminate();
    server.wait();
    (server, files)
}

/// Exit status, what is wrong, and the summary without the time it took.
fn verify(server: &Server) -> (i32, Vec<String>, String) {
    let output = server.command(["index", "verify"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (checked, problems) = stdout.split_once(" in ").expect(&stdout);
    let (_, problems) = problems.split_once(" s: ").unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stderr = stderr.lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), stderr, format!("{checked}: {}", problems.trim_end()))
}

#[test]
fn each_kind_of_damage_is_named_and_hides_no_other() {
    let names = ["flipped", "foreign", "fine", "garbage", "gone", "longer"];
    let (server, files) = server_with(Server::start(), &names);
    assert_eq!(verify(&server), (0, vec![], "6 crates checked: 0 problems".into()));
    let [flipped, .., gone, longer] = &files[..] else { panic!() };

    fs::remove_file(stored_file(&server, gone)).unwrap();
    let path = stored_file(&server, flipped);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
    let path = stored_file(&server, longer);
    fs::write(&path, [&fs::read(&path).unwrap()[..], b"!"].concat()).unwrap();

    let database = rusqlite::Connection::open(server.data().join("index.sqlite")).unwrap();
    let edit = |name: &str, from: &str, to: &str| {
        let changed = database.execute(
            "UPDATE release SET line = replace(line, ?2, ?3) \
             WHERE crate = (SELECT id FROM crate WHERE name = ?1)",
            [name, from, to],
        );
        assert_eq!(changed.unwrap(), 1);
    };
    edit("foreign", r#""name":"foreign""#, r#""name":"another""#);
    edit("garbage", "{", "");
    drop(database);

    let (status, problems, summary) = verify(&server);
    assert_eq!((status, summary.as_str()), (3, "6 crates checked: 5 problems"), "{problems:?}");
    let begins = [
        "the file of crate `flipped` version `1.0.0` is damaged",
        "the record of crate `foreign` cannot be read: index backend sqlite failed: \
         the line of version `1.0.0` names another crate",
        "the record of crate `garbage` cannot be read: index backend sqlite failed: ",
        "the file of crate `gone` version `1.0.0` is missing",
        "the file of crate `longer` version `1.0.0` is damaged",
    ];
    assert_eq!(problems.len(), begins.len(), "{problems:?}");
    for (problem, begin) in problems.iter().zip(begins) {
        assert!(problem.starts_with(begin), "{problem}");
    }
}

#[test]
fn damage_to_a_folder_is_named_and_what_can_be_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::folder(&folder);
    let index = PathBuf::from(place.url().strip_prefix("file:").unwrap());
    let (server, _) = server_with(Server::start_at(&place), &["edited", "fine", "lost", "torn"]);
    assert_eq!(verify(&server), (0, vec![], "4 crates checked: 0 problems".into()));
    let path = index.join("ed/it/edited");
    let edited = fs::read(&path).unwrap();
    fs::write(&path, [&edited[..], b"{}\n"].concat()).unwrap();
    let lost = fs::read(index.join("lo/st/lost")).unwrap();
    fs::remove_file(index.join("lo/st/lost")).unwrap();
    fs::write(index.join("lo/st/lost-too"), &lost).unwrap();
    let torn = index.join(".records/to/torn");
    let record = fs::read(&torn).unwrap();
    fs::write(&torn, &record[..record.len() - 1]).unwrap();

    let of_files = [
        "the index file of crate `edited` in the folder is not there, or differs from its record",
        "the index file of crate `lost` in the folder is not there, or differs from its record",
        "there is an index file of crate `lost-too` in the folder, and no record of it",
    ];
    let (status, problems, summary) = verify(&server);
    assert_eq!((status, summary.as_str()), (3, "4 crates checked: 4 problems"), "{problems:?}");
    assert_eq!(problems[..3], of_files);
    let of_record = "the record of crate `torn` cannot be read: index backend folder failed: ";
    assert!(problems[3].starts_with(of_record), "{problems:?}");

    let rebuilt = server.command(["index", "rebuild"]).output().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let mended = of_files.map(|what| format!("mended: {what}\n")).concat();
    assert_eq!(
        String::from_utf8(rebuilt.stdout).unwrap(),
        format!("{mended}3 files made anew or removed\n")
    );
    assert_eq!(fs::read(index.join("ed/it/edited")).unwrap(), edited);
    assert_eq!(fs::read(index.join("lo/st/lost")).unwrap(), lost);
    fs::write(&torn, &record).unwrap();
    assert_eq!(verify(&server), (0, vec![], "4 crates checked: 0 problems".into()));
}

#[test]
fn what_has_no_files_beside_its_records_is_not_rebuilt() {
    let (server, _) = server_with(Server::start(), &[]);
    let output = server.command(["index", "rebuild"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: `sqlite:{}/index.sqlite` has no files for web servers to make anew: only the \
             folder of file:DIR keeps them beside its records\n",
            server.data().display()
        )
    );
}

#[test]
fn an_index_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = crate::common::axum_server();
    let output = command.args(["index", "verify", "--data"]).arg(&data).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!("error: there is no index at `sqlite:{}/index.sqlite`\n", data.display())
    );
    assert!(!data.exists());
}

#[test]
fn crate_files_that_are_not_there_are_not_made() {
    let server = Server::start();
    let (missing, to) = (server.data().join("missing"), server.data().join("static"));
    let url = format!("file:{}", missing.display());
    for command in [&["index", "verify"][..], &["export", "--static", to.to_str().unwrap()][..]] {
        let output =
            server.command(command.iter().copied()).args(["--storage", &url]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!("error: there are no crate files at `{url}`: it is no folder\n")
        );
        assert!(!missing.exists() && !to.exists(), "{command:?}");
    }
}

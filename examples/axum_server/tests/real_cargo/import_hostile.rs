//! What a registry that is brought over may hold, by accident or on purpose.

use std::{fs, process::Command};

use crate::common::{
    CrateFile, Import, OldRegistry, Server, axum_server, checksum, index_line, index_path,
};

/// Brings over what must be left out in part; each reason without the folder before it.
fn import(old: &OldRegistry, server: &Server) -> ([usize; 4], Vec<String>) {
    let Import { status, counts, left_out } = old.import(&server.data());
    assert_eq!(status, Some(3));
    let folder = format!("{}/", old.folder().display());
    (counts, left_out.iter().map(|line| line.replace(&folder, "")).collect())
}

#[test]
fn broken_lines_are_told_and_spoil_no_other() {
    let server = Server::start();
    let old = OldRegistry::new();
    let good = CrateFile::library("good", "1.0.0", b"");
    let other = |version: &str| CrateFile::library("good", version, b"");
    let line = index_line(&good, "");
    let mut content = Vec::new();
    let lines: [&[u8]; 12] = [
        b"<<<<<<< HEAD",
        br#"{"name":"good","vers":"2.0.0","deps":[]}"#,
        &index_line(&other("v3"), "").into_bytes(),
        b"\xff\xfe",
        line.as_bytes(),
        line.as_bytes(),
        &index_line(&other("1.0.0+b"), "").into_bytes(),
        &index_line(&CrateFile::library("Good", "4.0.0", b""), "").into_bytes(),
        &index_line(&CrateFile::library("evil", "1.0.0", b""), "").into_bytes(),
        &index_line(&CrateFile::library("../../evil", "1.0.0", b""), "").into_bytes(),
        &index_line(&other("5.0.0"), "").into_bytes(),
        b"{",
    ];
    for line in lines {
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    content.extend_from_slice(&vec![b'x'; 2 << 20]);
    old.add_file("index/go/od/good", &content);
    old.add_file("crates/good-1.0.0.crate", &good.bytes);
    let (counts, left_out) = import(&old, &server);
    assert_eq!(counts, [1, 0, 0, 12]);
    let numbers: Vec<usize> = left_out
        .iter()
        .map(|line| line.strip_prefix("index/go/od/good:").unwrap().split(':').next().unwrap())
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13]);
    for (place, reason) in [
        (0, "the index line is not one JSON object"),
        (2, "the version in the index line is not valid: \"v3\" is an invalid semver version"),
        (3, "the index line is not one JSON object"),
        (4, "version `1.0.0` has a line already"),
        (5, "version `1.0.0` has a line already"),
        (6, "the line spells the name `Good`, crate is named `good`"),
        (7, "the line is one of crate `evil`"),
        (9, "the crate file is missing"),
        (11, "the index line is 2097152 bytes, limit 1048576"),
    ] {
        assert!(left_out[place].ends_with(&format!(": {reason}")), "{place}: {}", left_out[place]);
    }
    assert!(left_out[8].contains("invalid character `.`"), "{}", left_out[8]);
    let served = server.client().get(&index_path("good"));
    assert_eq!(served.text(), line + "\n");
}

#[test]
fn a_crate_in_two_spellings_is_one_crate() {
    let server = Server::start();
    let old = OldRegistry::new();
    for name in ["foo-bar", "foo_bar"] {
        let file = CrateFile::library(name, "1.0.0", b"");
        old.add(&file, &index_line(&file, ""));
    }
    let reason = "the line spells the name `foo_bar`, crate is named `foo-bar`";
    let left_out = vec![format!("index/fo/o_/foo_bar:1: {reason}")];
    assert_eq!(import(&old, &server), ([1, 0, 0, 1], left_out));
    assert_eq!(server.client().get(&index_path("foo-bar")).status, 200);
    assert_eq!(server.client().get(&index_path("foo_bar")).status, 404);
}

#[test]
fn a_file_that_is_not_the_one_that_was_published_is_not_listed() {
    let server = Server::start();
    let old = OldRegistry::new();
    let file = CrateFile::library("foo", "1.0.0", b"");
    old.add(&file, &index_line(&file, ""));
    old.add_file("crates/foo-1.0.0.crate", b"damaged");
    let (counts, left_out) = import(&old, &server);
    assert_eq!(counts, [0, 0, 0, 1]);
    let (found, expected) = (checksum(b"damaged"), file.checksum());
    let reason = format!("the crate file has checksum {found}, the line says {expected}");
    assert_eq!(left_out, [format!("index/3/f/foo:1: {reason}")]);
    assert_eq!(server.client().get(&index_path("foo")).status, 404);
}

#[test]
fn files_too_large_to_hold_are_told() {
    let server = Server::start();
    let old = OldRegistry::new();
    let file = CrateFile::library("foo", "1.0.0", b"");
    old.add_line("foo", &index_line(&file, ""));
    // Holes, which take no room on the disk.
    let hole = |path: &str, length: u64| {
        old.add_file(path, b"");
        fs::File::create(old.folder().join(path)).unwrap().set_len(length).unwrap();
    };
    hole("crates/foo-1.0.0.crate", (512 << 20) + 1);
    hole("index/hu/ge/huge", (32 << 20) + 1);
    let (counts, left_out) = import(&old, &server);
    assert_eq!(counts, [0, 0, 0, 2]);
    assert_eq!(
        left_out,
        [
            "index/3/f/foo:1: `crates/foo-1.0.0.crate` is 536870913 bytes, limit 536870912",
            "index/hu/ge/huge: more than 33554432 bytes",
        ]
    );
}

/// As one of the size of crates.io has by the default of 1,024 open files.
#[cfg(unix)]
#[test]
fn an_index_may_have_more_folders_than_a_process_open_files() {
    let server = Server::start();
    let old = OldRegistry::new();
    // Each in a folder of its own at the root.
    let letter = |number: u8| char::from(b'a' + number);
    let name_of = |number: u8| format!("{}{}-x", letter(number / 10), letter(number % 10));
    for number in 0..100 {
        let file = CrateFile::library(&name_of(number), "1.0.0", b"");
        old.add(&file, &index_line(&file, ""));
    }
    let import = old.import_command(&server.data());
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 80; exec \"$0\" \"$@\""]).arg(import.get_program());
    assert_eq!(Import::of(limited.args(import.get_args())), Import::all_new(100));
}

#[cfg(unix)]
#[test]
fn no_symbolic_link_is_followed() {
    use std::os::unix::fs::symlink;

    let server = Server::start();
    let old = OldRegistry::new();
    let file = CrateFile::library("foo", "1.0.0", b"");
    old.add_line("foo", &index_line(&file, ""));
    old.add_file("outside/foo.crate", &file.bytes);
    old.add_file("outside/ou/line", format!("{}\n", index_line(&file, "")).as_bytes());
    symlink(old.folder().join("outside/foo.crate"), old.crates().join("foo-1.0.0.crate")).unwrap();
    // Of a crate, of a folder, and round in a circle.
    fs::create_dir_all(old.index().join("li/nk")).unwrap();
    symlink(old.folder().join("outside/ou/line"), old.index().join("li/nk/link")).unwrap();
    symlink(old.folder().join("outside"), old.index().join("ou")).unwrap();
    symlink(old.index(), old.index().join("li/li")).unwrap();
    symlink(old.crates(), old.crates().join("circle")).unwrap();
    let (counts, left_out) = import(&old, &server);
    assert_eq!(counts, [0, 0, 0, 4]);
    assert_eq!(
        left_out,
        [
            "index/3/f/foo:1: the crate file is missing",
            "index/li/li: symbolic links are not followed",
            "index/li/nk/link: symbolic links are not followed",
            "index/ou: symbolic links are not followed",
        ]
    );
}

/// No path is as long as the folders are deep.
#[cfg(target_os = "linux")]
#[test]
fn folders_without_an_end_keep_no_other_file_back() {
    let server = Server::start();
    let old = OldRegistry::new();
    let good = CrateFile::library("good", "1.0.0", b"");
    old.add(&good, &index_line(&good, ""));
    let script = "i=0; while [ $i -lt 30 ]; do mkdir $0 && cd -P $0 || exit 1; i=$((i+1)); done";
    let deep = "d".repeat(200);
    let made = Command::new("sh").args(["-c", script, &deep]).current_dir(old.crates()).status();
    assert!(made.unwrap().success());
    let (counts, left_out) = import(&old, &server);
    // Neither can the test remove it by its path.
    let removed = Command::new("rm").arg("-rf").arg(old.crates().join(&deep)).status();
    assert!(removed.unwrap().success());
    assert_eq!(counts, [1, 0, 0, 1]);
    let reason = left_out[0].strip_prefix(&format!("crates/{deep}/")).unwrap();
    assert!(reason.ends_with(": File name too long (os error 36)"), "{reason}");
}

#[cfg(unix)]
#[test]
fn odd_names_of_files_are_no_way_out() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let server = Server::start();
    let old = OldRegistry::new();
    let good = CrateFile::library("good", "1.0.0", b"");
    old.add(&good, &index_line(&good, ""));
    for path in ["index/..\\/x", "index/co/n:/con:x", "index/x/y/z", "crates/a\u{1b}[2J.crate"] {
        old.add_file(path, b"{}");
    }
    fs::write(old.crates().join(OsStr::from_bytes(b"\xff.crate")), b"").unwrap();
    fs::write(old.index().join(OsStr::from_bytes(b"\xff")), b"").unwrap();
    // A name of no crate where the index would have it, and one that only a new crate may not have.
    old.add_line("_x\u{1b}[2J", "{}");
    let con = CrateFile::library("con", "1.0.0", b"");
    old.add(&con, &index_line(&con, ""));
    let (counts, left_out) = import(&old, &server);
    assert_eq!(counts, [2, 0, 0, 2]);
    assert!(
        left_out[0].starts_with("index/_x/\\u{1b}[/_x\\u{1b}[2j:1: invalid character"),
        "{}",
        left_out[0]
    );
    assert!(
        left_out[1].starts_with("index/co/n:/con:x:1: invalid character `:`"),
        "{}",
        left_out[1]
    );
}

#[test]
fn a_folder_that_is_no_index_is_told() {
    let old = OldRegistry::new();
    let data = old.folder().join("data");
    for (folder, expected) in [
        (old.index(), "there is no file of an index in"),
        (old.folder().join("absent"), "cannot read the folder"),
    ] {
        let mut command = axum_server();
        command.args(["import", "--index-dir"]).arg(&folder);
        command.arg("--crates").arg(old.crates()).arg("--data").arg(&data);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.starts_with(&format!("error: {expected} `{}`", folder.display())),
            "{stderr}"
        );
        assert!(!data.exists());
    }
}

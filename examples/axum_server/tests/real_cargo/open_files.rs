//! Linux only: it starts the server with fewer open files than usual.
#![cfg(target_os = "linux")]

use std::{fs, io::Read as _};

use crate::common::{CrateFile, Server, noise, wait_for};

#[test]
fn slow_readers_leave_open_files_to_others() {
    const FILES: usize = 128;
    let limit = format!("--nofile={FILES}");
    let flags = ["--max-connections-per-client", "100"];
    let server = Server::start_under(&["prlimit", &limit], &flags);
    let client = server.client_of("alice");
    let large = CrateFile::library("large", "1.0.0", &noise(8 << 20));
    assert_eq!(client.publish(&large.frame()).status, 200);
    // Each has the head of its answer, and takes no more of it.
    let mut readers: Vec<_> =
        (0..100).map(|_| server.client().begin("GET", &large.download_path(), &[])).collect();
    let answered: Vec<_> = readers
        .iter_mut()
        .take(20)
        .map(|reader| {
            let mut status = [0; 12];
            reader.read_exact(&mut status).unwrap();
            status
        })
        .collect();
    assert_eq!(answered, [*b"HTTP/1.1 200"; 20]);
    let open = || fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    assert!(open() < FILES - 16, "{} files are open", open());
    drop(readers);
    wait_for("the readers to be noticed", || (open() < 40).then_some(()));
    let next = CrateFile::library("next", "1.0.0", b"");
    assert_eq!(client.publish(&next.frame()).status, 200);
}

#[test]
fn as_many_files_are_opened_as_are_allowed() {
    let server = Server::start_under(&["prlimit", "--nofile=128:8192"], &[]);
    // It is told what to open before it answers, but not before it says that it will.
    assert_eq!(server.client().get("/main/index/config.json").status, 200);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let words: Vec<_> = limit.split_whitespace().collect();
    assert_eq!(words, ["5184", "8192", "files"]);
}

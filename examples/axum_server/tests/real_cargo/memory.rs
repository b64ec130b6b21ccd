//! Linux only: it asks the kernel for the most memory the server ever had.
#![cfg(target_os = "linux")]

use std::{fs, io::Write};

use crate::common::{CrateFile, Server, noise};

const MIB: u64 = 1 << 20;

/// The most memory the server has had in use, in bytes.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_publish_of_10_mib_holds_at_most_twice_its_size() {
    let server = Server::start();
    let client = server.client_of("alice");
    let warm = CrateFile::library("warm", "1.0.0", &noise(100_000));
    assert_eq!(client.publish(&warm.frame()).status, 200);
    let before = peak(&server);

    let file = CrateFile::library("large", "1.0.0", &noise((10 << 20) - (16 << 10)));
    let size = file.bytes.len() as u64;
    let answer = client.publish(&file.frame());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rise = peak(&server) - before;
    assert!(rise <= 2 * size, "{} KiB for {} KiB", rise / 1024, size / 1024);
}

#[test]
fn a_claimed_length_of_4_gib_costs_nothing() {
    let server = Server::start();
    let client = server.client_of("alice");
    let warm = CrateFile::library("warm", "1.0.0", b"");
    assert_eq!(client.publish(&warm.frame()).status, 200);
    let before = peak(&server);
    for _ in 0..20 {
        let claim = [&[0xff; 4][..], b"{}"].concat();
        assert_eq!(client.publish(&claim).status, 413);
        let headers = [("content-length", "4294967295")];
        let mut stream = client.begin("PUT", "/main/api/v1/crates/new", &headers);
        let _ = stream.write_all(&claim);
        assert_eq!(crate::common::Answer::read(stream).status, 413);
    }
    let rise = peak(&server) - before;
    assert!(rise < 2 * MIB, "{} KiB", rise / 1024);
}

/// Above what the server holds when it has nothing to do.
const MOST: u64 = 64 * MIB;

#[test]
fn eight_publishes_of_10_mib_at_once_hold_less_than_their_size() {
    let server = Server::start();
    let client = server.client_of("alice");
    let warm = CrateFile::library("warm", "1.0.0", b"");
    assert_eq!(client.publish(&warm.frame()).status, 200);
    let before = peak(&server);
    let filling = noise((10 << 20) - (16 << 10));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (client, filling) = (&client, &filling);
            scope.spawn(move || {
                let file = CrateFile::library(&format!("large-{number}"), "1.0.0", filling);
                let answer = client.publish(&file.frame());
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    let rise = peak(&server) - before;
    assert!(rise <= MOST, "{} KiB", rise / 1024);
}

#[test]
fn a_crate_of_any_size_passes_through_the_same_memory() {
    let server = Server::start_with(&["--max-crate-size", "1G"]);
    let client = server.client_of("alice");
    let warm = CrateFile::library("warm", "1.0.0", b"");
    assert_eq!(client.publish(&warm.frame()).status, 200);
    let before = peak(&server);
    // Twice what may be held, and more than any store takes in one piece.
    let file = CrateFile::library("huge", "1.0.0", &noise(128 << 20));
    let answer = client.publish(&file.frame());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(server.client().get(&file.download_path()).body == file.bytes);
    let rise = peak(&server) - before;
    assert!(rise <= MOST, "{} KiB", rise / 1024);
}

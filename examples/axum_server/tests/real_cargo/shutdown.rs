use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use crate::common::{Answer, CrateFile, Server, noise, wait_for};

fn wait_until_connecting_is_refused(server: &Server) {
    wait_for("the server to stop listening", || TcpStream::connect(server.address()).err());
}

#[test]
fn a_publish_in_flight_is_finished_before_the_server_stops() {
    let mut server = Server::start();
    let file = CrateFile::library("hello", "1.0.0", &[7; 100_000]);
    let (mut stream, rest) = server.client_of("alice").half_a_publish(&file);
    server.terminate();
    wait_until_connecting_is_refused(&server);

    stream.write_all(&rest).unwrap();
    let answer = Answer::read(stream);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.wait().code(), Some(0));

    server.restart();
    assert_eq!(server.client().get(&file.index_path()).json()["cksum"], file.checksum());
    assert!(server.client().get(&file.download_path()).body == file.bytes);
}

/// How many files there are below a folder.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[test]
fn a_publish_that_is_not_finished_in_time_is_cut_off_and_leaves_nothing() {
    let mut server = Server::start_with(&["--drain", "1"]);
    let token = server.token("alice");
    let small = CrateFile::library("small", "1.0.0", b"");
    let large = CrateFile::library("large", "1.0.0", &noise(6_000_000));
    let client = server.client().with_token(&token);
    let halves = [&small, &large].map(|file| client.half_a_publish(file));
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("requests in flight were cut off"), "{}", server.log());
    for (mut stream, _) in halves {
        let mut answer = Vec::new();
        // The end, or a reset because of what was not read.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    assert_eq!(files(&server.data().join("crates")), 0);

    server.restart();
    let client = server.client().with_token(&token);
    for file in [small, large] {
        assert_eq!(client.get(&file.index_path()).status, 404);
        assert_eq!(client.get(&file.download_path()).status, 404);
        assert_eq!(client.publish(&file.frame()).status, 200);
    }
}

#[test]
fn a_server_that_is_told_twice_does_not_wait() {
    let mut server = Server::start_with(&["--drain", "3600"]);
    let file = CrateFile::library("hello", "1.0.0", &[7; 100_000]);
    let _half = server.client_of("alice").half_a_publish(&file);
    server.terminate();
    wait_until_connecting_is_refused(&server);
    server.interrupt();
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("told to stop a second time"), "{}", server.log());
}

#[test]
fn an_idle_connection_does_not_hold_the_server_up() {
    let mut server = Server::start();
    let idle = TcpStream::connect(server.address()).unwrap();
    let answer = server.client().get("/main/index/config.json");
    assert_eq!(answer.status, 200);
    server.interrupt();
    assert_eq!(server.wait().code(), Some(0));
    drop(idle);
}

#[test]
fn what_was_published_is_there_after_a_restart() {
    let mut server = Server::start();
    let file = CrateFile::library("hello", "1.0.0", b"");
    let token = server.token("alice");
    let client = server.client().with_token(&token);
    assert_eq!(client.publish(&file.frame()).status, 200);
    let index = server.client().get(&file.index_path());
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
    server.restart();
    let again = server.client().get(&file.index_path());
    assert_eq!((again.header("etag"), again.text()), (index.header("etag"), index.text()));
    // So are tokens and owners.
    let next = CrateFile::library("hello", "1.1.0", b"");
    let client = server.client().with_token(&token);
    assert_eq!(client.publish(&next.frame()).status, 200);
}

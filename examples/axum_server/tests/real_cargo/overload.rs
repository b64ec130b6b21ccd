use std::io::{ErrorKind, Read, Write};

use crate::common::{Answer, CrateFile, Server};

/// How many publishes the server takes in at a time.
const UPLOADS: usize = 16;

#[test]
fn publishes_beyond_a_number_wait_for_their_turn() {
    let server = Server::start();
    let client = server.client_of("alice");
    let file = |number: usize| CrateFile::library(&format!("crate-{number}"), "1.0.0", b"");
    let mut halves: Vec<_> = (0..UPLOADS).map(|it| client.half_a_publish(&file(it))).collect();

    let last = file(UPLOADS).frame();
    let length = last.len().to_string();
    let headers = [("content-length", length.as_str())];
    let mut waiting = client.begin("PUT", "/main/api/v1/crates/new", &headers);
    waiting.write_all(&last).unwrap();
    // Readers do not wait.
    assert_eq!(server.client().get("/main/index/config.json").status, 200);
    waiting.set_nonblocking(true).unwrap();
    let answer = waiting.read(&mut [0]).unwrap_err();
    assert_eq!(answer.kind(), ErrorKind::WouldBlock);
    waiting.set_nonblocking(false).unwrap();

    let (mut first, rest) = halves.swap_remove(0);
    first.write_all(&rest).unwrap();
    assert_eq!(Answer::read(first).status, 200);
    assert_eq!(Answer::read(waiting).status, 200);
    for (mut half, rest) in halves {
        half.write_all(&rest).unwrap();
        assert_eq!(Answer::read(half).status, 200);
    }
    let found = server.client().get("/main/api/v1/crates?q=crate").json();
    assert_eq!(found["meta"]["total"], UPLOADS + 1);
}

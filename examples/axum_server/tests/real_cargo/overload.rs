use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use crate::common::{Answer, CrateFile, Server};

#[test]
fn publishes_beyond_the_bytes_in_flight_wait_for_their_turn() {
    // Each of them alone is longer than that: there is room for one.
    let server = Server::start_with(&["--max-upload-bytes-in-flight", "1K"]);
    let client = server.client_of("alice");
    let file = |number: usize| CrateFile::library(&format!("crate-{number}"), "1.0.0", b"");
    let (mut first, rest) = client.half_a_publish(&file(0));

    let next = file(1).frame();
    let length = next.len().to_string();
    let headers = [("content-length", length.as_str())];
    let mut waiting = client.begin("PUT", "/main/api/v1/crates/new", &headers);
    waiting.write_all(&next).unwrap();
    // Readers do not wait.
    assert_eq!(server.client().get("/main/index/config.json").status, 200);
    waiting.set_nonblocking(true).unwrap();
    let answer = waiting.read(&mut [0]).unwrap_err();
    assert_eq!(answer.kind(), ErrorKind::WouldBlock);
    waiting.set_nonblocking(false).unwrap();

    first.write_all(&rest).unwrap();
    assert_eq!(Answer::read(first).status, 200);
    assert_eq!(Answer::read(waiting).status, 200);
    let found = server.client().get("/main/api/v1/crates?q=crate").json();
    assert_eq!(found["meta"]["total"], 2);
}

#[test]
fn many_publishes_are_taken_in_at_a_time() {
    const UPLOADS: usize = 16;
    let server = Server::start();
    let client = server.client_of("alice");
    let file = |number: usize| CrateFile::library(&format!("crate-{number}"), "1.0.0", b"");
    let halves: Vec<_> = (0..UPLOADS).map(|it| client.half_a_publish(&file(it))).collect();
    for (mut half, rest) in halves {
        half.write_all(&rest).unwrap();
        assert_eq!(Answer::read(half).status, 200);
    }
    let found = server.client().get("/main/api/v1/crates?q=crate").json();
    assert_eq!(found["meta"]["total"], UPLOADS);
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_beyond_those_that_there_may_be_waits_for_one_to_end() {
    // Room for ten.
    let server = Server::start_under(&["prlimit", "--nofile=84"], &[]);
    let path = "/main/index/config.json";
    // Begun, so that the server has accepted them, and not ended.
    let mut open: Vec<_> = (0..10)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let mut next = server.client().begin("GET", path, &[]);
    next.set_nonblocking(true).unwrap();
    let answer = next.read(&mut [0]).unwrap_err();
    assert_eq!(answer.kind(), ErrorKind::WouldBlock);
    next.set_nonblocking(false).unwrap();
    open.pop();
    assert_eq!(Answer::read(next).status, 200);
}

#[cfg(target_os = "linux")]
#[test]
fn publishes_are_refused_before_reads_are() {
    // Room for ten connections, half of which may be publishes.
    let server = Server::start_under(&["prlimit", "--nofile=84"], &[]);
    let client = server.client_of("alice");
    let file = |number: usize| CrateFile::library(&format!("crate-{number}"), "1.0.0", b"");
    let halves: Vec<_> = (0..5).map(|it| client.half_a_publish(&file(it))).collect();
    let refused = client.publish(&file(5).frame());
    assert_eq!(refused.error(), (503, "server is busy, try again".into()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.client().get("/main/index/config.json").status, 200);
    for (mut half, rest) in halves {
        half.write_all(&rest).unwrap();
        assert_eq!(Answer::read(half).status, 200);
    }
    assert_eq!(client.publish(&file(5).frame()).status, 200);
}

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::{
    common::{Answer, CrateFile, Server, noise},
    metrics::metrics,
};

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
    let flags = ["--max-connections-per-client", "10"];
    let server = Server::start_under(&["prlimit", "--nofile=94"], &flags);
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
    // Whoever comes after it is told how the server is: it has been let in, and waits.
    assert_eq!(server.client().get("/healthz").status, 200);
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
    let flags = ["--max-connections-per-client", "10"];
    let server = Server::start_under(&["prlimit", "--nofile=94"], &flags);
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

/// A request without a body from 127.0.0.`last`, each of which is another client to the server.
#[cfg(target_os = "linux")]
fn begin_from(last: u8, server: &Server, path: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).unwrap();
    socket.connect(&server.address().parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nx-request-id: from-{last}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[cfg(target_os = "linux")]
fn get_from(last: u8, server: &Server, path: &str) -> Answer {
    Answer::read(begin_from(last, server, path))
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_with_all_its_connections_keeps_nobody_else_out() {
    // Room for twelve, three of which may be one client's.
    let server = Server::start_under(&["prlimit", "--nofile=100"], &["--metrics", "0"]);
    let large = CrateFile::library("large", "1.0.0", &noise(8 << 20));
    assert_eq!(server.client_of("alice").publish(&large.frame()).status, 200);
    let path = "/main/index/config.json";
    // They have the heads of their answers, and take no more of them.
    let hold = |last| {
        [(); 3].map(|()| {
            let mut stream = begin_from(last, &server, &large.download_path());
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 200");
            stream
        })
    };
    let _first = hold(2);
    let began = Instant::now();
    let beyond = get_from(2, &server, path);
    assert_eq!(beyond.error(), (503, "server is busy, try again".into()));
    assert_eq!(beyond.header("retry-after"), Some("10"));
    assert_eq!(beyond.header("x-request-id"), Some("from-2"));
    assert!(began.elapsed() >= Duration::from_secs(10));
    let refused = r#"registry_http_requests_total{registry="",route="none",status="503"}"#;
    assert_eq!(metrics(&server).get(refused), Some(&1.));
    // Others are served meanwhile, and so is who asks how the server is, whoever they are.
    let _waits = begin_from(2, &server, path);
    assert_eq!(get_from(3, &server, path).status, 200);
    for page in ["/healthz", "/readyz"] {
        assert_eq!(get_from(2, &server, page).status, 200);
    }
    // Also when nothing is left for anybody.
    let others = [3, 4, 5].map(hold);
    for page in ["/healthz", "/readyz"] {
        assert_eq!(get_from(6, &server, page).status, 200);
    }
    let mut next = begin_from(6, &server, path);
    assert_eq!(get_from(6, &server, "/healthz").status, 200);
    next.set_nonblocking(true).unwrap();
    assert_eq!(next.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    next.set_nonblocking(false).unwrap();
    drop(others);
    assert_eq!(Answer::read(next).status, 200);
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_has_no_more_to_wait_than_to_work_with() {
    let server = Server::start_under(&["prlimit", "--nofile=100"], &[]);
    // Silent ones: three are served, three wait, and the next are closed at once.
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let began = Instant::now();
    for mut stream in silent.into_iter().rev().take(2) {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(get_from(2, &server, "/main/index/config.json").status, 200);
}

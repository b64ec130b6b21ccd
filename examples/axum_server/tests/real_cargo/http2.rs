//! HTTP/2 without TLS, by a client that knows that the server speaks it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::common::{Answer, CrateFile, Http2, Server, noise, wait_for};

#[test]
fn all_that_cargo_asks_for_is_answered_on_one_connection() {
    let server = Server::start();
    let token = server.token("alice");
    let client = Http2::connect(&server).with_token(&token);
    let file = CrateFile::library("hello", "1.0.0", &noise(300_000));
    let answer = client.publish(&file.frame());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(client.get("/main/index/config.json").json()["api"], server.url());
    let index = client.get(&file.index_path());
    assert_eq!(index.json()["cksum"], file.checksum());
    let known = [("if-none-match", index.header("etag").unwrap())];
    let again = client.try_send("GET", &file.index_path(), &known, b"").unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert!(client.get(&file.download_path()).body == file.bytes);
    assert_eq!(client.get("/main/api/v1/crates?q=hello").json()["meta"]["total"], 1);
    // The head has a length, as in HTTP/1.
    let head = client.try_send("HEAD", &file.download_path(), &[], b"").unwrap();
    let length = file.bytes.len().to_string();
    assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
    // The same as over HTTP/1, but for the connection and what is new each time.
    let over_1 = server.client().with_token(&token);
    let both = [client.get(&file.index_path()), over_1.get(&file.index_path())];
    let [over_2, over_1] = both.map(|mut answer| {
        let other = ["connection", "date", "x-request-id"];
        answer.headers.retain(|(name, _)| !other.contains(&name.as_str()));
        answer.headers.sort();
        answer
    });
    assert_eq!(over_2, over_1);
}

#[test]
fn a_hundred_requests_are_answered_at_a_time() {
    let server = Server::start();
    let alice = server.client_of("alice");
    // More than the client has room for: no answer ends before it is read.
    let file = CrateFile::library("large", "1.0.0", &noise(1 << 20));
    assert_eq!(alice.publish(&file.frame()).status, 200);
    let client = Http2::connect(&server);
    let begun: Vec<_> =
        (0..100).map(|_| client.begin("GET", &file.download_path(), &[], b"")).collect();
    let heads: Vec<_> = begun.into_iter().map(|it| client.head(it).unwrap()).collect();
    assert!(heads.iter().all(|head| head.status() == 200));
    // One more waits for one of them to end.
    let next = client.begin("GET", "/main/index/config.json", &[], b"");
    // Others are not held up, not even on connections of HTTP/2.
    let other = Http2::connect(&server);
    assert_eq!(other.get("/main/index/config.json").status, 200);
    assert!(!next.is_finished());
    drop(heads);
    assert_eq!(client.end(next).unwrap().status, 200);
}

#[test]
fn requests_beyond_what_the_server_takes_on_wait_and_are_told_to_come_back() {
    // Ten slots.
    let flags = ["--max-connections-per-client", "10"];
    let server = Server::start_under(&["prlimit", "--nofile=94"], &flags);
    let alice = server.client_of("alice");
    let file = CrateFile::library("large", "1.0.0", &noise(1 << 20));
    assert_eq!(alice.publish(&file.frame()).status, 200);
    let [client, other] = [(); 2].map(|()| Http2::connect(&server));
    let ask = |client: &Http2| client.begin("GET", &file.download_path(), &[], b"");
    // The first of a connection has the slot of the connection.
    let heads: Vec<_> = (0..9).map(|_| client.head(ask(&client)).unwrap()).collect();
    let last = other.head(ask(&other)).unwrap();
    assert!(heads.iter().chain([&last]).all(|head| head.status() == 200));
    let beyond = other.end(ask(&other)).unwrap();
    assert_eq!(beyond.error(), (503, "server is busy, try again".into()));
    assert_eq!(beyond.header("retry-after"), Some("10"));
    assert_eq!(server.requests().last().unwrap().status, 503);
    assert_eq!(server.client().get("/healthz").status, 200);
    let next = ask(&other);
    drop(heads);
    assert!(other.end(next).unwrap().body == file.bytes);
}

#[test]
fn a_refused_body_does_not_end_the_connection() {
    let server = Server::start();
    let client = Http2::connect(&server).with_token(&server.token("alice"));
    let answer = client.publish(&vec![0; 20 << 20]);
    assert_eq!(answer.error(), (413, "max upload size is: 10485760".into()));
    assert_eq!(answer.header("connection"), None);
    let file = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(client.publish(&file.frame()).status, 200);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let server = Server::start();
    let client = Http2::connect(&server);
    let path = "/main/index/config.json";
    // To the byte. Each counts with 32 bytes more. Source: RFC 9113, section 6.5.2.
    let others = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", server.address()),
        (":path", path),
        ("x-long", ""),
    ];
    let others = others.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>();
    let longest = "x".repeat(16 * 1024 - others);
    let answer = client.try_send("GET", path, &[("x-long", &longest)], b"").unwrap();
    assert_eq!(answer.status, 200);
    let answer = client.try_send("GET", path, &[("x-long", &(longest + "x"))], b"").unwrap();
    assert_eq!(answer.status, 431);
    // Many small ones: each counts with 32 bytes more.
    let answer = client.try_send("GET", path, &[("x-many", "1"); 420], b"").unwrap();
    assert_eq!(answer.status, 431);
    // Each takes more memory than that: there may be as many as over HTTP/1.
    let answer = client.try_send("GET", path, &[("x-many", "1"); 64], b"").unwrap();
    assert_eq!(answer.status, 200);
    let answer = client.try_send("GET", path, &[("x-many", "1"); 65], b"").unwrap();
    assert_eq!(answer.error(), (431, "there are more than 64 headers".into()));
}

/// A frame. Source: RFC 9113, section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client sends first.
fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, b"")].concat()
}

/// `GET http://x/`. Source: RFC 7541, appendix A.
const REQUEST: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 1, b'x'];

/// Most requests that may be taken back before the server has looked at them.
const MAX_RESETS: u32 = 20;

/// So many requests, the first ones of a connection, each of which is taken back.
fn taken_back(requests: u32) -> Vec<u8> {
    let both = |number: u32| {
        let stream = 2 * number + 1;
        let [request, reset] =
            [frame(1, 0x05, stream, &REQUEST), frame(3, 0, stream, &8_u32.to_be_bytes())];
        [request, reset].concat()
    };
    (0..requests).flat_map(both).collect()
}

/// The kinds and payloads of the frames until the server ends the connection.
fn frames(mut stream: TcpStream) -> Vec<(u8, Vec<u8>)> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let (mut rest, mut frames) = (bytes.as_slice(), Vec::new());
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        frames.push((*kind, after[..length].to_vec()));
        rest = &after[length..];
    }
    frames
}

#[test]
fn whoever_takes_back_requests_as_fast_as_they_come_is_disconnected() {
    // One more than they may, which come at once, and as many as there is time for.
    for resets in [MAX_RESETS + 1, 100 * MAX_RESETS] {
        let server = Server::start();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        // The server may have had enough before it has all.
        let _ = stream.write_all(&[preface(), taken_back(resets)].concat());
        let frames = frames(stream);
        // GOAWAY, because of ENHANCE_YOUR_CALM. Source: RFC 9113, section 7.
        let last = frames.iter().rfind(|(kind, _)| *kind == 7).expect("a farewell");
        assert_eq!(last.1[4..8], 11_u32.to_be_bytes());
        let answered = server.requests().len();
        assert!(answered < resets as usize, "{answered} of {resets}");
        assert_eq!(Http2::connect(&server).get("/main/index/config.json").status, 200);
    }
}

#[test]
fn whoever_takes_back_as_many_as_they_may_is_served() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    const LAST: u32 = 2 * MAX_RESETS + 1;
    let last = frame(1, 0x05, LAST, &REQUEST);
    stream.write_all(&[preface(), taken_back(MAX_RESETS), last].concat()).unwrap();
    // Until the head of the last answer has come.
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let [a, b, c, kind, _, id @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).unwrap();
        assert_ne!(kind, 7, "{payload:?}");
        if kind == 1 && u32::from_be_bytes(id) == LAST {
            break;
        }
    }
}

/// A header whose name is in the static table. Source: RFC 7541, section 6.2.2 and appendix A.
fn header(name: u8, value: &str) -> Vec<u8> {
    let name = if name < 15 { vec![name] } else { vec![15, name - 15] };
    let length = u8::try_from(value.len()).unwrap();
    assert!(length < 127);
    [&name, &[length][..], value.as_bytes()].concat()
}

#[test]
fn a_body_that_stalls_is_refused_and_the_connection_goes_on() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // `:authority`, `:method`, `:path`, `:scheme`, `authorization`, `content-length`
    let [authority, method, path, scheme] = [1, 2, 4, 6];
    let publish = [
        header(method, "PUT"),
        header(scheme, "http"),
        header(authority, "x"),
        header(path, "/main/api/v1/crates/new"),
        header(23, &server.token("alice")),
        header(28, "100"),
    ];
    let sent = [
        preface(),
        frame(1, 0x04, 1, &publish.concat()),
        frame(0, 0, 1, b"\x60"),
        // Meanwhile another request is answered.
        frame(1, 0x05, 3, &REQUEST),
    ];
    stream.write_all(&sent.concat()).unwrap();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 1 {
            // The status comes first, and these are in the table, but for 307.
            answers.push((head[8], payload[0]));
        }
    }
    let (temporary_redirect, bad_request) = (0x48, 0x8c);
    assert_eq!(answers, [(3, temporary_redirect), (1, bad_request)]);
}

#[test]
fn a_connection_on_which_nothing_is_asked_for_is_ended() {
    let server = Server::start();
    let mut idle = TcpStream::connect(server.address()).unwrap();
    idle.write_all(&preface()).unwrap();
    let mut halting = TcpStream::connect(server.address()).unwrap();
    halting.write_all(&preface()[..20]).unwrap();
    // SETTINGS, then GOAWAY without an error.
    let frames = frames(idle);
    let farewell = frames.iter().find(|(kind, _)| *kind == 7).expect("a farewell");
    assert_eq!(farewell.1[4..8], [0; 4]);
    let mut answer = Vec::new();
    halting.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = halting.read_to_end(&mut answer);
    assert_eq!(answer, b"");
}

#[test]
fn a_publish_in_flight_is_finished_before_the_server_stops() {
    let mut server = Server::start_with(&["--max-upload-bytes-in-flight", "1K"]);
    let token = server.token("alice");
    let (first, second) =
        (CrateFile::library("first", "1.0.0", b""), CrateFile::library("second", "1.0.0", b""));
    // There is room for one: the other one has to wait for it.
    let (mut half, rest) = server.client().with_token(&token).half_a_publish(&first);
    let client = Http2::connect(&server).with_token(&token);
    let waiting = client.begin("PUT", "/main/api/v1/crates/new", &[], &second.frame());
    // The request is there when what comes after it is answered.
    assert_eq!(client.get("/main/index/config.json").status, 200);
    server.terminate();
    wait_for("the server to stop listening", || TcpStream::connect(server.address()).err());
    assert!(!waiting.is_finished());
    half.write_all(&rest).unwrap();
    assert_eq!(Answer::read(half).status, 200);
    assert_eq!(client.end(waiting).unwrap().status, 200);
    assert_eq!(server.wait().code(), Some(0));
    wait_for("the end of the connection", || client.is_over().then_some(()));
    server.restart();
    for file in [first, second] {
        assert_eq!(server.client().get(&file.index_path()).json()["cksum"], file.checksum());
    }
}

#[test]
fn an_idle_connection_does_not_hold_the_server_up() {
    let mut server = Server::start();
    let client = Http2::connect(&server);
    assert_eq!(client.get("/main/index/config.json").status, 200);
    server.interrupt();
    assert_eq!(server.wait().code(), Some(0));
    assert!(!server.log().contains("requests in flight were cut off"), "{}", server.log());
}

use std::{fs, io::Write, net::TcpStream, path::Path};

use crate::common::{Answer, CrateFile, Http2, Server, frame};

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Nothing was kept of what was refused, and the server goes on.
fn assert_untouched(server: &Server) {
    assert_eq!(files(&server.data().join("crates")), Vec::<std::path::PathBuf>::new());
    assert_eq!(server.client().get("/main/index/he/ll/hello").status, 404);
    let found = server.client().get("/main/api/v1/crates?q=").json();
    assert_eq!(found, serde_json::json!({ "crates": [], "meta": { "total": 0 } }));
    let hello = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&hello.frame()).status, 200);
    assert_eq!(server.client().get(&hello.index_path()).status, 200);
}

fn metadata(name: &str, version: &str) -> Vec<u8> {
    format!(r#"{{"name":"{name}","vers":"{version}","deps":[],"features":{{}}}}"#).into_bytes()
}

#[test]
fn malformed_frames_are_refused_with_what_is_wrong() {
    let server = Server::start();
    let client = server.client_of("alice");
    let good = CrateFile::library("hello", "1.0.0", b"");
    let whole = good.frame();
    let json = metadata("hello", "1.0.0");
    let cut = |end: usize| whole[..end].to_vec();
    let json_end = 4 + u32::from_le_bytes(whole[..4].try_into().unwrap()) as usize;
    let claim = format!("invalid metadata length for remaining payload: {}", json_end - 4);
    let huge = |body: &[u8]| [&[0xff; 4][..], body].concat();
    for (frame, status, detail) in [
        (Vec::new(), 400, "invalid metadata length"),
        (cut(3), 400, "invalid metadata length"),
        (cut(4), 400, &claim),
        (cut(json_end - 1), 400, &claim),
        (cut(json_end), 400, &claim),
        (cut(json_end + 3), 400, &claim),
        (huge(b"{}"), 413, "JSON metadata blob too large"),
        (
            [&frame(&json, b"")[..4 + json.len()], &huge(b"")].concat(),
            413,
            "max upload size is: 10485760",
        ),
        ([whole.as_slice(), b"x"].concat(), 400, "unexpected 1 bytes after the crate file"),
        (
            cut(whole.len() - 1),
            400,
            &format!("invalid tarball length for remaining payload: {}", good.bytes.len()),
        ),
    ] {
        let answer = client.publish(&frame);
        assert_eq!(answer.error(), (status, detail.into()), "{}", frame.escape_ascii());
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_untouched(&server);
}

#[test]
fn malformed_metadata_and_archives_are_refused_with_what_is_wrong() {
    let server = Server::start();
    let client = server.client_of("alice");
    let good = CrateFile::library("hello", "1.0.0", b"");
    let hello = metadata("hello", "1.0.0");
    let manifest = b"[package]\nname = \"hello\"\nversion = \"1.0.0\"\n".as_slice();
    let archive =
        |members: &[(&str, &[u8])]| CrateFile::of("hello", "1.0.0", members.iter().copied()).bytes;
    let manifest = ("hello-1.0.0/Cargo.toml", manifest);
    for (frame, detail) in [
        (frame(b"{", &good.bytes), "invalid upload request: "),
        (frame(b"[]", &good.bytes), "invalid upload request: "),
        (
            frame(&metadata("../x", "1.0.0"), &good.bytes),
            "invalid character `.` in crate name: `../x`",
        ),
        (frame(&metadata("hello", "1.0"), &good.bytes), "\"1.0\" is an invalid semver version"),
        (
            frame(&metadata("other", "1.0.0"), &good.bytes),
            "invalid path found: hello-1.0.0/Cargo.toml",
        ),
        (frame(&hello, b"no gzip"), "uploaded tarball is malformed or too large when decompressed"),
        (frame(&hello, &archive(&[])), "Cargo.toml manifest is missing"),
        (
            frame(&hello, &archive(&[manifest, ("hello-1.0.0/../x", b"")])),
            "invalid path found: hello-1.0.0/../x",
        ),
        (frame(&hello, &archive(&[manifest, ("/etc/x", b"")])), "invalid path found: /etc/x"),
        (frame(&hello, &archive(&[manifest, manifest])), "more than one Cargo.toml manifest: "),
        (
            frame(&hello, &[good.bytes.as_slice(), b"tail"].concat()),
            "crate file has data after the end of the archive",
        ),
    ] {
        let (status, found) = client.publish(&frame).error();
        assert_eq!(status, 400, "{found}");
        assert!(found.starts_with(detail), "{found:?} does not start with {detail:?}");
    }
    assert_untouched(&server);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let server = Server::start();
    let client = server.client_of("alice");
    for length in ["20000000", "3221225472", "4294967296"] {
        // The answer comes although not a byte of the body was sent.
        let headers = [("content-length", length)];
        let stream = client.begin("PUT", "/main/api/v1/crates/new", &headers);
        let answer = Answer::read(stream);
        assert_eq!(answer.error(), (413, "max upload size is: 10485760".into()));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let endless =
        client.begin("PUT", "/main/api/v1/crates/new", &[("transfer-encoding", "chunked")]);
    let answer = send_chunks_for_ever(endless);
    assert_eq!(answer.error(), (413, "JSON metadata blob too large".into()));
    assert_untouched(&server);
}

/// Sends one large frame in chunks until the server has had enough.
fn send_chunks_for_ever(mut stream: TcpStream) -> Answer {
    let chunk = [b"10000\r\n".as_slice(), &[0xff; 0x10000], b"\r\n"].concat();
    for _ in 0..10_000 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    Answer::read(stream)
}

#[test]
fn a_client_that_sends_all_of_a_refused_body_reads_the_refusal() {
    let server = Server::start();
    // As cargo from 1.96 on, which does not ask before it sends.
    let body = vec![0; 20 << 20];
    let length = body.len().to_string();
    let headers = [("content-length", length.as_str())];
    let mut stream = server.client_of("alice").begin("PUT", "/main/api/v1/crates/new", &headers);
    stream.write_all(&body).unwrap();
    let answer = Answer::read(stream);
    assert_eq!(answer.error(), (413, "max upload size is: 10485760".into()));
    assert_untouched(&server);
}

#[test]
fn a_compressed_body_is_refused() {
    let server = Server::start();
    let hello = CrateFile::library("hello", "1.0.0", b"");
    let headers = [("content-encoding", "gzip")];
    let client = server.client_of("alice");
    let answer = client.send("PUT", "/main/api/v1/crates/new", &headers, &hello.frame());
    assert_eq!(answer.error(), (415, "Content-Encoding is not supported".into()));
    assert_untouched(&server);
}

#[test]
fn paths_that_lead_nowhere_are_not_found() {
    let server = Server::start();
    for path in [
        "/nowhere",
        "/main",
        "/main/",
        "/main/nowhere",
        "/main/index/",
        "/main/index/../../etc/passwd",
        "/main/index/%2e%2e/%2e%2e/etc/passwd",
        "/main/index/..%2f..%2fetc%2fpasswd",
        "/main/index/..%5c..%5cetc",
        "/main/index/he/ll/%00",
        "/main/index/xx/xx/hello",
        "/main/dl/hello/1.0.0",
        "/main/dl/..%2f..%2findex.sqlite/1.0.0/0000",
        "/main/dl/hello/1.0.0/../../../index.sqlite",
        "/main/api/v2/crates",
        "/other/index/config.json",
    ] {
        let answer = server.client().get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(!answer.text().contains("SQLite"), "{path}");
    }
    let nothing = server.client().get("/other/index/config.json");
    assert_eq!(nothing.header("cache-control"), Some("no-store"));
    assert_eq!(nothing.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(nothing.error(), (404, "there is no registry `other`".into()));
    assert_untouched(&server);
}

#[test]
fn index_files_that_are_not_there_are_not_found() {
    let server = Server::start();
    for path in ["1/a", "2/ab", "3/a/abc", "he/ll/hello", "He/Ll/Hello", "he/ll", "x", "a/b/c/d/e"]
    {
        let answer = server.client().get(&format!("/main/index/{path}"));
        // cargo takes any other status for a failure of the whole index.
        assert_eq!(answer.status, 404, "{path}");
        // Told to whoever looks, and nothing that a program could take for an index file.
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        let (_, detail) = answer.error();
        assert!(
            detail.contains("does not exist") || detail.contains("nothing"),
            "{path}: {detail}"
        );
    }
}

#[test]
fn other_methods_are_refused_with_those_that_are_allowed() {
    let server = Server::start();
    let client = server.client_of("alice");
    for (method, path, allow) in [
        ("POST", "/main/api/v1/crates/new", "PUT"),
        ("DELETE", "/main/index/config.json", "GET, HEAD"),
        ("PUT", "/main/api/v1/crates/hello/1.0.0/download", "GET, HEAD"),
        ("POST", "/main/api/v1/crates/hello/1.0.0/yank", "DELETE"),
    ] {
        // What the header says does not count.
        let headers = [("x-http-method-override", "PUT")];
        let answer = client.send(method, path, &headers, b"");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    assert_untouched(&server);
}

#[test]
fn a_method_of_kilobytes_makes_no_line_of_kilobytes() {
    let server = Server::start();
    let method = "X".repeat(30_000);
    let answer = server.client().send(&method, "/main/index/config.json", &[], b"");
    assert_eq!(answer.status, 405);
    let log = server.log();
    let mut lines = log.lines().filter(|line| line.contains("method=XXX")).peekable();
    assert!(lines.peek().is_some());
    assert!(lines.all(|line| line.len() < 2_000));
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let server = Server::start();
    let client = server.client();
    let path = "/main/index/config.json";
    let long = "x".repeat(100_000);
    assert_eq!(client.get_with(path, &[("x-long", &long)]).status, 431);
    // To the byte: all but the value is what `Client` sends beside it.
    let others = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nx-long: \r\nconnection: close\r\n\r\n",
        server.address()
    );
    let longest = "x".repeat(32 * 1024 - others.len());
    assert_eq!(client.get_with(path, &[("x-long", &longest)]).status, 200);
    assert_eq!(client.get_with(path, &[("x-long", &(longest + "x"))]).status, 431);
    // With `host` and `connection`, 64 and one more.
    assert_eq!(client.get_with(path, &[("x-many", "1"); 62]).status, 200);
    let mut many = [("x-many", "1"); 63];
    many[0] = ("x-request-id", "mine");
    let refused = client.get_with(path, &many);
    assert_eq!(refused.error(), (431, "there are more than 64 headers".into()));
    assert_eq!(refused.header("x-request-id"), Some("mine"));
    // One more than hyper itself takes.
    assert_eq!(client.get_with(path, &[("x-many", "1"); 99]).status, 431);
    assert_untouched(&server);
}

#[test]
fn targets_that_are_too_long_are_refused() {
    let server = Server::start();
    let path = |bytes| {
        let path = String::from("/main/api/v1/crates?per_page=1&q=");
        let rest = bytes - path.len();
        path + &"+".repeat(rest)
    };
    assert_eq!(server.client().get(&path(8 * 1024)).status, 200);
    let text = "the path and query are longer than 8192 bytes".to_owned();
    let refused = server.client().get_with(&path(8 * 1024 + 1), &[("x-request-id", "mine")]);
    assert_eq!(refused.error(), (414, text.clone()));
    assert_eq!(refused.header("x-request-id"), Some("mine"));
    let client = Http2::connect(&server);
    assert_eq!(client.get(&path(8 * 1024)).status, 200);
    assert_eq!(client.get(&path(8 * 1024 + 1)).error(), (414, text));
    assert_untouched(&server);
}

#[test]
fn more_than_one_credential_is_refused() {
    let server = Server::start();
    let token = server.token("alice");
    let client = server.client().with_token(&token);
    let hello = CrateFile::library("hello", "1.0.0", b"");
    let twice = [("authorization", token.as_str())];
    let answer = client.send("PUT", "/main/api/v1/crates/new", &twice, &hello.frame());
    let (status, detail) = answer.error();
    assert_eq!(status, 401);
    assert!(detail.starts_with("Invalid `Authorization` header: "), "{detail}");
    assert_untouched(&server);
}

#[test]
fn a_request_for_an_upgrade_is_answered_as_if_it_were_none() {
    let server = Server::start();
    // As libcurl sends it over plain HTTP.
    let headers = [
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ("connection", "Upgrade, HTTP2-Settings"),
    ];
    let answer = server.client().get_with("/main/index/config.json", &headers);
    assert_eq!((answer.status, answer.header("upgrade")), (200, None));
    // As cargo from 1.97 on has it with a publish.
    let hello = CrateFile::library("hello", "1.0.0", b"");
    let client = server.client_of("alice");
    let answer = client.send("PUT", "/main/api/v1/crates/new", &headers, &hello.frame());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = server.client().get_with(&hello.download_path(), &headers);
    assert!((answer.status, &answer.body) == (200, &hello.bytes), "{}", answer.status);
}

#[test]
fn repeated_slashes_are_one() {
    let server = Server::start();
    for path in ["/main//index/config.json", "/main/index//config.json"] {
        assert_eq!(server.client().get(path).status, 200, "{path}");
    }
    assert_eq!(server.client().get("/main//api/v1//crates?q=x").status, 200);
}

#[test]
fn clients_that_stall_are_let_go() {
    let server = Server::start();
    let mut head = TcpStream::connect(server.address()).unwrap();
    head.write_all(b"GET /main/index/config.json HTTP/1.1\r\nhost:").unwrap();
    let headers = [("content-length", "100")];
    let mut body = server.client_of("alice").begin("PUT", "/main/api/v1/crates/new", &headers);
    body.write_all(b"\x60").unwrap();

    assert_eq!(Answer::read(body).error(), (400, "the request body could not be read".into()));
    let ended = std::io::read_to_string(head).unwrap();
    assert!(ended.is_empty() || ended.starts_with("HTTP/1.1 408 "), "{ended}");
    assert_untouched(&server);
}

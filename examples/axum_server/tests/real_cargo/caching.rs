use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::common::{Cargo, CrateFile, Server};

#[test]
fn an_update_with_nothing_new_transfers_no_index_file() {
    let server = Server::start();
    let alice = Cargo::of(&server, "alice");
    alice.publish_library("base", "1.0.0");
    for name in ["left", "right"] {
        let package = alice.library(name, "1.0.0");
        alice
            .publish(&package.dependencies(r#"base = { version = "1", registry = "main" }"#))
            .success();
    }
    let cargo = Cargo::anonymous(&server);
    let app = cargo.program("app", "").dependencies(
        "left = { version = \"1\", registry = \"main\" }\n\
         right = { version = \"1\", registry = \"main\" }",
    );
    let update = || {
        let before = server.requests().len();
        cargo.run_in(&app, ["update"]).success();
        let mut requests = server.requests().split_off(before);
        requests.retain(|request| request.is_index_file());
        requests.sort_by_key(|request| request.path.clone());
        requests.into_iter().map(|request| (request.path, request.status)).collect::<Vec<_>>()
    };
    let paths = ["/main/index/ba/se/base", "/main/index/le/ft/left", "/main/index/ri/gh/right"];
    let all = |status: u16| paths.map(|path| (path.to_owned(), status));
    assert_eq!(update(), all(200));
    assert_eq!(update(), all(304));

    // A change of one crate is the only thing transferred.
    alice.publish_library("base", "1.0.1");
    let mut expected = all(304);
    expected[0].1 = 200;
    assert_eq!(update(), expected);
    assert!(app.read("Cargo.lock").contains("version = \"1.0.1\""));
}

#[test]
fn an_index_file_is_compressed_for_who_asks() {
    let server = Server::start();
    let alice = server.client_of("alice");
    for number in 0..10 {
        let file = CrateFile::library("many", &format!("1.0.{number}"), b"");
        assert_eq!(alice.publish(&file.frame()).status, 200);
    }
    let client = server.client();
    let plain = client.get("/main/index/ma/ny/many");
    assert_eq!(plain.header("content-encoding"), None);
    let ask = |header, value: &str| {
        let headers = [("accept-encoding", "deflate, gzip"), (header, value)];
        client.get_with("/main/index/ma/ny/many", &headers)
    };
    let packed = ask("accept", "text/plain");
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(packed.header("vary"), Some("accept-encoding"));
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    assert!(packed.body.len() < plain.body.len() / 2);
    for answer in [plain, packed] {
        assert_eq!(ask("if-none-match", answer.header("etag").unwrap()).status, 304);
    }
    // Its checksum is that of what is in it.
    let file = CrateFile::library("many", "1.0.0", b"");
    let download = client.get_with(&file.download_path(), &[("accept-encoding", "gzip, *;q=0")]);
    assert_eq!(download.header("content-encoding"), None);
    assert_eq!(download.body, file.bytes);
}

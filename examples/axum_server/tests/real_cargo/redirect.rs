//! Downloads that the registry sends elsewhere, once it is certain that the client may read.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use tempfile::TempDir;

use crate::common::{Cargo, Client, CrateFile, Place, Server, axum_server, noise};

/// Has cargo use a library, as somebody who has a token if that is needed.
fn assert_used(server: &Server, user: Option<&str>) {
    let cargo = match user {
        Some(user) => Cargo::of(server, user),
        None => Cargo::anonymous(server),
    };
    let app = cargo.program("app", "println!(\"{}\", Hello_World::version())");
    let app = app.dependencies(r#"Hello-World = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    let requests = server.requests();
    let downloads = requests.iter().filter(|request| request.path.starts_with("/main/dl/"));
    let statuses: Vec<_> = downloads.map(|request| request.status).collect();
    assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 302), "{statuses:?}");
}

#[test]
fn cargo_reads_from_the_bucket_itself() {
    for private in [false, true] {
        let Some(place) = Place::bucket() else { return };
        let mut flags = vec!["--redirect", "presigned", "--redirect-expiry", "60"];
        flags.extend(private.then_some("--private"));
        let server = Server::start_at_with(&place, &flags);
        Cargo::of(&server, "alice").publish_library("Hello-World", "1.0.0");
        assert_used(&server, private.then_some("bob"));
    }
}

#[test]
fn a_signed_url_is_for_one_file_and_for_who_may_read_it() {
    let Some(place) = Place::bucket() else { return };
    let server = Server::start_at_with(
        &place,
        &["--private", "--redirect=presigned", "--redirect-expiry=60"],
    );
    let file = CrateFile::library("Hello-World", "1.0.0", &noise(100_000));
    let alice = server.client_of("alice");
    assert_eq!(alice.publish(&file.frame()).status, 200);
    for path in [&*file.download_path(), "/main/api/v1/crates/hello-world/1.0.0/download"] {
        let refused = server.client().get(path);
        assert_eq!((refused.status, refused.header("location")), (401, None));

        let answer = alice.get(path);
        assert_eq!((answer.status, answer.text()), (302, ""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let url = answer.header("location").unwrap();
        let (address, rest) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let (place, query) = rest.split_once('?').unwrap();
        let name = format!("/crates/he/ll/Hello-World/1.0.0-{}.crate", file.checksum());
        assert!(place.ends_with(&name), "{place}");
        assert!(query.split('&').any(|pair| pair == "X-Amz-Expires=60"), "{query}");
        let read = Client::new(address).get(&format!("/{rest}"));
        assert_eq!(read.status, 200);
        assert!(read.body == file.bytes);
    }
    // Of a file that is not there, the registry says so itself.
    let absent = file.download_path().replace("1.0.0", "2.0.0");
    assert_eq!(alice.get(&absent).status, 404);
}

#[test]
fn the_token_is_not_sent_on() {
    let file = TempDir::new().unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/files", elsewhere.local_addr().unwrap());
    let storage = format!("file:{}", file.path().display());
    let server = Server::start_with(&["--private", "--storage", &storage, "--redirect", &url]);
    let heads = Arc::new(Mutex::new(Vec::new()));
    std::thread::spawn({
        let (heads, folder) = (Arc::clone(&heads), file.path().to_owned());
        move || {
            for stream in elsewhere.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map(Result::unwrap);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let path = head[0].split(' ').nth(1).unwrap().strip_prefix("/files/").unwrap();
                let body = std::fs::read(folder.join(path)).unwrap();
                heads.lock().unwrap().push(head);
                let length = body.len();
                let head = format!("content-length: {length}\r\nconnection: close");
                write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n").unwrap();
                stream.write_all(&body).unwrap();
            }
        }
    });
    Cargo::of(&server, "alice").publish_library("Hello-World", "1.0.0");
    assert_used(&server, Some("bob"));
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1);
    assert!(heads[0][0].starts_with("GET /files/he/ll/Hello-World/1.0.0-"), "{heads:?}");
    let is_token = |line: &String| line.to_ascii_lowercase().starts_with("authorization");
    assert!(!heads[0].iter().any(is_token), "{heads:?}");
}

#[test]
fn no_url_is_signed_for_a_folder() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let output = axum_server()
        .args(["serve", "--listen", "127.0.0.1:0", "--redirect", "presigned", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let expected = format!(
        "error: `file:{}/crates` is no bucket, for which URLs could be signed: name one under which \
         a web server serves what is in it\n",
        data.display()
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert!(!data.exists());
}

//! A server that speaks TLS, with certificates of an authority that the clients know.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Runtime,
};

use crate::common::{
    Cargo, Certificates, CrateFile, Http2, Server, axum_server, certificate_of, noise, wait_for,
};

fn start(certificates: &Certificates) -> Server {
    let flags = certificates.flags();
    Server::start_with(&flags.each_ref().map(String::as_str))
}

#[test]
fn cargo_publishes_and_builds_over_tls() {
    let certificates = Certificates::new();
    let server = start(&certificates);
    assert!(server.url().starts_with("https://127.0.0.1:"), "{}", server.url());
    let cargo = Cargo::of(&server, "alice")
        .with("CARGO_HTTP_CAINFO", certificates.authority().to_str().unwrap())
        .with("no_proxy", "127.0.0.1");
    for number in 0..20 {
        cargo.publish_library(&format!("lib{number}"), "1.0.0");
    }
    let all =
        (0..20).map(|number| format!("lib{number} = {{ version = \"1\", registry = \"main\" }}"));
    let app = cargo
        .program("app", "println!(\"{}\", lib19::version())")
        .dependencies(&all.collect::<Vec<_>>().join("\n"));
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    // Agreed on while the connection was made.
    assert!(server.log().contains("h2::codec"), "{}", server.log());

    // Whoever asks cargo not to is served as well.
    let cargo = cargo.with("CARGO_HTTP_MULTIPLEXING", "false");
    cargo.forget_downloads();
    cargo.run_in(&app, ["fetch"]).success();
}

#[test]
fn the_protocol_is_the_one_that_both_sides_want_most() {
    let certificates = Certificates::new();
    let server = start(&certificates);
    let runtime = Runtime::new().unwrap();
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let stream = runtime.block_on(certificates.connect(server.address(), offered));
        let found = stream.get_ref().1.alpn_protocol();
        assert_eq!(found, agreed.map(str::as_bytes));
    }
    let stream = certificates.connect(server.address(), &["h2"]);
    let client = Http2::over(stream, format!("https://{}", server.address()));
    let config = client.get("/main/index/config.json");
    assert_eq!(config.json()["api"], server.url());
    assert_eq!(config.header("strict-transport-security"), Some("max-age=31536000"));

    // Without a word about it, HTTP/1 is spoken.
    let answer = runtime.block_on(async {
        let mut stream = certificates.connect(server.address(), &[]).await;
        let request =
            "GET /main/index/config.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn browsers_are_told_to_come_by_https_where_there_is_some() {
    let https = ["--public-url", "https://crates.test"];
    for (flags, told) in [
        (&[][..], None),
        (&["--public-url", "http://crates.test"], None),
        (&https, Some("max-age=31536000")),
        (&[&https[..], &["--hsts-max-age", "0"]].concat(), Some("max-age=0")),
    ] {
        let server = Server::start_with(flags);
        for path in ["/main/me", "/healthz", "/", "/nowhere"] {
            let answer = server.client().get(path);
            assert_eq!(answer.header("strict-transport-security"), told, "{flags:?} {path}");
        }
    }
}

#[test]
fn whoever_does_not_speak_tls_is_let_go() {
    let certificates = Certificates::new();
    let server = start(&certificates);
    let [mut silent, mut clear] = [(); 2].map(|()| TcpStream::connect(server.address()).unwrap());
    clear.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    for stream in [&mut clear, &mut silent] {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    }
    let stream = certificates.connect(server.address(), &["h2"]);
    let client = Http2::over(stream, server.url());
    assert_eq!(client.get("/index/config.json").status, 200);
}

#[test]
fn a_server_of_tls_stops_in_good_order() {
    let certificates = Certificates::new();
    let mut server = start(&certificates);
    let stream = certificates.connect(server.address(), &["h2"]);
    let client = Http2::over(stream, format!("https://{}", server.address()))
        .with_token(&server.token("alice"));
    let file = CrateFile::library("hello", "1.0.0", &noise(100_000));
    assert_eq!(client.publish(&file.frame()).status, 200);
    assert!(client.get(&file.download_path()).body == file.bytes);
    // Neither one that is idle nor one that has not said anything holds it up.
    let silent = TcpStream::connect(server.address()).unwrap();
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
    wait_for("the end of the connection", || client.is_over().then_some(()));
    assert!(!server.log().contains("requests in flight were cut off"), "{}", server.log());
    drop(silent);
}

#[test]
fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let certificates = Certificates::new();
    let server = start(&certificates);
    let runtime = Runtime::new().unwrap();
    let current = || {
        let connecting = certificates.connect(server.address(), &["h2"]);
        certificate_of(&runtime.block_on(connecting))
    };
    let stays = Http2::over(certificates.connect(server.address(), &["h2"]), server.url());
    let asked = || stays.get("/index/config.json").status;
    assert_eq!(asked(), 200);

    let (certificate, key, second) = certificates.issue();
    certificates.write(&certificate, &key);
    server.hang_up();
    wait_for("the second certificate", || (current() == second).then_some(()));
    let complaints = || server.log().matches("the one before is kept").count();
    assert_eq!(complaints(), 0);

    // A key that is not the one of the certificate, then no certificate at all, then no file.
    let (third_certificate, third_key, third) = certificates.issue();
    certificates.write(&third_certificate, &key);
    server.hang_up();
    wait_for("a complaint", || (complaints() == 1).then_some(()));
    assert_eq!(current(), second);
    certificates.write("nothing", &third_key);
    server.hang_up();
    wait_for("a complaint", || (complaints() == 2).then_some(()));
    assert_eq!(current(), second);
    let [_, file, ..] = certificates.flags();
    fs::remove_file(file).unwrap();
    server.hang_up();
    wait_for("a complaint", || (complaints() == 3).then_some(()));
    assert_eq!(current(), second);
    assert!(!server.log().contains("PRIVATE KEY"));

    // Found without being told.
    certificates.write(&third_certificate, &third_key);
    wait_for("the third certificate", || (current() == third).then_some(()));
    assert_eq!(asked(), 200);
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let certificates = Certificates::new();
    let data = tempfile::TempDir::new().unwrap();
    let start = |flags: &[String]| {
        let folder = data.path().join("data");
        let mut command = axum_server();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&folder).args(flags);
        let output = command.output().unwrap();
        assert!(!folder.exists());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let flags = certificates.flags();
    let (code, stderr) = start(&flags[..2]);
    assert!(code == 2 && stderr.contains("--tls-key <FILE>"), "{stderr}");
    let [_, certificate_file, ..] = &flags;
    let (certificate, key, _) = certificates.issue();
    let (_, other_key, _) = certificates.issue();
    for (certificate, key, why) in [
        (certificate.as_str(), other_key.as_str(), "keys may not be consistent: KeyMismatch"),
        ("", &key, "there is no certificate in it"),
        (&certificate, "", "no private key: no items found"),
    ] {
        certificates.write(certificate, key);
        let text = format!("error: --tls-cert: `{certificate_file}`: {why}\n");
        assert_eq!(start(&flags), (1, text));
    }
}

//! The service behind a real HTTP/1.1 server, spoken to in raw bytes.

mod common;

use common::{Fixture, PUBLISHED};
use futures_util::TryStreamExt as _;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use registry_core::{
    CrateStore as _, Index as _,
    conformance::fixture::{publish_body, publish_body_of},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// One connection to a server, which ends when the connection does.
struct Connection {
    stream: TcpStream,
    server: JoinHandle<hyper::Result<()>>,
}

async fn connect(registry: &Fixture) -> Connection {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = registry.service.clone();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, std::convert::Infallible>(service.handle(request).await) }
        });
        http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await
    });
    Connection { stream: TcpStream::connect(address).await.unwrap(), server }
}

impl Connection {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Everything until the server closes the connection.
    async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Everything until `end` has come.
    async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "closed after {text}");
            text += std::str::from_utf8(&buffer[..count]).unwrap();
        }
        text
    }
}

fn put(registry: &Fixture, headers: &str) -> String {
    let token = &registry.alice;
    format!("PUT /api/v1/crates/new HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n{headers}\r\n")
}

#[tokio::test]
async fn an_upload_announced_too_large_is_refused_at_once_and_the_connection_closed() {
    let registry = Fixture::public().await;
    let mut connection = connect(&registry).await;
    connection.send(put(&registry, "Content-Length: 3221225472\r\n")).await;
    let answer = connection.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let body = r#"{"errors":[{"detail":"max upload size is: 10485760"}]}"#;
    assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    connection.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn endless_chunks_are_counted_and_cut_off() {
    let registry = Fixture::public().await;
    let mut connection = connect(&registry).await;
    connection.send(put(&registry, "Transfer-Encoding: chunked\r\n")).await;
    let metadata = br#"{"name":"foo","vers":"1.0.0","deps":[],"features":{}}"#;
    let head = [&(metadata.len() as u32).to_le_bytes()[..], metadata, &2_u32.to_le_bytes()];
    let head = head.concat();
    connection.send(format!("{:x}\r\n", head.len())).await;
    connection.send([&head[..], b"\r\n3\r\nabc\r\n"].concat()).await;
    let answer = connection.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let body = r#"{"errors":[{"detail":"unexpected 1 bytes after the crate file"}]}"#;
    assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
}

#[tokio::test]
async fn a_publish_refused_while_it_is_sent_is_answered_on_a_connection_that_stays() {
    let registry = Fixture::public().await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    let metadata = br#"{"name":"foo","vers":"1.0.0","deps":[],"features":{}}"#;
    // Larger than what the system takes in while nobody reads.
    let body = publish_body_of(metadata, &vec![0; 8 << 20]);
    let mut connection = connect(&registry).await;
    let length = format!("Content-Length: {}\r\n", body.len());
    connection.send(put(&registry, &length)).await;
    connection.send(&body).await;
    let refusal = r#"{"errors":[{"detail":"crate version `1.0.0` is already uploaded"}]}"#;
    let answer = connection.read_until(refusal).await;
    assert!(answer.starts_with("HTTP/1.1 409 Conflict\r\n"), "{answer}");
    assert!(!answer.contains("\r\nconnection: close\r\n"), "{answer}");

    connection.send("GET /index/no/th/nothing HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let answer = connection.read_until("does not exist\"}]}").await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_or_refused() {
    let registry = Fixture::public().await;
    let body = publish_body("foo", "1.0.0");
    let expect = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());

    let mut connection = connect(&registry).await;
    let nobody = put(&registry, &expect).replace(&registry.alice, "unknown");
    connection.send(nobody).await;
    let answer = connection.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");

    let mut connection = connect(&registry).await;
    connection.send(put(&registry, &expect)).await;
    assert_eq!(connection.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    connection.send(&body).await;
    let answer = connection.read_until(PUBLISHED).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_disappears_half_way_leaves_nothing() {
    let registry = Fixture::public().await;
    let body = publish_body("foo", "1.0.0");
    for sent in [0, 4, 40, body.len() - 1] {
        let mut connection = connect(&registry).await;
        let length = format!("Content-Length: {}\r\n", body.len());
        connection.send(put(&registry, &length)).await;
        connection.send(&body[..sent]).await;
        drop(connection.stream);
        // The connection's end is the request's.
        let _ = connection.server.await.unwrap();
        let many = 9.try_into().unwrap();
        assert_eq!(registry.index.names(None, many).await.unwrap(), []);
        assert_eq!(registry.crates.list().try_collect::<Vec<_>>().await.unwrap(), []);
    }
}

#[tokio::test]
async fn an_offer_of_http_2_is_passed_over_and_the_connection_kept() {
    let registry = Fixture::public().await;
    let config = registry.get("/index/config.json").await;
    let mut connection = connect(&registry).await;
    for _ in 0..2 {
        connection
            .send(
                "GET /index/config.json HTTP/1.1\r\nHost: h\r\n\
                 Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                 HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
            )
            .await;
        let answer = connection.read_until(config.text()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\ncontent-length: {}\r\n", config.body.len())));
    }
    // Refused, but nothing of it is left unread.
    connection.send("GET /index/no/th/nothing HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let answer = connection.read_until("does not exist\"}]}").await;
    assert!(!answer.contains("connection: close"), "{answer}");
    connection
        .send("HEAD /index/config.json HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await;
    let answer = connection.read_to_end().await;
    assert!(answer.contains(&format!("\r\ncontent-length: {}\r\n", config.body.len())), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn two_lengths_or_two_framings_are_not_taken() {
    let registry = Fixture::public().await;
    for headers in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4, 5\r\n",
        "Content-Length: x\r\n",
        "Content-Length : 4\r\n",
    ] {
        let mut connection = connect(&registry).await;
        connection.send(put(&registry, headers)).await;
        let answer = connection.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{headers}: {answer}");
    }
}

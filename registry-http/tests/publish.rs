//! `PUT /api/v1/crates/new`.

mod common;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use common::{Answer, Call, Fixture, PUBLISHED};
use futures_util::{TryStreamExt as _, stream};
use http::{Method, Request, StatusCode};
use http_body_util::StreamBody;
use registry_core::{
    BoxError, CrateRecord, Index as _,
    conformance::fixture::{crate_file, publish_body, publish_body_of},
    policy::{PublishPolicy, Rejection, Warning},
    publish::{Release, ValidationRules},
    registry::Uploads,
};

fn put(registry: &Fixture) -> Call {
    registry.request(Method::PUT, "/api/v1/crates/new")
}

fn chunked(
    chunks: Vec<Result<&[u8], BoxError>>,
) -> impl http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static + use<> {
    let frame = |chunk: Result<&[u8], BoxError>| {
        chunk.map(|chunk| http_body::Frame::data(Bytes::copy_from_slice(chunk)))
    };
    StreamBody::new(stream::iter(chunks.into_iter().map(frame).collect::<Vec<_>>()))
}

async fn send<B>(registry: &Fixture, body: B) -> Answer
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    use http_body_util::BodyExt as _;
    let request = Request::put("/api/v1/crates/new").header("authorization", &registry.alice);
    let response = registry.service.handle(request.body(body).unwrap()).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Gives one piece and then never anything.
struct Stalled(Option<Bytes>);
impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        match self.0.take() {
            Some(data) => Poll::Ready(Some(Ok(http_body::Frame::data(data)))),
            None => Poll::Pending,
        }
    }
}

/// Must not be asked for anything.
struct Unread;

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        panic!("nobody may read it")
    }
}

async fn assert_nothing_stored(registry: &Fixture) {
    use registry_core::CrateStore as _;
    let many = 9.try_into().unwrap();
    assert_eq!(registry.index.names(None, many).await.unwrap(), []);
    assert_eq!(registry.crates.list().try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn a_release_is_in_the_index_when_its_publish_is_answered() {
    let registry = Fixture::public().await;
    for version in ["1.0.0", "1.0.1"] {
        registry.publish("foo", version).await.assert_ok(PUBLISHED);
        let file = registry.get("/index/3/f/foo").await;
        let last = file.text().lines().last().unwrap();
        assert!(last.starts_with(&format!(r#"{{"name":"foo","vers":"{version}","#)), "{last}");
    }
}

#[tokio::test]
async fn a_body_may_come_in_pieces_of_any_size_and_with_trailers() {
    let registry = Fixture::public().await;
    let body = publish_body("foo", "1.0.0");
    for size in [1, 7, body.len()] {
        let version = format!("1.0.{size}");
        let body = publish_body("foo", &version);
        let chunks = body.chunks(size).flat_map(|chunk| [Ok(chunk), Ok(&b""[..])]).collect();
        send(&registry, chunked(chunks)).await.assert_ok(PUBLISHED);
    }
    let body = Bytes::from(publish_body("foo", "2.0.0"));
    let trailers = http::HeaderMap::from_iter([(http::header::ETAG, "\"x\"".parse().unwrap())]);
    let frames = [http_body::Frame::data(body), http_body::Frame::trailers(trailers)];
    send(&registry, StreamBody::new(stream::iter(frames.map(Ok)))).await.assert_ok(PUBLISHED);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let registry = Fixture::public().await;
    let body = publish_body("foo", "1.0.0");
    for length in [0, 3, 4, 20, body.len() - 1] {
        let broken = chunked(vec![Ok(&body[..length]), Err("connection reset".into())]);
        let answer = send(&registry, broken).await;
        answer.assert_refused(400, "the request body could not be read");
        assert!(send(&registry, chunked(vec![Ok(&body[..length])])).await.status == 400);
    }
    assert_nothing_stored(&registry).await;
}

#[tokio::test]
async fn an_upload_that_finds_no_room_is_refused_before_its_body_is_read() {
    let uploads = Uploads { in_flight_bytes: Some(1), ..Uploads::default() };
    let registry = Fixture::with(|config| config, |builder| builder.uploads(uploads)).await;
    let begun = Request::put("/api/v1/crates/new").header("authorization", &registry.alice);
    let begun = begun.body(Stalled(Some(Bytes::from_static(b"\x02")))).unwrap();
    let mut begun = Box::pin(registry.service.handle(begun));
    let mut context = Context::from_waker(Waker::noop());
    assert!(begun.as_mut().poll(&mut context).is_pending());

    let answer = send(&registry, Unread).await;
    answer.assert_refused(503, "server is busy, try again");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("connection"), "close");

    drop(begun);
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let registry = Fixture::public().await;
    let body = publish_body("foo", "1.0.0");
    let stalled = Stalled(Some(Bytes::copy_from_slice(&body[..body.len() - 1])));
    let request = Request::put("/api/v1/crates/new").header("authorization", &registry.alice);
    let mut answer = Box::pin(registry.service.handle(request.body(stalled).unwrap()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(answer.as_mut().poll(&mut context).is_pending());
    drop(answer);
    assert_nothing_stored(&registry).await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
}

#[tokio::test]
async fn a_body_that_is_no_publish_is_told_what_is_wrong() {
    let registry = Fixture::public().await;
    let body = publish_body("foo", "1.0.0");
    let whole = crate_file("foo", "1.0.0", "");
    let tail = [&body[..], b"tail"].concat();
    for (body, status, detail) in [
        (b"".to_vec(), 400, "invalid metadata length"),
        (b"\0\0".to_vec(), 400, "invalid metadata length"),
        (vec![0xff; 14], 413, "JSON metadata blob too large"),
        (b"\x09\0\0\0{}".to_vec(), 400, "invalid metadata length for remaining payload: 9"),
        (
            [b"\x02\0\0\0{}", &u32::MAX.to_le_bytes()[..]].concat(),
            413,
            "max upload size is: 10485760",
        ),
        (tail, 400, "unexpected 4 bytes after the crate file"),
        (
            publish_body_of(br#"{"name":"a/b","vers":"1.0.0"}"#, &whole),
            400,
            "invalid character `/` in crate name: `a/b`, characters must be ASCII letters, \
             digits, `-` or `_`",
        ),
        (
            publish_body_of(br#"{"name":"foo","vers":"1.0"}"#, &whole),
            400,
            "\"1.0\" is an invalid semver version",
        ),
        (
            publish_body_of(br#"{"name":"bar","vers":"1.0.0"}"#, &whole),
            400,
            "invalid path found: foo-1.0.0/Cargo.toml",
        ),
    ] {
        let length = body.len().to_string();
        let call = put(&registry).token(&registry.alice).header("content-length", length);
        call.body(body).await.assert_refused(status, detail);
    }
    assert_nothing_stored(&registry).await;
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_unread_and_the_connection_closed() {
    let rules = ValidationRules { max_crate_bytes: 1000, ..ValidationRules::private() };
    let registry = Fixture::with(|config| config, |builder| builder.rules(rules)).await;
    /// Fails the test when it is read.
    struct Unread;
    impl http_body::Body for Unread {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
            panic!("the body is read")
        }
    }
    let request = || {
        let request = Request::put("/api/v1/crates/new").header("content-length", "3221225472");
        request.header("authorization", &registry.alice)
    };
    let response = registry.service.handle(request().body(Unread).unwrap()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.headers()["connection"], "close");
    // HTTP/2 has streams to close instead, and forbids the header.
    let request = request().version(http::Version::HTTP_2).body(Unread).unwrap();
    let response = registry.service.handle(request).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.headers().get("connection"), None);

    // Without a length it is counted.
    let body = publish_body_of(br#"{"name":"foo","vers":"1.0.0"}"#, &[0; 1001]);
    send(&registry, chunked(vec![Ok(&body)])).await.assert_refused(413, "max upload size is: 1000");
}

#[tokio::test]
async fn a_refusal_before_the_end_of_the_body_closes_the_connection_and_one_after_it_does_not() {
    let registry = Fixture::public().await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    let body = publish_body("foo", "1.0.0");
    let taken = "crate version `1.0.0` is already uploaded";
    // The metadata are enough to know.
    let pieces = chunked(vec![Ok(&body[..body.len() - 9]), Ok(&body[body.len() - 9..])]);
    let answer = send(&registry, pieces).await;
    answer.assert_refused(409, taken);
    assert_eq!(answer.header("connection"), "close");

    let answer = put(&registry).token(&registry.alice).body(body).await;
    answer.assert_refused(409, taken);
    assert_eq!(answer.header("connection"), "");
}

#[tokio::test]
async fn no_body_is_read_for_who_has_no_token() {
    let registry = Fixture::public().await;
    let answer = put(&registry).body(publish_body("foo", "1.0.0")).await;
    answer.assert_refused(401, "this action requires authentication");
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(
        answer.header("www-authenticate"),
        "Cargo login_url=\"http://registry.test/main/me\""
    );
}

#[tokio::test]
async fn a_packed_body_is_not_unpacked() {
    let registry = Fixture::public().await;
    for encoding in ["gzip", "identity"] {
        let call = put(&registry).token(&registry.alice).header("content-encoding", encoding);
        let answer = call.body(publish_body("foo", "1.0.0")).await;
        answer.assert_refused(415, "Content-Encoding is not supported");
    }
    assert_nothing_stored(&registry).await;
}

#[tokio::test]
async fn what_the_record_refuses_has_its_status() {
    let registry = Fixture::public().await;
    registry.publish("Foo", "1.0.0").await.assert_ok(PUBLISHED);
    let publish = async |token: &str, name: &str, version: &str| {
        put(&registry).token(token).body(publish_body(name, version)).await
    };
    let (alice, bob) = (&registry.alice, &registry.bob);
    let taken = "crate version `1.0.0` is already uploaded";
    publish(alice, "Foo", "1.0.0").await.assert_refused(409, taken);
    publish(alice, "Foo", "1.0.0+b").await.assert_refused(409, taken);
    publish(alice, "foo", "1.0.1").await.assert_refused(409, "crate was previously named `Foo`");
    publish(bob, "Foo", "1.0.1").await.assert_refused(
        403,
        "this crate exists but you don't seem to be an owner; \
         an owner can add you with `cargo owner --add`",
    );
}

/// Warns of crates, and does not want some.
#[derive(Debug)]
struct House;

#[async_trait::async_trait]
impl PublishPolicy for House {
    async fn review(
        &self,
        release: &Release,
        _: Option<&CrateRecord>,
    ) -> Result<Vec<Warning>, Rejection> {
        match release.entry().name.as_str() {
            "bad" => Err(Rejection::new("not \"here\"")),
            _ => Ok(vec![Warning("no readme".into()), Warning("no licence".into())]),
        }
    }
}

#[tokio::test]
async fn policies_warn_and_reject_in_their_own_words() {
    let registry = Fixture::with(|config| config, |builder| builder.policy(House)).await;
    registry.publish("good", "1.0.0").await.assert_ok(
        r#"{"warnings":{"invalid_categories":[],"invalid_badges":[],"other":["no readme","no licence"]}}"#,
    );
    registry.publish("bad", "1.0.0").await.assert_refused(403, "not \"here\"");
}

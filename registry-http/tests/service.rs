//! The service as a value: how it is mounted, and what every answer has.

mod common;

use std::convert::Infallible;

use bytes::Bytes;
use common::Fixture;
use futures_util::stream;
use http::{Method, Request, Response};
use http_body_util::{Empty, StreamBody};
use registry_http::{Body, RegistryService};
use tower_service::Service;

#[test]
fn the_service_can_be_cloned_sent_and_shared() {
    fn is<T: Clone + Send + Sync + 'static>() {}
    is::<RegistryService>();
    fn body<T: http_body::Body<Data = Bytes> + Send + Sync + 'static>() {}
    body::<Body>();
}

#[tokio::test]
async fn any_body_will_do() {
    async fn status<B, S>(mut service: S, body: B) -> u16
    where
        S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
        S::Future: Send + 'static,
    {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        let request = Request::get("/index/config.json").body(body).unwrap();
        service.call(request).await.unwrap().status().as_u16()
    }
    let service = Fixture::public().await.service;
    assert_eq!(status(service.clone(), Empty::<&'static [u8]>::new()).await, 200);
    assert_eq!(status(service.clone(), String::from("unasked for")).await, 200);
    // Neither `Unpin` nor `Sync`.
    let frames = stream::once(async {
        let held = std::cell::Cell::new(Bytes::new());
        std::future::ready(()).await;
        Ok::<_, std::io::Error>(http_body::Frame::data(held.take()))
    });
    assert_eq!(status(service, StreamBody::new(frames)).await, 200);
}

#[tokio::test]
async fn every_answer_has_an_id_and_cannot_be_taken_for_something_else() {
    let registry = Fixture::public().await;
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/index/config.json", "/index/no/th/nothing", "/api/v1/crates", "/me", "/x"] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let answer = registry.request(method, path).await;
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
            let id = answer.header("x-request-id").to_owned();
            assert!(!id.is_empty() && ids.insert(id), "{path}");
        }
    }
}

#[tokio::test]
async fn a_plain_request_id_is_kept_and_any_other_replaced() {
    let registry = Fixture::public().await;
    let answer = registry.get("/me").header("x-request-id", "a.B_9-").await;
    assert_eq!(answer.header("x-request-id"), "a.B_9-");
    let long = "x".repeat(65);
    for odd in ["", "a b", "a\tlevel=error", "\"", &long, "ä"] {
        let answer = registry.get("/me").header("x-request-id", odd).await;
        let id = answer.header("x-request-id");
        assert!(id != odd && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{id}");
    }
}

#[tokio::test]
async fn the_id_of_the_request_is_in_the_change_it_made() {
    use registry_core::observer::{Event, Observer};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Debug, Default)]
    struct Seen(Arc<Mutex<Vec<Option<String>>>>);
    impl Observer for Seen {
        fn observe(&self, event: &Event<'_>) {
            if let Event::Committed(change) = event {
                self.0.lock().unwrap().push(change.stamp.origin.request.clone());
            }
        }
    }
    let seen = Seen::default();
    let observer = seen.clone();
    let registry = Fixture::with(|config| config, |builder| builder.observer(observer)).await;
    let body = registry_core::conformance::fixture::publish_body("foo", "1.0.0");
    let call = registry.request(Method::PUT, "/api/v1/crates/new").token(&registry.alice);
    call.header("x-request-id", "r1").body(body).await.assert_ok(common::PUBLISHED);
    assert_eq!(*seen.0.lock().unwrap(), [Some("r1".to_owned())]);
}

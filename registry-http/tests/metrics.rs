//! What is counted, as a recorder hears it.

mod common;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use common::{Fixture, PUBLISHED};
use futures_util::{FutureExt as _, stream};
use http::{HeaderMap, Method, StatusCode};
use http_body::Frame;
use http_body_util::{Empty, StreamBody};
use metrics::{
    Counter, CounterFn as _, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use registry_core::{RegistryName, conformance::fixture, registry::RegistryBuilder};
use registry_http::Registries;

/// What was counted, by name and labels; of a histogram, how often it was recorded to.
#[derive(Default)]
struct Heard(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Heard {
    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
        let text = format!("{} {}", key.name(), labels.join(" "));
        self.0.lock().unwrap().entry(text).or_default().clone()
    }
}

/// Counts how often it is recorded to.
struct Times(Arc<AtomicU64>);

impl HistogramFn for Times {
    fn record(&self, _: f64) {
        self.0.increment(1);
    }
}

impl Recorder for Heard {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Times(self.number(key))))
    }
}

/// Runs with a recorder of its own; gives what it has heard.
fn heard(run: impl Future<Output = ()>) -> Vec<String> {
    let heard = Heard::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&heard, || runtime.block_on(run));
    let numbers = heard.0.into_inner().unwrap();
    numbers.iter().map(|(text, n)| format!("{text} {}", n.load(Ordering::Relaxed))).collect()
}

#[test]
fn requests_are_counted_by_route_and_status() {
    let body = fixture::publish_body("foo", "1.0.0").len();
    let file = fixture::crate_file("foo", "1.0.0", "").len();
    let mut lines = 0;
    let heard = heard(async {
        let registry = Fixture::public().await;
        registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
        registry.publish("foo", "1.0.0").await.assert_refused(409, TAKEN);
        let answer = registry.get("/index/3/f/foo").await;
        assert_eq!(answer.status, 200);
        lines = answer.body.len();
        let held = registry.get("/index/3/f/foo").header("if-none-match", answer.header("etag"));
        assert_eq!(held.await.status, 304);
        assert_eq!(registry.request(Method::HEAD, "/index/3/f/foo").await.status, 200);
        assert_eq!(registry.get("/index/3/b/bar").await.body, MISSING);
        assert_eq!(registry.get("/nowhere/at/all").await.status, 404);
        let path = "/api/v1/crates/foo/1.0.0/download";
        assert_eq!(registry.get(path).await.body.len(), file);
    });
    let refused = format!("{{\"errors\":[{{\"detail\":\"{TAKEN}\"}}]}}").len();
    let nowhere = r#"{"errors":[{"detail":"there is nothing under this path"}]}"#.len();
    let mut expected = Vec::new();
    for (route, times) in
        [("download_by_version", 1), ("index_file", 4), ("none", 1), ("publish", 2)]
    {
        let name = "registry_http_request_duration_seconds";
        expected.push(format!("{name} registry=main route={route} {times}"));
    }
    for (route, status, times) in [
        ("download_by_version", 200, 1),
        ("index_file", 200, 2),
        ("index_file", 304, 1),
        ("index_file", 404, 1),
        ("none", 404, 1),
        ("publish", 200, 1),
        ("publish", 409, 1),
    ] {
        let name = "registry_http_requests_total";
        expected.push(format!("{name} registry=main route={route} status={status} {times}"));
    }
    for (way, route, bytes) in [
        ("received", "download_by_version", 0),
        ("received", "index_file", 0),
        ("received", "none", 0),
        ("received", "publish", 2 * body),
        ("sent", "download_by_version", file),
        ("sent", "index_file", lines + MISSING.len()),
        ("sent", "none", nowhere),
        ("sent", "publish", PUBLISHED.len() + refused),
    ] {
        let name = format!("registry_http_{way}_bytes_total");
        expected.push(format!("{name} registry=main route={route} {bytes}"));
    }
    for outcome in ["published", "version_taken"] {
        expected.push(format!("registry_publishes_total registry=main outcome={outcome} 1"));
    }
    expected.push("registry_http_requests_in_flight registry=main 0".into());
    expected.sort();
    assert_eq!(heard, expected);
}

const TAKEN: &str = "crate version `1.0.0` is already uploaded";
const MISSING: &str = r#"{"errors":[{"detail":"crate `bar` does not exist"}]}"#;

#[test]
fn why_nothing_was_published_is_counted_in_a_word() {
    const NEW: &str = "/api/v1/crates/new";
    let heard = heard(async {
        let limits = "publish-update=3/1d".parse().unwrap();
        let build = |builder: RegistryBuilder| builder.rate_limits(limits);
        let registry = Fixture::with(|config| config, build).await;
        let (alice, bob) = (registry.alice.clone(), registry.bob.clone());
        let put = |token: &str| registry.request(Method::PUT, NEW).token(token);
        let foo = |version: &str| fixture::publish_body("foo", version);
        for (call, status) in [
            (registry.request(Method::PUT, NEW).body(foo("1.0.0")), 401),
            (put("unknown").body(foo("1.0.0")), 401),
            (put(&alice).body(foo("1.0.0")), 200),
            (put(&alice).body(foo("1.0.0")), 409),
            (put(&alice).body(fixture::publish_body("Foo", "1.0.1")), 409),
            (put(&bob).body(foo("1.0.1")), 403),
            (put(&alice).body(""), 400),
            (put(&alice).header("content-encoding", "gzip").body(foo("1.0.1")), 415),
            (put(&alice).body([0xff; 14].to_vec()), 413),
            (
                put(&alice)
                    .body(fixture::publish_body_of(br#"{"name":"a/b","vers":"1.0.0"}"#, b"")),
                400,
            ),
            (put(&alice).body(foo("1.0.1")), 200),
            (put(&alice).body(foo("1.0.2")), 429),
        ] {
            let answer = call.await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        let read_only = Fixture::with(|config| config.with_read_only(true), |it| it).await;
        assert_eq!(read_only.publish("foo", "1.0.0").await.status, 403);
    });
    let outcomes: Vec<_> = heard
        .iter()
        .filter_map(|it| it.strip_prefix("registry_publishes_total registry=main outcome="))
        .collect();
    assert_eq!(
        outcomes,
        [
            "forbidden 1",
            "invalid 1",
            "malformed 2",
            "name_taken 1",
            "published 2",
            "rate_limited 1",
            "read_only 1",
            "too_large 1",
            "unauthenticated 2",
            "version_taken 1",
        ]
    );
}

#[test]
fn a_request_that_nobody_waits_for_is_counted_as_abandoned() {
    let heard = heard(async {
        let registry = Fixture::public().await;
        let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let request =
            http::Request::put("/api/v1/crates/new").header("authorization", &registry.alice);
        let request = request.body(StreamBody::new(endless)).unwrap();
        let answer = registry.service.handle(request);
        assert!(answer.now_or_never().is_none());
    });
    assert_eq!(
        heard,
        [
            "registry_http_received_bytes_total registry=main route=publish 0",
            "registry_http_request_duration_seconds registry=main route=publish 0",
            "registry_http_requests_in_flight registry=main 0",
            "registry_http_requests_total registry=main route=publish status=abandoned 1",
            "registry_http_sent_bytes_total registry=main route=publish 0",
            "registry_publishes_total registry=main outcome=abandoned 1",
        ]
    );
}

#[test]
fn requests_in_flight_are_those_whose_answer_is_awaited() {
    let heard = Heard::default();
    let in_flight = || {
        let numbers = heard.0.lock().unwrap();
        f64::from_bits(numbers["registry_http_requests_in_flight registry=main"].load(SeqCst))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&heard, || {
        let registry = runtime.block_on(Fixture::public());
        let begin = || {
            let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
            let request = http::Request::put("/api/v1/crates/new");
            let request = request.header("authorization", &registry.alice);
            Box::pin(registry.service.handle(request.body(StreamBody::new(endless)).unwrap()))
        };
        let [mut one, mut other] = [begin(), begin()];
        assert!((&mut one).now_or_never().is_none());
        assert_eq!(in_flight(), 1.);
        assert!((&mut other).now_or_never().is_none());
        assert_eq!(in_flight(), 2.);
        drop(one);
        assert_eq!(in_flight(), 1.);
        assert_eq!(runtime.block_on(registry.get("/index/config.json").into_future()).status, 200);
        assert_eq!(in_flight(), 1.);
        drop(other);
        assert_eq!(in_flight(), 0.);
    });
}

#[test]
fn requests_are_counted_by_registry_and_no_name_of_a_request_is_taken_for_one() {
    let heard = heard(async {
        let (tools, games) = (Fixture::public().await.service, Fixture::public().await.service);
        let place = |name: &str| RegistryName::new(name).unwrap().into();
        let map = HashMap::from([
            (place("tools"), tools.with_name("tools").unwrap()),
            (place("games"), games.with_name("games").unwrap()),
        ]);
        let registries = Registries::by_name(map);
        for (path, status) in [
            ("/tools/index/config.json", 200),
            ("/games/index/config.json", 200),
            ("/games/index/config.json", 200),
            ("/games/index/3/f/foo", 404),
            ("/others/index/config.json", 404),
            ("/..", 404),
        ] {
            let request = http::Request::get(path).body(Empty::<Bytes>::new()).unwrap();
            assert_eq!(registries.handle(request).await.status(), status, "{path}");
        }
        let id = registries.request_id(&HeaderMap::new());
        drop(registries.refuse(&Method::GET, &id, StatusCode::SERVICE_UNAVAILABLE, "busy"));
    });
    let requests: Vec<_> =
        heard.iter().filter_map(|it| it.strip_prefix("registry_http_requests_total ")).collect();
    assert_eq!(
        requests,
        [
            "registry= route=none status=404 2",
            "registry= route=none status=503 1",
            "registry=games route=config status=200 2",
            "registry=games route=index_file status=404 1",
            "registry=tools route=config status=200 1",
        ]
    );
}

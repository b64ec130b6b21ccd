//! What is counted, as a recorder hears it.

mod common;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use common::{Fixture, PUBLISHED};
use futures_util::{FutureExt as _, stream};
use http::Method;
use http_body::Frame;
use http_body_util::StreamBody;
use metrics::{
    Counter, CounterFn as _, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use registry_core::conformance::fixture;

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
        expected.push(format!("{name} route={route} {times}"));
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
        expected.push(format!("{name} route={route} status={status} {times}"));
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
        expected.push(format!("registry_http_{way}_bytes_total route={route} {bytes}"));
    }
    for outcome in ["published", "version_taken"] {
        expected.push(format!("registry_publishes_total outcome={outcome} 1"));
    }
    expected.sort();
    assert_eq!(heard, expected);
}

const TAKEN: &str = "crate version `1.0.0` is already uploaded";
const MISSING: &str = r#"{"errors":[{"detail":"crate `bar` does not exist"}]}"#;

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
            "registry_http_received_bytes_total route=publish 0",
            "registry_http_request_duration_seconds route=publish 0",
            "registry_http_requests_total route=publish status=abandoned 1",
            "registry_http_sent_bytes_total route=publish 0",
            "registry_publishes_total outcome=abandoned 1",
        ]
    );
}

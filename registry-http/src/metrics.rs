//! What is counted and timed, for the recorder that the host has installed.

use std::{
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Buf as _;
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use metrics::{
    Counter, Gauge, Histogram, SharedString, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};
use registry_core::{auth::AuthError, record::Refusal, store::StoreError};

use crate::{body::Body, respond::Error, route::Route};

const REQUESTS: &str = "registry_http_requests_total";
const DURATION: &str = "registry_http_request_duration_seconds";
const IN_FLIGHT: &str = "registry_http_requests_in_flight";
const RECEIVED: &str = "registry_http_received_bytes_total";
const SENT: &str = "registry_http_sent_bytes_total";
const PUBLISHES: &str = "registry_publishes_total";

/// What stands for a status, or an outcome, if the client did not wait for it.
const ABANDONED: &str = "abandoned";

/// The handles of all routes of a registry, each made when it is first used.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: SharedString,
    routes: [OnceLock<RouteMetrics>; Route::NAMES.len()],
}

impl Metrics {
    /// For what stands for no registry.
    pub(crate) const NO_REGISTRY: &str = "";

    /// With the name of a registry on each. It must not come from a request.
    pub(crate) fn new(registry: impl Into<SharedString>) -> Self {
        describe_counter!(
            REQUESTS,
            "Requests by registry and route, and by status or `abandoned`."
        );
        describe_histogram!(
            DURATION,
            Unit::Seconds,
            "From the head of a request to the head of its answer."
        );
        describe_gauge!(IN_FLIGHT, "Requests whose answer has no head yet.");
        describe_counter!(RECEIVED, Unit::Bytes, "Bytes of the bodies of requests.");
        describe_counter!(SENT, Unit::Bytes, "Bytes of the bodies of answers.");
        describe_counter!(PUBLISHES, "Publishes by outcome: `published`, or why not.");
        Self { registry: registry.into(), routes: [const { OnceLock::new() }; Route::NAMES.len()] }
    }

    pub(crate) fn of(&self, route: &'static str) -> &RouteMetrics {
        let place = Route::NAMES.binary_search(&route).expect("every name of a route is there");
        self.routes[place].get_or_init(|| RouteMetrics::new(self.registry.clone(), route))
    }
}

/// The handles of one route of a registry.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    registry: SharedString,
    route: &'static str,
    /// Of all routes.
    in_flight: Gauge,
    duration: Histogram,
    received: Counter,
    sent: Counter,
    by_status: [OnceLock<Counter>; STATUSES.len()],
}

/// The statuses that requests are answered with, in ascending order; the handles of others are looked
/// up each time.
const STATUSES: [u16; 20] = [
    200, 204, 206, 302, 304, 400, 401, 403, 404, 405, 409, 412, 413, 414, 415, 416, 429, 431, 500,
    503,
];

impl RouteMetrics {
    fn new(registry: SharedString, route: &'static str) -> Self {
        let of = registry.clone();
        Self {
            in_flight: gauge!(IN_FLIGHT, "registry" => of.clone()),
            duration: histogram!(DURATION, "registry" => of.clone(), "route" => route),
            received: counter!(RECEIVED, "registry" => of.clone(), "route" => route),
            sent: counter!(SENT, "registry" => of, "route" => route),
            by_status: [const { OnceLock::new() }; STATUSES.len()],
            registry,
            route,
        }
    }

    /// Counts a request that was answered so.
    pub(crate) fn count(&self, status: StatusCode) {
        let requests = || self.requests(status.as_str().to_owned());
        match STATUSES.binary_search(&status.as_u16()) {
            Ok(place) => self.by_status[place].get_or_init(requests).increment(1),
            Err(_) => requests().increment(1),
        }
    }

    fn requests(&self, status: impl Into<SharedString>) -> Counter {
        let (registry, status) = (self.registry.clone(), status.into());
        counter!(REQUESTS, "registry" => registry, "route" => self.route, "status" => status)
    }

    fn count_publish(&self, outcome: &'static str) {
        let registry = self.registry.clone();
        counter!(PUBLISHES, "registry" => registry, "outcome" => outcome).increment(1);
    }

    /// Counts the bytes of a request's body as they are read.
    pub(crate) fn receive<'a, B>(&self, body: Pin<&'a mut B>) -> Received<'a, B> {
        Received { body, bytes: self.received.clone() }
    }
}

/// A request that is being answered. Dropped before its end, it was abandoned.
pub(crate) struct Answering<'a> {
    metrics: &'a RouteMetrics,
    started: Instant,
    is_over: bool,
}

impl<'a> Answering<'a> {
    pub(crate) fn begin(metrics: &'a RouteMetrics) -> Self {
        metrics.in_flight.increment(1);
        Self { metrics, started: Instant::now(), is_over: false }
    }

    /// Counts the answer as it was decided on, before it is brought into shape.
    pub(crate) fn decided<T>(&self, answer: &Result<T, Error>) {
        if self.metrics.route == Route::Publish.name() {
            let outcome = answer.as_ref().err().map_or("published", reason);
            self.metrics.count_publish(outcome);
        }
    }

    /// Counts what is sent, as far as the status, and has the bytes of the body counted. Returns how
    /// long it took until now.
    pub(crate) fn end(mut self, response: &mut Response<Body>) -> Duration {
        self.is_over = true;
        let elapsed = self.started.elapsed();
        self.metrics.count(response.status());
        self.metrics.duration.record(elapsed);
        response.body_mut().count(&self.metrics.sent);
        elapsed
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.decrement(1);
        if !self.is_over {
            self.metrics.requests(ABANDONED).increment(1);
            if self.metrics.route == Route::Publish.name() {
                self.metrics.count_publish(ABANDONED);
            }
        }
    }
}

/// Why a publish was refused, in a word.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::Credential(_) | Error::Credentials { .. } | Error::CredentialInPath => {
            "unauthenticated"
        }
        Error::Auth(AuthError::Missing | AuthError::Rejected) => "unauthenticated",
        Error::Auth(AuthError::Forbidden { .. }) => "forbidden",
        Error::Auth(AuthError::TooMany { .. }) => "rate_limited",
        Error::Auth(_) => "authentication_failed",
        Error::Frame(error) if error.is_too_large() => "too_large",
        Error::TooLarge { .. } => "too_large",
        Error::Frame(_) | Error::ContentEncoding | Error::BadRequest { .. } => "malformed",
        Error::RequestBody(_) => "body_lost",
        Error::Invalid(_) => "invalid",
        Error::Rejected(_) => "rejected_by_policy",
        Error::Refused(Refusal::VersionTaken { .. }) => "version_taken",
        Error::Refused(Refusal::NameTaken { .. }) => "name_taken",
        Error::Refused(_) => "refused",
        Error::ReadOnly => "read_only",
        Error::Busy => "busy",
        Error::Contended { .. } => "contended",
        Error::Index(_) => "index_failed",
        Error::Store(StoreError::Full { .. }) => "storage_full",
        Error::Store(_) => "storage_failed",
        Error::Panic { .. } => "panicked",
        _ => "failed",
    }
}

/// A request's body whose bytes are counted.
pub(crate) struct Received<'a, B> {
    body: Pin<&'a mut B>,
    bytes: Counter,
}

impl<B: HttpBody> HttpBody for Received<'_, B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.bytes.increment(data.remaining() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_is_in_order() {
        assert!(Route::NAMES.is_sorted() && Route::NAMES.contains(&Route::NONE));
        assert!(STATUSES.is_sorted());
    }
}

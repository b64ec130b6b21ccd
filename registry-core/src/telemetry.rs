//! What backends tell the facades [`tracing`] and [`metrics`] (feature `telemetry`).
//!
//! Each call to a backend is a span of the level `DEBUG`, with the fields `backend`, `operation` and
//! `outcome`, within the span of the request that it is made for; and it is counted and timed for the
//! recorder that is installed when the decorator is made:
//!
//! | metric | labels | |
//! |---|---|---|
//! | `registry_backend_calls_total` | `backend`, `operation`, `outcome` | |
//! | `registry_backend_call_duration_seconds` | `backend`, `operation` | a histogram |
//! | `registry_cache_reads_total` | `cache`, `result` | `hit` or `miss` |
//!
//! An outcome is `failed` if the backend failed, `abandoned` if nobody waited for its answer, and
//! otherwise what it answered. [`ObservedAuthenticator`] is here; `ObservedIndex` and
//! `ObservedCrateStore` are in registry-index and registry-storage. They belong directly around a
//! backend, beneath the caches: what a cache answers by itself then costs nothing.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use tracing::{Instrument as _, Span, field::Empty};

use crate::{
    auth::{AuthError, Authenticator, Credential, Principal},
    observer::CacheRead,
    owner::{Login, Owner},
};

/// Counts and times the calls to one backend, in handles that are made once each.
///
/// `OPERATIONS` and `OUTCOMES` say how many of them there are; they are named by their number.
pub struct BackendMetrics<const OPERATIONS: usize, const OUTCOMES: usize> {
    backend: &'static str,
    calls: [[OnceLock<Counter>; OUTCOMES]; OPERATIONS],
    durations: [OnceLock<Histogram>; OPERATIONS],
}

impl<const OPERATIONS: usize, const OUTCOMES: usize> BackendMetrics<OPERATIONS, OUTCOMES> {
    /// For the backend of this name.
    pub fn new(backend: &'static str) -> Self {
        describe_counter!(CALLS, "Calls to backends, by outcome.");
        describe_histogram!(DURATION, Unit::Seconds, "How long callers waited for backends.");
        Self {
            backend,
            calls: [const { [const { OnceLock::new() }; OUTCOMES] }; OPERATIONS],
            durations: [const { OnceLock::new() }; OPERATIONS],
        }
    }

    /// Notes a call: its operation and outcome, each by number and name, and how long it took.
    ///
    /// # Panics
    /// If a number is not less than was said.
    pub fn record(
        &self,
        (operation, operation_name): (usize, &'static str),
        (outcome, outcome_name): (usize, &'static str),
        elapsed: Duration,
    ) {
        let backend = self.backend;
        let counted = self.calls[operation][outcome].get_or_init(|| {
            counter!(
                CALLS,
                "backend" => backend,
                "operation" => operation_name,
                "outcome" => outcome_name
            )
        });
        counted.increment(1);
        let timed = self.durations[operation].get_or_init(
            || histogram!(DURATION, "backend" => backend, "operation" => operation_name),
        );
        timed.record(elapsed);
    }
}

const CALLS: &str = "registry_backend_calls_total";
const DURATION: &str = "registry_backend_call_duration_seconds";
const CACHE_READS: &str = "registry_cache_reads_total";

impl<const N: usize, const M: usize> fmt::Debug for BackendMetrics<N, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendMetrics").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// A meter for a cache of this name: one of [`CachedAuthenticator`](crate::auth::CachedAuthenticator),
/// of `CachedIndex` or of `CachedCrateStore`.
pub fn cache_meter(cache: &'static str) -> impl Fn(CacheRead) + Send + Sync + 'static {
    describe_counter!(CACHE_READS, "Reads through caches.");
    let hits = counter!(CACHE_READS, "cache" => cache, "result" => "hit");
    let misses = counter!(CACHE_READS, "cache" => cache, "result" => "miss");
    move |read| match read {
        CacheRead::Hit => hits.increment(1),
        CacheRead::Miss => misses.increment(1),
    }
}

/// Tells of each call to another authenticator. Its backend is `authenticator`.
#[derive(Clone, Debug)]
pub struct ObservedAuthenticator<A> {
    inner: A,
    metrics: Arc<BackendMetrics<3, 4>>,
}

const ACCEPTED: (usize, &str) = (0, "accepted");
const REJECTED: (usize, &str) = (1, "rejected");
const FAILED: (usize, &str) = (2, "failed");
const ABANDONED: (usize, &str) = (3, "abandoned");

impl<A> ObservedAuthenticator<A> {
    /// Observes the calls to `inner`.
    pub fn new(inner: A) -> Self {
        Self { inner, metrics: Arc::new(BackendMetrics::new("authenticator")) }
    }

    async fn observe<T>(
        &self,
        operation: (usize, &'static str),
        call: impl Future<Output = Result<T, AuthError>> + Send,
    ) -> Result<T, AuthError> {
        let span = tracing::debug_span!(
            target: "registry_core",
            "backend",
            backend = "authenticator",
            operation = operation.1,
            outcome = Empty,
        );
        let metrics = &*self.metrics;
        let mut call_under_way =
            Call { metrics, operation, span, outcome: ABANDONED, at: Instant::now() };
        let answer = call.instrument(call_under_way.span.clone()).await;
        call_under_way.outcome = match &answer {
            Ok(_) => ACCEPTED,
            Err(AuthError::Backend(_)) => FAILED,
            Err(_) => REJECTED,
        };
        answer
    }
}

/// Told of when it is dropped: at the end of the call, or where it is abandoned.
struct Call<'a> {
    metrics: &'a BackendMetrics<3, 4>,
    operation: (usize, &'static str),
    outcome: (usize, &'static str),
    span: Span,
    at: Instant,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.span.record("outcome", self.outcome.1);
        self.metrics.record(self.operation, self.outcome, self.at.elapsed());
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Authenticator> Authenticator for ObservedAuthenticator<A> {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        self.observe((0, "authenticate"), self.inner.authenticate(credential)).await
    }

    async fn authenticate_anew(
        &self,
        credential: &Credential,
    ) -> Result<Arc<Principal>, AuthError> {
        self.observe((1, "authenticate_anew"), self.inner.authenticate_anew(credential)).await
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        self.observe((2, "find_user"), self.inner.find_user(login)).await
    }
}

//! [`ObservedIndex`]: every call is a span and is counted.

use std::{fmt, num::NonZeroUsize};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, Index, IndexError,
    index::{ETag, IndexFile, Lookup, Revision, Stored},
    record::{Change, CrateRecord},
    telemetry::BackendMetrics,
};
use tracing::{Instrument as _, Span, field::Empty};

use super::{MeteredIndex, Operation, Outcome};

/// Tells of each call to another index as [`registry_core::telemetry`] says: by a span, and to the
/// recorder of metrics that is installed.
///
/// It belongs directly around the backend, beneath the cache.
#[derive(Clone)]
pub struct ObservedIndex<I> {
    inner: MeteredIndex<I>,
    backend: &'static str,
}

impl<I> ObservedIndex<I> {
    /// Observes the calls to `inner`, of which `backend` is told as its name.
    pub fn new(inner: I, backend: &'static str) -> Self {
        let metrics = BackendMetrics::<5, 9>::new(backend);
        let inner = MeteredIndex::new(inner, move |measured| {
            let outcome = of_outcome(measured.outcome);
            // That of the call: it ends within.
            Span::current().record("outcome", outcome.1);
            metrics.record(of_operation(measured.operation), outcome, measured.elapsed);
        });
        Self { inner, backend }
    }

    fn span(&self, operation: Operation) -> Span {
        tracing::debug_span!(
            target: "registry_index",
            "backend",
            backend = self.backend,
            operation = of_operation(operation).1,
            outcome = Empty,
        )
    }
}

fn of_operation(operation: Operation) -> (usize, &'static str) {
    match operation {
        Operation::IndexFile => (0, "index_file"),
        Operation::Load => (1, "load"),
        Operation::Commit => (2, "commit"),
        Operation::Names => (3, "names"),
        Operation::Ready => (4, "ready"),
    }
}

fn of_outcome(outcome: Outcome) -> (usize, &'static str) {
    match outcome {
        Outcome::Found => (0, "found"),
        Outcome::Unchanged => (1, "unchanged"),
        Outcome::Absent => (2, "absent"),
        Outcome::Committed => (3, "committed"),
        Outcome::Succeeded => (4, "succeeded"),
        Outcome::Conflict => (5, "conflict"),
        Outcome::OutcomeUnknown => (6, "outcome_unknown"),
        Outcome::Failed => (7, "failed"),
        Outcome::Abandoned => (8, "abandoned"),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index> Index for ObservedIndex<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let span = self.span(Operation::IndexFile);
        self.inner.index_file(name, known).instrument(span).await
    }

    fn try_index_file(&self, _: &CanonicalName, _: Option<&ETag>) -> Option<Lookup<IndexFile>> {
        // Each call has its span.
        None
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.inner.load(name, known).instrument(self.span(Operation::Load)).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let span = self.span(Operation::Commit);
        self.inner.commit(expected, change, next).instrument(span).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.inner.names(after, limit).instrument(self.span(Operation::Names)).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.inner.ready().instrument(self.span(Operation::Ready)).await
    }
}

impl<I: fmt::Debug> fmt::Debug for ObservedIndex<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedIndex")
            .field("inner", &self.inner)
            .field("backend", &self.backend)
            .finish()
    }
}

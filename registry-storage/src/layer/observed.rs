//! [`ObservedCrateStore`]: every call is a span and is counted.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use async_trait::async_trait;
use futures_core::Stream;
use registry_core::{
    CrateStore, StoreError,
    store::{ByteRange, CrateBody, CrateFile, CrateKey, StoredCrate, StoredCrates},
    telemetry::BackendMetrics,
};
use tracing::{Instrument as _, Span, field::Empty};

use super::{MeteredCrateStore, Operation, Outcome};

/// Tells of each call to another store as [`registry_core::telemetry`] says: by a span, and to the
/// recorder of metrics that is installed. A call that gives a stream ends with the stream.
///
/// It belongs directly around a store, beneath the cache. Upkeep is done past it.
#[derive(Clone)]
pub struct ObservedCrateStore<S> {
    inner: MeteredCrateStore<S>,
    backend: &'static str,
}

impl<S> ObservedCrateStore<S> {
    /// Observes the calls to `inner`, of which `backend` is told as its name.
    pub fn new(inner: S, backend: &'static str) -> Self {
        let metrics = BackendMetrics::<11, 8>::new(backend);
        let inner = MeteredCrateStore::new(inner, move |measured| {
            let outcome = of_outcome(measured.outcome);
            // That of the call: it ends within.
            Span::current().record("outcome", outcome.1).record("bytes", measured.bytes);
            metrics.record(of_operation(measured.operation), outcome, measured.elapsed);
        });
        Self { inner, backend }
    }

    fn span(&self, operation: Operation) -> Span {
        tracing::debug_span!(
            target: "registry_storage",
            "backend",
            backend = self.backend,
            operation = of_operation(operation).1,
            outcome = Empty,
            bytes = Empty,
        )
    }
}

fn of_operation(operation: Operation) -> (usize, &'static str) {
    match operation {
        Operation::Put => (0, "put"),
        Operation::Get => (1, "get"),
        Operation::Head => (2, "head"),
        Operation::Location => (3, "location"),
        Operation::List => (4, "list"),
        Operation::Ready => (5, "ready"),
        Operation::SetAside => (6, "set_aside"),
        Operation::ListAside => (7, "list_aside"),
        Operation::OpenAside => (8, "open_aside"),
        Operation::PutBack => (9, "put_back"),
        Operation::Purge => (10, "purge"),
    }
}

fn of_outcome(outcome: Outcome) -> (usize, &'static str) {
    match outcome {
        Outcome::Found => (0, "found"),
        Outcome::Absent => (1, "absent"),
        Outcome::Succeeded => (2, "succeeded"),
        Outcome::Full => (3, "full"),
        Outcome::ReadOnly => (4, "read_only"),
        Outcome::Quarantined => (5, "quarantined"),
        Outcome::Failed => (6, "failed"),
        Outcome::Abandoned => (7, "abandoned"),
    }
}

/// A stream that is read, and dropped, in a span.
struct InSpan<S> {
    /// `None` once it is dropped.
    stream: Option<S>,
    span: Span,
}

impl<S: Stream + Unpin> Stream for InSpan<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Self { stream, span } = self.get_mut();
        let stream = stream.as_mut().expect("it is not dropped yet");
        span.in_scope(|| Pin::new(stream).poll_next(cx))
    }
}

impl<S> Drop for InSpan<S> {
    fn drop(&mut self) {
        self.span.in_scope(|| self.stream.take());
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateStore> CrateStore for ObservedCrateStore<S> {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.inner.put(key, file).instrument(self.span(Operation::Put)).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let span = self.span(Operation::Get);
        let file = self.inner.get(key, range).instrument(span.clone()).await?;
        Ok(file.map(|file| {
            let stream = Some(file.body);
            CrateFile { body: Box::pin(InSpan { stream, span }), ..file }
        }))
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.inner.head(key).instrument(self.span(Operation::Head)).await
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.inner.location(key).instrument(self.span(Operation::Location)).await
    }

    fn list(&self) -> StoredCrates<'_> {
        let (stream, span) = (Some(self.inner.list()), self.span(Operation::List));
        Box::pin(InSpan { stream, span })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().instrument(self.span(Operation::Ready)).await
    }
}

impl<S: fmt::Debug> fmt::Debug for ObservedCrateStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedCrateStore")
            .field("inner", &self.inner)
            .field("backend", &self.backend)
            .finish()
    }
}

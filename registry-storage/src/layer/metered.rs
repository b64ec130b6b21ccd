//! [`MeteredCrateStore`]: every call is counted, timed and weighed.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use registry_core::{
    CrateStore, StoreError,
    store::{
        AsideCrate, AsideCrates, AsideReason, ByteRange, CrateBody, CrateFile, CrateKey,
        CrateUpkeep, StoredCrate, StoredCrates,
    },
};

/// Tells a meter of each call to another store: which it was, how it ended, how long it took, and
/// how many bytes of crate files went through.
///
/// A call that gives a stream ends with the stream. Into which counters and histograms a
/// measurement goes is the meter's matter. It runs where the call ends, also where one is dropped,
/// so it must neither block nor panic.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use registry_core::memory::MemoryCrateStore;
/// use registry_storage::layer::{MeteredCrateStore, Operation};
///
/// static DOWNLOADED: AtomicU64 = AtomicU64::new(0);
/// let crates = MeteredCrateStore::new(MemoryCrateStore::new(), |measured| {
///     if measured.operation == Operation::Get {
///         DOWNLOADED.fetch_add(measured.bytes, Ordering::Relaxed);
///     }
/// });
/// ```
#[derive(Clone)]
pub struct MeteredCrateStore<S> {
    inner: S,
    meter: Arc<Meter>,
    now: fn() -> Instant,
}

type Meter = dyn Fn(&Measurement) + Send + Sync;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measurement {
    /// What was called.
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome,
    /// For how long the caller waited for the store. What a reader does between two pieces of a
    /// stream is not in it: a slow reader does not make a slow store.
    pub elapsed: Duration,
    /// Bytes that a reader was given of a file, or that a put which succeeded has stored; otherwise
    /// 0.
    pub bytes: u64,
}

/// A method of [`CrateStore`] or [`CrateUpkeep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`CrateStore::put`].
    Put,
    /// [`CrateStore::get`], with the body of the file.
    Get,
    /// [`CrateStore::head`].
    Head,
    /// [`CrateStore::location`].
    Location,
    /// [`CrateStore::list`].
    List,
    /// [`CrateStore::ready`].
    Ready,
    /// [`CrateUpkeep::set_aside`].
    SetAside,
    /// [`CrateUpkeep::list_aside`].
    ListAside,
    /// [`CrateUpkeep::open_aside`], with the body of the file.
    OpenAside,
    /// [`CrateUpkeep::put_back`].
    PutBack,
    /// [`CrateUpkeep::purge`].
    Purge,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A read found something, and was given all of it.
    Found,
    /// A read found that there is nothing.
    Absent,
    /// Anything else went well.
    Succeeded,
    /// [`StoreError::Full`].
    Full,
    /// [`StoreError::ReadOnly`].
    ReadOnly,
    /// [`StoreError::Quarantined`].
    Quarantined,
    /// Any other error, also one in the middle of a stream.
    Failed,
    /// The caller did not wait for the end.
    Abandoned,
}

impl Outcome {
    fn of_error(error: &StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Self::Full,
            StoreError::ReadOnly { .. } => Self::ReadOnly,
            StoreError::Quarantined { .. } => Self::Quarantined,
            _ => Self::Failed,
        }
    }

    fn of_found<T>(found: &Option<T>) -> Self {
        if found.is_some() { Self::Found } else { Self::Absent }
    }
}

impl<S> MeteredCrateStore<S> {
    /// Measures the calls to `inner`.
    pub fn new(inner: S, meter: impl Fn(&Measurement) + Send + Sync + 'static) -> Self {
        Self { inner, meter: Arc::new(meter), now: Instant::now }
    }

    fn begin(&self, operation: Operation) -> Call {
        Call {
            meter: self.meter.clone(),
            now: self.now,
            measured: Measurement {
                operation,
                outcome: Outcome::Abandoned,
                elapsed: Duration::ZERO,
                bytes: 0,
            },
            waiting_since: None,
        }
    }

    async fn measure<T>(
        &self,
        operation: Operation,
        bytes: u64,
        call: impl Future<Output = Result<T, StoreError>> + Send,
        outcome: impl FnOnce(&T) -> Outcome + Send,
    ) -> Result<T, StoreError> {
        let mut measured = self.begin(operation);
        measured.wait();
        let result = call.await;
        match &result {
            Ok(value) => measured.end(outcome(value), bytes),
            Err(error) => measured.end(Outcome::of_error(error), 0),
        }
        result
    }

    /// A call that opens a file, measured to the end of the file.
    async fn measure_file(
        &self,
        operation: Operation,
        opening: impl Future<Output = Result<Option<CrateFile>, StoreError>> + Send,
    ) -> Result<Option<CrateFile>, StoreError> {
        let mut call = self.begin(operation);
        call.wait();
        let found = opening.await;
        call.pause();
        match found {
            Ok(Some(file)) => {
                let CrateFile { size, range, modified, body } = file;
                let body = Box::pin(Measured {
                    stream: body,
                    call: Some(call),
                    weigh: |chunk: &Bytes| chunk.len() as u64,
                    all: Some(range.end - range.start).filter(|all| *all > 0),
                    outcome: Outcome::Found,
                });
                Ok(Some(CrateFile { size, range, modified, body }))
            }
            Ok(None) => {
                call.end(Outcome::Absent, 0);
                Ok(None)
            }
            Err(error) => {
                call.end(Outcome::of_error(&error), 0);
                Err(error)
            }
        }
    }
}

/// Tells the meter when it is dropped: at the end of the call, or where it is abandoned.
struct Call {
    meter: Arc<Meter>,
    now: fn() -> Instant,
    measured: Measurement,
    waiting_since: Option<Instant>,
}

impl Call {
    /// The caller waits for the store from now on, unless it does already.
    fn wait(&mut self) {
        self.waiting_since.get_or_insert_with(self.now);
    }

    /// The caller has what it waited for.
    fn pause(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.measured.elapsed += (self.now)().saturating_duration_since(since);
        }
    }

    fn end(&mut self, outcome: Outcome, bytes: u64) {
        self.measured.outcome = outcome;
        self.measured.bytes = bytes;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.pause();
        (self.meter)(&self.measured);
    }
}

/// A stream that is measured to its end.
struct Measured<S, T> {
    stream: S,
    /// `None` once the end was told.
    call: Option<Call>,
    /// How many bytes of a file are in an item.
    weigh: fn(&T) -> u64,
    /// How many bytes are all of it: not every reader asks whether more come.
    all: Option<u64>,
    /// How it ends, if well.
    outcome: Outcome,
}

impl<S, T> Stream for Measured<S, T>
where
    S: Stream<Item = Result<T, StoreError>> + Unpin,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(call) = &mut this.call else { return Pin::new(&mut this.stream).poll_next(cx) };
        call.wait();
        let item = std::task::ready!(Pin::new(&mut this.stream).poll_next(cx));
        call.pause();
        let outcome = match &item {
            None => Some(this.outcome),
            Some(Ok(item)) => {
                call.measured.bytes += (this.weigh)(item);
                (this.all == Some(call.measured.bytes)).then_some(this.outcome)
            }
            Some(Err(error)) => Some(Outcome::of_error(error)),
        };
        if let Some(outcome) = outcome {
            call.end(outcome, call.measured.bytes);
            this.call = None;
        }
        Poll::Ready(item)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateStore> CrateStore for MeteredCrateStore<S> {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        let bytes = file.len();
        let put = self.inner.put(key, file);
        self.measure(Operation::Put, bytes, put, |()| Outcome::Succeeded).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        self.measure_file(Operation::Get, self.inner.get(key, range)).await
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.measure(Operation::Head, 0, self.inner.head(key), Outcome::of_found).await
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.measure(Operation::Location, 0, self.inner.location(key), Outcome::of_found).await
    }

    fn list(&self) -> StoredCrates<'_> {
        Box::pin(Measured {
            stream: self.inner.list(),
            call: Some(self.begin(Operation::List)),
            weigh: |_| 0,
            all: None,
            outcome: Outcome::Succeeded,
        })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.measure(Operation::Ready, 0, self.inner.ready(), |()| Outcome::Succeeded).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateUpkeep> CrateUpkeep for MeteredCrateStore<S> {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        let call = self.inner.set_aside(key, reason);
        self.measure(Operation::SetAside, 0, call, |()| Outcome::Succeeded).await
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        Box::pin(Measured {
            stream: self.inner.list_aside(),
            call: Some(self.begin(Operation::ListAside)),
            weigh: |_| 0,
            all: None,
            outcome: Outcome::Succeeded,
        })
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        self.measure_file(Operation::OpenAside, self.inner.open_aside(entry)).await
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        let call = self.inner.put_back(entry);
        self.measure(Operation::PutBack, 0, call, |()| Outcome::Succeeded).await
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        let call = self.inner.purge(entry);
        self.measure(Operation::Purge, 0, call, |()| Outcome::Succeeded).await
    }
}

impl<S: fmt::Debug> fmt::Debug for MeteredCrateStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredCrateStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

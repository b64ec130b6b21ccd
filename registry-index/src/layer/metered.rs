//! [`MeteredIndex`]: every call is counted and timed.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, Index, IndexError,
    index::{ETag, IndexFile, Lookup, Revision, Stored},
    record::{Change, CrateRecord},
};

/// Tells a meter of each call to another index: which it was, how it ended, and how long it took.
///
/// Into which counters and histograms that goes is the meter's matter. It runs where the call ends,
/// also where one is dropped, so it must neither block nor panic.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use registry_core::memory::MemoryIndex;
/// use registry_index::layer::{MeteredIndex, Outcome};
///
/// static FAILED: AtomicU64 = AtomicU64::new(0);
/// let index = MeteredIndex::new(MemoryIndex::new(), |measured| {
///     if measured.outcome == Outcome::Failed {
///         FAILED.fetch_add(1, Ordering::Relaxed);
///     }
/// });
/// ```
#[derive(Clone)]
pub struct MeteredIndex<I> {
    inner: I,
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
    /// From the call to its end.
    pub elapsed: Duration,
}

/// A method of [`Index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Index::index_file`].
    IndexFile,
    /// [`Index::load`].
    Load,
    /// [`Index::commit`].
    Commit,
    /// [`Index::names`].
    Names,
    /// [`Index::ready`].
    Ready,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A read found something.
    Found,
    /// A read found what the asker has.
    Unchanged,
    /// A read found that there is nothing.
    Absent,
    /// A commit took place.
    Committed,
    /// A listing or a look at the state went well.
    Succeeded,
    /// [`IndexError::Conflict`]: somebody else was faster.
    Conflict,
    /// [`IndexError::OutcomeUnknown`].
    OutcomeUnknown,
    /// Any other error.
    Failed,
    /// The caller did not wait for the end.
    Abandoned,
}

impl<I> MeteredIndex<I> {
    /// Measures the calls to `inner`.
    pub fn new(inner: I, meter: impl Fn(&Measurement) + Send + Sync + 'static) -> Self {
        Self { inner, meter: Arc::new(meter), now: Instant::now }
    }

    async fn measure<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, IndexError>> + Send,
        outcome: impl FnOnce(&T) -> Outcome + Send,
    ) -> Result<T, IndexError> {
        let began = (self.now)();
        let mut running =
            Running { meter: &*self.meter, now: self.now, operation, began, outcome: None };
        let result = call.await;
        running.outcome = Some(match &result {
            Ok(value) => outcome(value),
            Err(IndexError::Conflict { .. }) => Outcome::Conflict,
            Err(IndexError::OutcomeUnknown { .. }) => Outcome::OutcomeUnknown,
            Err(_) => Outcome::Failed,
        });
        result
    }
}

/// Tells the meter when it is dropped: at the end of the call, or where it is abandoned.
struct Running<'a> {
    meter: &'a Meter,
    now: fn() -> Instant,
    operation: Operation,
    began: Instant,
    outcome: Option<Outcome>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        (self.meter)(&Measurement {
            operation: self.operation,
            outcome: self.outcome.unwrap_or(Outcome::Abandoned),
            elapsed: (self.now)().saturating_duration_since(self.began),
        });
    }
}

fn of_lookup<T>(found: &Lookup<T>) -> Outcome {
    match found {
        Lookup::Absent => Outcome::Absent,
        Lookup::Unchanged => Outcome::Unchanged,
        Lookup::Found(_) => Outcome::Found,
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index> Index for MeteredIndex<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let call = self.inner.index_file(name, known);
        self.measure(Operation::IndexFile, call, of_lookup).await
    }

    fn try_index_file(&self, _: &CanonicalName, _: Option<&ETag>) -> Option<Lookup<IndexFile>> {
        // Each call is measured.
        None
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.measure(Operation::Load, self.inner.load(name, known), of_lookup).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let call = self.inner.commit(expected, change, next);
        self.measure(Operation::Commit, call, |_| Outcome::Committed).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let call = self.inner.names(after, limit);
        self.measure(Operation::Names, call, |_| Outcome::Succeeded).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.measure(Operation::Ready, self.inner.ready(), |()| Outcome::Succeeded).await
    }
}

impl<I: fmt::Debug> fmt::Debug for MeteredIndex<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredIndex").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Mutex};

    use registry_core::{
        conformance::{
            faulty::{Fault, Faults, FaultyIndex},
            record_fixture::{canonical, first, publish},
            run,
        },
        memory::MemoryIndex,
    };

    use super::*;

    thread_local! {
        static LOOKS: Cell<u32> = const { Cell::new(0) };
    }

    /// A clock that goes on by a second at the first look, two at the second, and so on: it is
    /// looked at twice a call, so the calls of a test take 2, 4, 6 … seconds.
    fn clock() -> Instant {
        use std::sync::OnceLock;
        static START: OnceLock<Instant> = OnceLock::new();
        let looks = LOOKS.get() + 1;
        LOOKS.set(looks);
        let seconds = looks * (looks + 1) / 2;
        *START.get_or_init(Instant::now) + Duration::from_secs(seconds.into())
    }

    #[test]
    fn every_call_is_measured_once() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let faults = Faults::none();
        let index = MeteredIndex {
            inner: FaultyIndex::new(MemoryIndex::new(), faults.clone()),
            meter: Arc::new({
                let seen = seen.clone();
                move |measured: &Measurement| seen.lock().unwrap().push(*measured)
            }),
            now: clock,
        };
        run(async {
            let (record, change) = first("foo", "1.0.0");
            let (next, second) = publish(&record, "1.1.0");
            let foo = canonical("foo");
            let limit = NonZeroUsize::MIN;

            index.ready().await.unwrap();
            index.index_file(&foo, None).await.unwrap();
            index.load(&foo, None).await.unwrap();
            let revision = index.commit(None, &change, &record).await.unwrap();
            index.commit(None, &change, &record).await.unwrap_err();
            index.index_file(&foo, None).await.unwrap();
            index.index_file(&foo, Some(&record.index_file().etag)).await.unwrap();
            index.load(&foo, None).await.unwrap();
            index.load(&foo, Some(&revision)).await.unwrap();
            index.names(None, limit).await.unwrap();
            for fault in Fault::ALL {
                faults.arm(0, fault);
                let commit = index.commit(Some(&revision), &second, &next);
                drop(faults.run(commit).await);
            }
            faults.arm(0, Fault::Before);
            index.names(None, limit).await.unwrap_err();
            // Never polled, so never called.
            drop(index.ready());
        });
        let expected = [
            (Operation::Ready, Outcome::Succeeded),
            (Operation::IndexFile, Outcome::Absent),
            (Operation::Load, Outcome::Absent),
            (Operation::Commit, Outcome::Committed),
            (Operation::Commit, Outcome::Conflict),
            (Operation::IndexFile, Outcome::Found),
            (Operation::IndexFile, Outcome::Unchanged),
            (Operation::Load, Outcome::Found),
            (Operation::Load, Outcome::Unchanged),
            (Operation::Names, Outcome::Succeeded),
            (Operation::Commit, Outcome::Failed),
            (Operation::Commit, Outcome::OutcomeUnknown),
            (Operation::Commit, Outcome::Abandoned),
            (Operation::Commit, Outcome::Abandoned),
            (Operation::Names, Outcome::Failed),
        ];
        let expected: Vec<_> = (1..)
            .zip(expected)
            .map(|(call, (operation, outcome))| {
                let elapsed = Duration::from_secs(2 * call);
                Measurement { operation, outcome, elapsed }
            })
            .collect();
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}

//! An index in memory that waits where it is told to, fails where it is told to, and notes what it
//! was asked; and a clock that goes when it is told to.

use std::{
    cell::Cell,
    collections::BTreeMap,
    future::poll_fn,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use registry_core::{
    BoxError, CanonicalName, Index, IndexError,
    index::{ETag, IndexFile, Lookup, Revision, Stored},
    memory::MemoryIndex,
    record::{Change, CrateRecord},
};

thread_local! {
    static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

pub(super) fn clock() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now) + TIME.get()
}

pub(super) fn advance(by: Duration) {
    TIME.set(TIME.get() + by);
}

/// Polls once, for those who know when to poll again.
pub(super) fn once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What a read has gone back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    Absent,
    Unchanged,
    Found,
    Failed,
}

impl Gone {
    fn of<T>(result: &Result<Lookup<T>, IndexError>) -> Self {
        match result {
            Ok(Lookup::Absent) => Self::Absent,
            Ok(Lookup::Unchanged) => Self::Unchanged,
            Ok(Lookup::Found(_)) => Self::Found,
            Err(_) => Self::Failed,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    File(Gone),
    Load(Gone),
    /// Whether it succeeded.
    Commit(bool),
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    FailBefore,
    FailAfter,
}

/// Clones are handles on one stage.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    memory: MemoryIndex,
    holds: bool,
    /// Whether calls are noted, and may fail.
    noted: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    calls: Vec<Call>,
    next: Option<Step>,
    writes: u64,
    generation_hidden: bool,
    /// How often a call has failed as it was told to.
    pub(super) failures: usize,
    /// Reads under way.
    asking: BTreeMap<(&'static str, CanonicalName), usize>,
    /// Most reads of one kind and name that were under way at a time.
    pub(super) most_asking: usize,
}

impl Stage {
    /// On which no call waits.
    pub(super) fn free() -> Self {
        Self { memory: MemoryIndex::new(), holds: false, noted: true, state: Arc::default() }
    }

    /// On which each call waits for a poll before its effect and for another after it.
    pub(super) fn held() -> Self {
        Self { holds: true, ..Self::free() }
    }

    /// As another process has it: waits for nothing, does not fail, and is not noted.
    pub(super) fn elsewhere(&self) -> Self {
        Self { holds: false, noted: false, ..self.clone() }
    }

    /// Lets the next call fail.
    pub(super) fn next(&self, step: Step) {
        self.state().next = Some(step);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub(super) fn generation(&self) -> Option<u64> {
        let state = self.state();
        (!state.generation_hidden).then_some(state.writes)
    }

    pub(super) fn hide_generation(&self) {
        self.state().generation_hidden = true;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn hold(&self) {
        let mut held = self.holds;
        poll_fn(|cx| {
            if std::mem::take(&mut held) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn perform<T>(
        &self,
        call: impl Future<Output = Result<T, IndexError>>,
        failed_after: impl FnOnce(BoxError) -> IndexError,
    ) -> Result<T, IndexError> {
        if !self.noted {
            return call.await;
        }
        let step = self.state().next.take();
        self.hold().await;
        let result = match step {
            Some(Step::FailBefore) => Err(failed("told to fail".into())),
            Some(Step::FailAfter) => {
                let _ = call.await;
                Err(failed_after("told to fail".into()))
            }
            None => call.await,
        };
        self.state().failures += usize::from(step.is_some());
        self.hold().await;
        result
    }

    fn note(&self, call: Call) {
        if self.noted {
            self.state().calls.push(call);
        }
    }

    fn begin<'a>(&'a self, kind: &'static str, name: &CanonicalName) -> Asking<'a> {
        let asking = Asking { stage: self, key: (kind, name.clone()) };
        if self.noted {
            let mut state = self.state();
            let under_way = state.asking.entry(asking.key.clone()).or_default();
            *under_way += 1;
            let under_way = *under_way;
            state.most_asking = state.most_asking.max(under_way);
        }
        asking
    }
}

/// A read under way, until it is dropped.
struct Asking<'a> {
    stage: &'a Stage,
    key: (&'static str, CanonicalName),
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(under_way) = self.stage.state().asking.get_mut(&self.key) {
            *under_way -= usize::from(self.stage.noted);
        }
    }
}

fn failed(source: BoxError) -> IndexError {
    IndexError::Backend { backend: "stage", source }
}

#[async_trait]
impl Index for Stage {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let _asking = self.begin("file", name);
        let result = self.perform(self.memory.index_file(name, known), failed).await;
        self.note(Call::File(Gone::of(&result)));
        result
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        let _asking = self.begin("load", name);
        let result = self.perform(self.memory.load(name, known), failed).await;
        self.note(Call::Load(Gone::of(&result)));
        result
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        let unknown = |source| IndexError::OutcomeUnknown { name, source };
        let write = async {
            let result = self.memory.commit(expected, change, next).await;
            self.state().writes += u64::from(result.is_ok());
            result
        };
        let result = self.perform(write, unknown).await;
        self.note(Call::Commit(result.is_ok()));
        result
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.perform(self.memory.names(after, limit), failed).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.perform(self.memory.ready(), failed).await
    }
}

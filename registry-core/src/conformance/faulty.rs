//! Backends that fail at a chosen call, to test what stands on top of them.
//!
//! A crash test runs one scenario again and again: the fault strikes at the first call to a
//! backend, then at the second, and so on until the scenario is over before it does.
//!
//! ```
//! use registry_core::{
//!     Index, IndexError,
//!     conformance::{faulty::*, record_fixture as fixture, run},
//!     memory::MemoryIndex,
//! };
//!
//! /// What is tested: makes sure that a crate is there.
//! async fn ensure(index: &dyn Index) -> Result<(), IndexError> {
//!     let (record, change) = fixture::first("foo", "1.0.0");
//!     match index.load(&record.name().canonical(), None).await?.found() {
//!         Some(_) => Ok(()),
//!         None => index.commit(None, &change, &record).await.map(|_| ()),
//!     }
//! }
//!
//! run(async {
//!     for (call, fault) in (0..).flat_map(|call| Fault::ALL.map(|fault| (call, fault))) {
//!         let faults = Faults::none();
//!         let index = FaultyIndex::new(MemoryIndex::new(), faults.clone());
//!         faults.arm(call, fault);
//!         let outcome = faults.run(ensure(&index)).await;
//!         if !faults.struck() {
//!             assert_eq!(call, 2);
//!             break;
//!         }
//!         // Whatever happened, it is mended by trying again.
//!         assert!(!matches!(outcome, Some(Ok(()))));
//!         faults.lift();
//!         ensure(&index).await.unwrap();
//!     }
//! });
//! ```

use std::{
    future::{pending, poll_fn},
    num::NonZeroUsize,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use async_trait::async_trait;
use futures_util::{TryStreamExt as _, stream};

use crate::{
    BoxError,
    index::{ETag, Index, IndexError, IndexFile, Lookup, Revision, Stored},
    name::CanonicalName,
    record::{Change, CrateRecord},
    store::{
        AsideCrate, AsideCrates, AsideReason, ByteRange, CrateBody, CrateFile, CrateKey,
        CrateStore, CrateUpkeep, StoreError, StoredCrate, StoredCrates,
    },
};

const BACKEND: &str = "faulty";

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It has no effect and gives an error that says so.
    Before,
    /// It has its effect and gives an error: for a commit [`IndexError::OutcomeUnknown`].
    After,
    /// It has no effect and never ends: the process dies here.
    Hang,
    /// It has its effect and never ends: the process dies before the answer arrives.
    HangAfter,
}

impl Fault {
    /// Every way to fail.
    pub const ALL: [Self; 4] = [Self::Before, Self::After, Self::Hang, Self::HangAfter];
}

/// Decides which call fails. Clones are handles on one decision: give one to each backend of a
/// scenario, and their calls are counted together.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    calls: usize,
    fault: Option<(usize, Fault)>,
    struck: bool,
    hangs: bool,
    watcher: Option<Waker>,
}

impl Faults {
    /// Counts calls and lets all of them through.
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes the call with this number fail, once: 0 is the next one.
    pub fn arm(&self, call: usize, fault: Fault) {
        *self.plan() = Plan { fault: Some((call, fault)), ..Plan::default() };
    }

    /// Lets all calls through from now on, and counts them from 0.
    pub fn lift(&self) {
        *self.plan() = Plan::default();
    }

    /// How many calls there were since the last [`Faults::arm`] or [`Faults::lift`].
    pub fn calls(&self) -> usize {
        self.plan().calls
    }

    /// Whether the call that was to fail has come.
    pub fn struck(&self) -> bool {
        self.plan().struck
    }

    /// Runs a scenario to its end; or up to the call that hangs, and drops it there: then `None`.
    pub async fn run<T>(&self, scenario: impl Future<Output = T>) -> Option<T> {
        let mut scenario = pin!(scenario);
        poll_fn(|cx| {
            if let Poll::Ready(end) = scenario.as_mut().poll(cx) {
                return Poll::Ready(Some(end));
            }
            let mut plan = self.plan();
            if plan.hangs {
                return Poll::Ready(None);
            }
            // The call that hangs may be in another task.
            plan.watcher = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Lets `call` through, or fails in its place; `error` makes the error for a fault that struck
    /// before (`false`) or after (`true`) the effect.
    async fn around<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        error: impl FnOnce(bool, BoxError) -> E,
    ) -> Result<T, E> {
        let Some((number, fault)) = self.strike() else { return call.await };
        let has_effect = matches!(fault, Fault::After | Fault::HangAfter);
        if has_effect {
            // Also if it was refused: nobody hears of that either.
            let _ = call.await;
        }
        if matches!(fault, Fault::Hang | Fault::HangAfter) {
            let watcher = {
                let mut plan = self.plan();
                plan.hangs = true;
                plan.watcher.take()
            };
            if let Some(watcher) = watcher {
                watcher.wake();
            }
            return pending().await;
        }
        Err(error(has_effect, format!("fault at call {number}").into()))
    }

    fn strike(&self) -> Option<(usize, Fault)> {
        let mut plan = self.plan();
        let number = plan.calls;
        plan.calls += 1;
        let fault = plan.fault.filter(|(call, _)| *call == number);
        plan.struck |= fault.is_some();
        fault
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An index that fails when its [`Faults`] say so.
#[derive(Clone, Debug)]
pub struct FaultyIndex<I> {
    inner: I,
    faults: Faults,
}

impl<I> FaultyIndex<I> {
    /// Wraps an index.
    pub fn new(inner: I, faults: Faults) -> Self {
        Self { inner, faults }
    }

    async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, IndexError>>,
    ) -> Result<T, IndexError> {
        let error = |_, source| IndexError::Backend { backend: BACKEND, source };
        self.faults.around(call, error).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index> Index for FaultyIndex<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.read(self.inner.index_file(name, known)).await
    }

    fn try_index_file(&self, _: &CanonicalName, _: Option<&ETag>) -> Option<Lookup<IndexFile>> {
        // Each answer may be a fault.
        None
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.read(self.inner.load(name, known)).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let error = |after, source| match after {
            true => IndexError::OutcomeUnknown { name: next.name().canonical(), source },
            false => IndexError::Backend { backend: BACKEND, source },
        };
        self.faults.around(self.inner.commit(expected, change, next), error).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.read(self.inner.names(after, limit)).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.read(self.inner.ready()).await
    }
}

/// A crate store that fails when its [`Faults`] say so.
#[derive(Clone, Debug)]
pub struct FaultyCrateStore<S> {
    inner: S,
    faults: Faults,
}

impl<S> FaultyCrateStore<S> {
    /// Wraps a crate store.
    pub fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let error = |_, source| StoreError::Backend { backend: BACKEND, source };
        self.faults.around(call, error).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateStore> CrateStore for FaultyCrateStore<S> {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.call(self.inner.put(key, file)).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        self.call(self.inner.get(key, range)).await
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.call(self.inner.head(key)).await
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.call(self.inner.location(key)).await
    }

    /// One call, which fails before the first file.
    fn list(&self) -> StoredCrates<'_> {
        let listing = self.call(async { Ok(self.inner.list()) });
        Box::pin(stream::once(listing).try_flatten())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.call(self.inner.ready()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateUpkeep> CrateUpkeep for FaultyCrateStore<S> {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        self.call(self.inner.set_aside(key, reason)).await
    }

    /// One call, which fails before the first entry.
    fn list_aside(&self) -> AsideCrates<'_> {
        let listing = self.call(async { Ok(self.inner.list_aside()) });
        Box::pin(stream::once(listing).try_flatten())
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        self.call(self.inner.open_aside(entry)).await
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.call(self.inner.put_back(entry)).await
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.call(self.inner.purge(entry)).await
    }
}

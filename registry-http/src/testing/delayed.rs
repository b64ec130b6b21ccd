use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, CrateRecord, ETag, Index, IndexError, IndexFile,
    index::{Lookup, Revision, Stored},
    record::Change,
};

/// Shows what was committed only after some have asked for it, as behind a slow cache.
#[derive(Clone, Debug)]
pub(super) struct DelayedIndex<I> {
    inner: I,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    polls: usize,
    old: BTreeMap<CanonicalName, Old>,
}

/// How an index file was before a commit.
#[derive(Debug)]
struct Old {
    file: Option<IndexFile>,
    polls: usize,
}

impl<I> DelayedIndex<I> {
    pub(super) fn new(inner: I) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// From now on, the first `polls` requests for an index file after a commit get the old one.
    /// With none, what is not shown yet is.
    pub(super) fn delay(&self, polls: usize) {
        let mut state = self.state();
        state.polls = polls;
        if polls == 0 {
            state.old.clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index> Index for DelayedIndex<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        {
            let mut state = self.state();
            if let Some(old) = state.old.get_mut(name) {
                if let Some(polls) = old.polls.checked_sub(1) {
                    old.polls = polls;
                    return Ok(Lookup::of(old.file.clone(), known));
                }
                state.old.remove(name);
            }
        }
        self.inner.index_file(name, known).await
    }

    fn try_index_file(&self, _: &CanonicalName, _: Option<&ETag>) -> Option<Lookup<IndexFile>> {
        // Each question counts.
        None
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.inner.load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        let file = match self.inner.index_file(&name, None).await? {
            Lookup::Found(file) => Some(file),
            Lookup::Absent | Lookup::Unchanged => None,
        };
        let revision = self.inner.commit(expected, change, next).await?;
        let mut state = self.state();
        let polls = state.polls;
        if polls > 0 {
            // What is not shown yet stays hidden behind what is shown.
            let old = state.old.entry(name).or_insert(Old { file, polls });
            old.polls = polls;
        }
        Ok(revision)
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.inner.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.inner.ready().await
    }
}

//! An index with damage.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use registry_core::{
    CanonicalName, CrateRecord, ETag, Index, IndexError, IndexFile,
    index::{Lookup, Revision, Stored},
    memory::MemoryIndex,
    record::Change,
};

/// Cannot read one of its crates, or nothing at all.
#[derive(Debug)]
pub(crate) struct DamagedIndex {
    inner: MemoryIndex,
    damaged: Option<CanonicalName>,
}

impl DamagedIndex {
    pub(crate) fn new(inner: MemoryIndex, damaged: CanonicalName) -> Self {
        Self { inner, damaged: Some(damaged) }
    }

    pub(crate) fn gone() -> Self {
        Self { inner: MemoryIndex::new(), damaged: None }
    }

    /// Fails for the damaged crate; without a name, only if nothing can be read.
    fn check(&self, name: Option<&CanonicalName>) -> Result<(), IndexError> {
        let fails = self.damaged.is_none() || (name.is_some() && name == self.damaged.as_ref());
        let error = || IndexError::Backend { backend: "damaged", source: "bad block".into() };
        if fails { Err(error()) } else { Ok(()) }
    }
}

#[async_trait]
impl Index for DamagedIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.check(Some(name))?;
        self.inner.index_file(name, known).await
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.check(Some(name))?;
        self.inner.load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.check(Some(&next.name().canonical()))?;
        self.inner.commit(expected, change, next).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.check(None)?;
        self.inner.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.check(None)
    }
}

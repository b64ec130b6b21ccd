//! An index with damage.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use registry_core::{
    CanonicalName, CrateRecord, ETag, Index, IndexError, IndexFile,
    index::{Lookup, Revision, Stored},
    memory::MemoryIndex,
    record::Change,
};

/// What is the matter with a crate that is listed.
#[derive(Debug)]
pub(crate) enum Damage {
    Unreadable,
    /// There is nothing under its name.
    Lost,
    /// Under its name there is what is under this one.
    Another(CanonicalName),
}

/// Has damage to one of its crates, or cannot read anything at all.
#[derive(Debug)]
pub(crate) struct DamagedIndex {
    inner: MemoryIndex,
    damaged: Option<(CanonicalName, Damage)>,
}

impl DamagedIndex {
    pub(crate) fn new(inner: MemoryIndex, damaged: CanonicalName, damage: Damage) -> Self {
        Self { inner, damaged: Some((damaged, damage)) }
    }

    pub(crate) fn gone() -> Self {
        Self { inner: MemoryIndex::new(), damaged: None }
    }

    /// The name under which to look for this crate.
    fn place_of(&self, name: &CanonicalName) -> Result<Option<CanonicalName>, IndexError> {
        match &self.damaged {
            Some((damaged, damage)) if damaged == name => match damage {
                Damage::Unreadable => Err(bad_block()),
                Damage::Lost => Ok(None),
                Damage::Another(other) => Ok(Some(other.clone())),
            },
            Some(_) => Ok(Some(name.clone())),
            None => Err(bad_block()),
        }
    }

    /// Fails if nothing can be read.
    fn check(&self) -> Result<(), IndexError> {
        self.damaged.as_ref().map(|_| ()).ok_or_else(bad_block)
    }
}

fn bad_block() -> IndexError {
    IndexError::Backend { backend: "damaged", source: "bad block".into() }
}

#[async_trait]
impl Index for DamagedIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        match self.place_of(name)? {
            Some(place) => self.inner.index_file(&place, known).await,
            None => Ok(Lookup::Absent),
        }
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        match self.place_of(name)? {
            Some(place) => self.inner.load(&place, known).await,
            None => Ok(Lookup::Absent),
        }
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.place_of(&next.name().canonical())?;
        self.inner.commit(expected, change, next).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.check()?;
        self.inner.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.check()
    }
}

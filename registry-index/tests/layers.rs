//! The decorators keep every promise of the trait, around an index in memory.

use registry_core::memory::{MemoryCrateStore, MemoryIndex};
use registry_index::layer::MeteredIndex;

fn metered(inner: MemoryIndex) -> MeteredIndex<MemoryIndex> {
    MeteredIndex::new(inner, |_| {})
}

registry_core::index_conformance!(metered_index, durable: async || {
    let inner = MemoryIndex::new();
    async move || metered(inner.clone())
});
#[cfg(feature = "telemetry")]
registry_core::index_conformance!(observed_index, durable: async || {
    let inner = MemoryIndex::new();
    async move || registry_index::layer::ObservedIndex::new(inner.clone(), "memory")
});
registry_core::registry_conformance!(metered_registry, durable: async || {
    let (inner, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
    async move || (metered(inner.clone()), crates.clone())
});

/// Each handle of a `durable` bench is a cache of its own, as in a process of its own.
#[cfg(feature = "cache")]
mod cached {
    use std::{
        num::NonZeroUsize,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use async_trait::async_trait;
    use registry_core::{
        CanonicalName, Index, IndexError,
        index::{ETag, IndexFile, Lookup, Revision, Stored},
        memory::{MemoryCrateStore, MemoryIndex},
        record::{Change, CrateRecord},
    };
    use registry_index::layer::{CachedIndex, MeteredIndex};

    const BYTES: u64 = 16 << 20;
    /// Longer than the tests take, so that only what must be seen at once is.
    const LONG: Duration = Duration::from_secs(3600);

    registry_core::index_conformance!(index_without_staleness, durable: async || {
        let inner = MemoryIndex::new();
        async move || CachedIndex::new(inner.clone(), BYTES)
    });
    registry_core::registry_conformance!(registry_without_staleness, durable: async || {
        let (inner, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
        async move || (CachedIndex::new(inner.clone(), BYTES), crates.clone())
    });

    registry_core::index_conformance!(index_with_generation, durable: async || {
        let inner = Counting::default();
        async move || inner.cached()
    });
    registry_core::registry_conformance!(registry_with_generation, durable: async || {
        let (inner, crates) = (Counting::default(), MemoryCrateStore::new());
        async move || (inner.cached(), crates.clone())
    });

    registry_core::index_conformance!(index_with_staleness, volatile: async || {
        CachedIndex::new(MemoryIndex::new(), BYTES).with_staleness(LONG)
    });
    registry_core::registry_conformance!(registry_with_staleness, volatile: async || {
        let index = CachedIndex::new(MemoryIndex::new(), BYTES).with_staleness(LONG);
        (index, MemoryCrateStore::new())
    });

    // One that has no room for anything, and one that throws out what it has just kept.
    registry_core::index_conformance!(index_without_room, durable: async || {
        let inner = MemoryIndex::new();
        async move || CachedIndex::new(inner.clone(), 0)
    });
    registry_core::index_conformance!(index_with_little_room, volatile: async || {
        CachedIndex::new(MemoryIndex::new(), 4096).with_staleness(LONG)
    });

    registry_core::index_conformance!(index_between_meters, durable: async || {
        let inner = MemoryIndex::new();
        async move || {
            let metered = MeteredIndex::new(inner.clone(), |_| {});
            MeteredIndex::new(CachedIndex::new(metered, BYTES), |_| {})
        }
    });

    /// An index in memory that counts what is written to it.
    #[derive(Clone, Debug, Default)]
    struct Counting {
        inner: MemoryIndex,
        commits: Arc<AtomicU64>,
    }

    impl Counting {
        fn cached(&self) -> CachedIndex<Self> {
            let commits = self.commits.clone();
            CachedIndex::new(self.clone(), BYTES)
                .with_generation(move || Some(commits.load(Ordering::SeqCst)))
        }
    }

    #[async_trait]
    impl Index for Counting {
        async fn index_file(
            &self,
            name: &CanonicalName,
            known: Option<&ETag>,
        ) -> Result<Lookup<IndexFile>, IndexError> {
            self.inner.index_file(name, known).await
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
            // A little after the moment at which it can be read is soon enough for who waits for
            // this call, and nobody else may rely on it.
            let result = self.inner.commit(expected, change, next).await;
            self.commits.fetch_add(1, Ordering::SeqCst);
            result
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
}

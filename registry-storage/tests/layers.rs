//! The decorators keep every promise of the traits, around stores in memory and in a folder.

use registry_core::memory::MemoryCrateStore;
use registry_storage::layer::{MeteredCrateStore, MirroredCrateStore, VerifiedCrateStore};

registry_core::crate_store_conformance!(metered, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || MeteredCrateStore::new(inner.clone(), |_| {})
});

registry_core::crate_upkeep_conformance!(metered_upkeep, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || MeteredCrateStore::new(inner.clone(), |_| {})
});

#[cfg(feature = "telemetry")]
registry_core::crate_store_conformance!(observed, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || registry_storage::layer::ObservedCrateStore::new(inner.clone(), "memory")
});

registry_core::crate_store_conformance!(mirrored_in_memory, durable: async || {
    let (first, second) = (MemoryCrateStore::new(), MemoryCrateStore::new());
    async move || MirroredCrateStore::new(first.clone(), second.clone())
});

#[cfg(feature = "fs")]
registry_core::crate_store_conformance!(mirrored_in_folders, durable: async || {
    use registry_storage::ObjectCrateStore;

    let folder = tempfile::tempdir().unwrap();
    async move || {
        let open = |name| ObjectCrateStore::filesystem(folder.path().join(name)).unwrap();
        MirroredCrateStore::new(open("first"), open("second"))
    }
});

/// Each handle of a `durable` bench has a cache of its own, as a server has.
#[cfg(feature = "cache")]
mod cached {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use registry_core::{CrateStore, memory::MemoryCrateStore};
    use registry_storage::{
        ObjectCrateStore,
        layer::{CachedCrateStore, MeteredCrateStore},
    };
    use tempfile::TempDir;

    /// Folders for caches.
    struct Folders(TempDir, AtomicU32);

    impl Folders {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap(), AtomicU32::new(0))
        }

        fn cached<S: CrateStore>(&self, inner: S, max_bytes: u64) -> CachedCrateStore<S> {
            let folder = self.1.fetch_add(1, Ordering::Relaxed).to_string();
            CachedCrateStore::open(inner, self.0.path().join(folder), max_bytes, |error| {
                panic!("{error}: {}", error.source);
            })
            .unwrap()
        }
    }

    registry_core::crate_store_conformance!(in_front_of_memory, durable: async || {
        let (folders, inner) = (Folders::new(), MemoryCrateStore::new());
        async move || folders.cached(inner.clone(), 64 << 20)
    });

    registry_core::crate_store_conformance!(in_front_of_a_folder, durable: async || {
        let folders = Folders::new();
        let inner = folders.0.path().join("inner");
        async move || folders.cached(ObjectCrateStore::filesystem(&inner).unwrap(), 64 << 20)
    });

    registry_core::crate_store_conformance!(that_always_asks, durable: async || {
        let (folders, inner) = (Folders::new(), MemoryCrateStore::new());
        async move || folders.cached(inner.clone(), 64 << 20).with_staleness(Duration::ZERO)
    });

    // One cache, which is told of all upkeep; and a cache for each handle, which has to ask.
    registry_core::crate_upkeep_conformance!(upkeep_by_one_cache, volatile: async || {
        // Kept for as long as the cache is, by the closure that reports.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        CachedCrateStore::open(MemoryCrateStore::new(), path, 64 << 20, move |error| {
            panic!("{error} in {folder:?}: {}", error.source);
        })
        .unwrap()
    });
    registry_core::crate_upkeep_conformance!(upkeep_by_many_caches, durable: async || {
        let (folders, inner) = (Folders::new(), MemoryCrateStore::new());
        async move || folders.cached(inner.clone(), 64 << 20).with_staleness(Duration::ZERO)
    });

    // One that has no room for anything, and one that throws out what it has just kept.
    registry_core::crate_store_conformance!(without_room, durable: async || {
        let (folders, inner) = (Folders::new(), MemoryCrateStore::new());
        async move || folders.cached(inner.clone(), 0)
    });
    registry_core::crate_store_conformance!(with_little_room, durable: async || {
        let (folders, inner) = (Folders::new(), MemoryCrateStore::new());
        async move || folders.cached(inner.clone(), 4096)
    });

    registry_core::crate_store_conformance!(between_meters, durable: async || {
        let (folders, inner) = (Folders::new(), MemoryCrateStore::new());
        async move || {
            let metered = MeteredCrateStore::new(inner.clone(), |_| {});
            MeteredCrateStore::new(folders.cached(metered, 64 << 20), |_| {})
        }
    });
}

registry_core::crate_store_conformance!(verified, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || VerifiedCrateStore::new(inner.clone(), |_| {}).with_quarantine(inner.clone())
});

registry_core::crate_upkeep_conformance!(verified_upkeep, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || VerifiedCrateStore::new(inner.clone(), |_| {})
});

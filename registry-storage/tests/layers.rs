//! The decorators keep every promise of the traits, around stores in memory and in a folder.

use registry_core::memory::MemoryCrateStore;
use registry_storage::layer::{MeteredCrateStore, MirroredCrateStore};

registry_core::crate_store_conformance!(metered, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || MeteredCrateStore::new(inner.clone(), |_| {})
});

registry_core::crate_upkeep_conformance!(metered_upkeep, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || MeteredCrateStore::new(inner.clone(), |_| {})
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

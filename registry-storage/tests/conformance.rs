//! The promises of `CrateStore` and `CrateUpkeep`, kept by each store of this crate.

use registry_storage::ObjectCrateStore;

registry_core::crate_store_conformance!(memory, durable: async || {
    let store = ObjectCrateStore::memory();
    async move || store.clone()
});

#[cfg(feature = "fs")]
registry_core::crate_store_conformance!(filesystem, durable: async || {
    let folder = tempfile::tempdir().unwrap();
    async move || ObjectCrateStore::filesystem(folder.path()).unwrap()
});

registry_core::crate_upkeep_conformance!(memory_upkeep, durable: async || {
    let store = ObjectCrateStore::memory();
    async move || store.clone()
});

#[cfg(feature = "fs")]
registry_core::crate_upkeep_conformance!(filesystem_upkeep, durable: async || {
    let folder = tempfile::tempdir().unwrap();
    async move || ObjectCrateStore::filesystem(folder.path()).unwrap()
});

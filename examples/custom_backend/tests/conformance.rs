//! The backend keeps the promises of a store and of an index, also under a whole registry.

use std::sync::Arc;

use custom_backend::FolderStore;
use registry_core::RecordIndex;
use registry_core::memory::MemoryCrateStore;
use tempfile::TempDir;

/// The lock that makes writers wait for each other lives in the store: one store, many handles.
fn store(folder: &TempDir) -> Arc<RecordIndex<FolderStore>> {
    Arc::new(RecordIndex::new(FolderStore::open(folder.path()).unwrap()))
}

registry_core::record_store_conformance!(record_store, durable: async || {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FolderStore::open(folder.path()).unwrap());
    async move || {
        let _kept = &folder;
        store.clone()
    }
});
registry_core::index_conformance!(index, durable: async || {
    let folder = tempfile::tempdir().unwrap();
    let index = store(&folder);
    async move || {
        let _kept = &folder;
        index.clone()
    }
});
registry_core::registry_conformance!(registry, durable: async || {
    let folder = tempfile::tempdir().unwrap();
    let (index, crates) = (store(&folder), MemoryCrateStore::new());
    async move || {
        let _kept = &folder;
        (index.clone(), crates.clone())
    }
});

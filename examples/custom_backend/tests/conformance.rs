//! The backend keeps the promises of an index, also under a whole registry.

use std::sync::Arc;

use custom_backend::FolderStore;
use registry_core::memory::MemoryCrateStore;
use registry_index::RecordIndex;

registry_core::index_conformance!(index, durable: async || {
    let folder = tempfile::tempdir().unwrap();
    // The lock that makes writers wait for each other lives in the store: one store, many handles.
    let index = Arc::new(RecordIndex::new(FolderStore::open(folder.path()).unwrap()));
    async move || {
        let _keep = &folder;
        index.clone()
    }
});
registry_core::registry_conformance!(registry, volatile: async || {
    let folder = tempfile::tempdir().unwrap().keep();
    (RecordIndex::new(FolderStore::open(folder).unwrap()), MemoryCrateStore::new())
});

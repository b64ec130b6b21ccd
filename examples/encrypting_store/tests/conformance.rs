//! The store keeps the promises of a crate store, around memory and around a folder.

use encrypting_store::{EncryptedCrateStore, Secret};
use registry_core::memory::MemoryCrateStore;
use registry_storage::ObjectCrateStore;

fn secret() -> Secret {
    "5e".repeat(32).parse().unwrap()
}

registry_core::crate_store_conformance!(memory, durable: async || {
    let inner = MemoryCrateStore::new();
    async move || EncryptedCrateStore::new(inner.clone(), secret())
});

registry_core::crate_store_conformance!(folder, durable: async || {
    let folder = tempfile::tempdir().unwrap();
    async move || {
        EncryptedCrateStore::new(ObjectCrateStore::filesystem(folder.path()).unwrap(), secret())
    }
});

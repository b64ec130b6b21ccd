//! The backends of the reference server, together, at every failure and crash on the way.

use registry_index::sqlite::SqliteDatabase;
use registry_storage::ObjectCrateStore;

registry_core::registry_conformance!(sqlite_and_folder, durable: async || {
    let data = tempfile::tempdir().unwrap();
    async move || {
        let database = SqliteDatabase::open(data.path().join("registry.db")).unwrap();
        let crates = ObjectCrateStore::filesystem(data.path().join("crates")).unwrap();
        (database.index("main"), crates)
    }
});

//! The promises of the traits, kept by each backend of this crate.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{
    CanonicalName, IndexError, RecordIndex, RecordStore, index::Revision, search::NameSearch,
};

#[cfg(feature = "sqlite")]
#[path = "common/users.rs"]
mod users;

/// Records in memory, as little as a store can be.
#[derive(Clone, Debug, Default)]
struct MemoryRecords(Arc<Mutex<BTreeMap<CanonicalName, (u64, Bytes)>>>);

#[async_trait]
impl RecordStore for MemoryRecords {
    async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
        let found = self.0.lock().unwrap().get(name).cloned();
        Ok(found.map(|(count, record)| (record, Revision::from(count.to_string()))))
    }

    async fn put(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        record: Bytes,
    ) -> Result<Revision, IndexError> {
        let mut records = self.0.lock().unwrap();
        let count = records.get(name).map(|(count, _)| *count);
        if count.map(|count| count.to_string()).as_deref() != expected.map(Revision::as_str) {
            return Err(IndexError::Conflict { name: name.clone() });
        }
        let count = count.unwrap_or(0) + 1;
        records.insert(name.clone(), (count, record));
        Ok(Revision::from(count.to_string()))
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let records = self.0.lock().unwrap();
        let rest = records.keys().filter(|name| after.is_none_or(|after| *name > after));
        Ok(rest.take(limit.get()).cloned().collect())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

registry_core::record_store_conformance!(record_store, durable: async || {
    let records = MemoryRecords::default();
    async move || records.clone()
});

registry_core::index_conformance!(records, durable: async || {
    let records = MemoryRecords::default();
    async move || RecordIndex::new(records.clone())
});

registry_core::search_conformance!(records_by_name, durable, names_only: async || {
    let records = MemoryRecords::default();
    async move || {
        let index = RecordIndex::new(records.clone());
        (index.clone(), NameSearch::new(Arc::new(index)))
    }
});

#[cfg(feature = "fs")]
mod fs {
    use registry_core::memory::MemoryCrateStore;
    use registry_index::fs::{FileTokens, FolderIndex};
    use tempfile::TempDir;

    fn open(folder: &TempDir) -> FolderIndex {
        FolderIndex::open(folder.path().join("index")).unwrap()
    }

    fn tokens(folder: &TempDir) -> FileTokens {
        FileTokens::open(folder.path().join("tokens.json")).unwrap()
    }

    registry_core::index_conformance!(index, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder)
    });
    registry_core::registry_conformance!(registry, durable: async || {
        let (folder, crates) = (tempfile::tempdir().unwrap(), MemoryCrateStore::new());
        async move || (open(&folder), crates.clone())
    });
    registry_core::token_store_conformance!(tokens, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || super::tokens(&folder)
    });
    registry_core::token_transfer_conformance!(token_transfer, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || super::tokens(&folder)
    });
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::users::{keys_make_users, make_users};
    use registry_core::memory::MemoryCrateStore;
    use registry_index::sqlite::SqliteDatabase;
    use tempfile::TempDir;

    fn open(folder: &TempDir) -> SqliteDatabase {
        SqliteDatabase::open(folder.path().join("registry.sqlite")).unwrap()
    }

    registry_core::index_conformance!(index, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder).index("main")
    });
    registry_core::search_conformance!(search, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || {
            let index = open(&folder).index("main");
            (index.clone(), index)
        }
    });
    registry_core::registry_conformance!(registry, durable: async || {
        let (folder, crates) = (tempfile::tempdir().unwrap(), MemoryCrateStore::new());
        async move || (open(&folder).index("main"), crates.clone())
    });
    registry_core::account_store_conformance!(accounts, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder).accounts()
    });
    registry_core::token_store_conformance!(tokens, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder).tokens()
    });
    registry_core::token_transfer_conformance!(token_transfer, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder).tokens()
    });
    registry_core::key_store_conformance!(keys, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        make_users(&open(&folder).accounts()).await;
        async move || open(&folder).keys()
    });
    #[tokio::test]
    async fn users_of_identity_providers_are_made_by_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        keys_make_users(database.keys(), database.accounts()).await;
    }
    registry_core::approved_names_conformance!(approved_names, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder).approved_names("main")
    });
    registry_core::single_use_conformance!(single_use, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder).single_use()
    });
    registry_core::trusted_publishers_conformance!(trusted_publishers, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || open(&folder).trusted_publishers("main")
    });
    registry_core::audit_log_conformance!(audit, durable: async || {
        let folder = tempfile::tempdir().unwrap();
        async move || {
            let database = open(&folder);
            (database.index("main"), database.audit("main"))
        }
    });
}

//! The memory backends keep the promises of their traits.
//!
//! A clone that is kept stands for data that outlive a handle.

use std::{num::NonZeroUsize, sync::Arc};

use registry_core::{
    Index as _,
    conformance::{self, record_fixture},
    memory::{
        MemoryAccounts, MemoryApprovedNames, MemoryAudit, MemoryCrateStore, MemoryIndex,
        MemoryKeys, MemorySingleUse, MemoryTokens, MemoryTrustedPublishers,
    },
    search::{NameSearch, Search, SearchQuery},
};

registry_core::index_conformance!(index, durable: async || {
    let index = MemoryIndex::new();
    async move || index.clone()
});
registry_core::audit_log_conformance!(audit_log, durable: async || {
    let audit = MemoryAudit::new();
    let index = MemoryIndex::new().with_audit(audit.clone());
    async move || (index.clone(), audit.clone())
});
registry_core::crate_store_conformance!(crate_store, durable: async || {
    let store = MemoryCrateStore::new();
    async move || store.clone()
});
registry_core::crate_upkeep_conformance!(crate_upkeep, durable: async || {
    let store = MemoryCrateStore::new();
    async move || store.clone()
});
registry_core::account_store_conformance!(account_store, durable: async || {
    let accounts = MemoryAccounts::new();
    async move || accounts.clone()
});
registry_core::approved_names_conformance!(approved_names, durable: async || {
    let approved = MemoryApprovedNames::new();
    async move || approved.clone()
});
registry_core::token_store_conformance!(token_store, durable: async || {
    let tokens = MemoryTokens::new();
    async move || tokens.clone()
});
registry_core::token_transfer_conformance!(token_transfer, durable: async || {
    let tokens = MemoryTokens::new();
    async move || tokens.clone()
});
registry_core::single_use_conformance!(single_use, durable: async || {
    let claims = MemorySingleUse::new();
    async move || claims.clone()
});
registry_core::trusted_publishers_conformance!(trusted_publishers, durable: async || {
    let publishers = MemoryTrustedPublishers::new();
    async move || publishers.clone()
});
registry_core::key_store_conformance!(key_store, durable: async || {
    let keys = MemoryKeys::new();
    async move || keys.clone()
});
registry_core::search_conformance!(search, durable: async || {
    let index = MemoryIndex::new();
    async move || (index.clone(), index.clone())
});
registry_core::search_conformance!(name_search, volatile, names_only: async || {
    let index = MemoryIndex::new();
    (index.clone(), NameSearch::new(Arc::new(index)))
});
registry_core::registry_conformance!(
    registry, volatile: async || (MemoryIndex::new(), MemoryCrateStore::new())
);

/// More than can be paged to are found whole as pages, and counted no further than that.
#[test]
fn a_total_ends_where_pages_do() {
    conformance::run(async {
        let index = MemoryIndex::new();
        for number in 0..20_102 {
            let (record, change) = record_fixture::first(&format!("a{number}"), "1.0.0");
            index.commit(None, &change, &record).await.unwrap();
        }
        let names = NameSearch::new(Arc::new(index.clone()));
        let query = SearchQuery::new("a", 20_000, NonZeroUsize::new(100).unwrap()).unwrap();
        for (what, search) in [("memory", &index as &dyn Search), ("names", &names)] {
            let page = search.search(&query).await.unwrap();
            assert_eq!((page.crates.len(), page.total), (100, 20_100), "{what}");
        }
    });
}

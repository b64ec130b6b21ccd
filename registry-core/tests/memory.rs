//! The memory backends keep the promises of their traits.
//!
//! A clone that is kept stands for data that outlive a handle.

use std::sync::Arc;

use registry_core::{
    memory::{MemoryCrateStore, MemoryIndex, MemoryTokens},
    search::NameSearch,
};

registry_core::index_conformance!(index, durable: async || {
    let index = MemoryIndex::new();
    async move || index.clone()
});
registry_core::crate_store_conformance!(crate_store, durable: async || {
    let store = MemoryCrateStore::new();
    async move || store.clone()
});
registry_core::token_store_conformance!(token_store, durable: async || {
    let tokens = MemoryTokens::new();
    async move || tokens.clone()
});
registry_core::token_transfer_conformance!(token_transfer, durable: async || {
    let tokens = MemoryTokens::new();
    async move || tokens.clone()
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

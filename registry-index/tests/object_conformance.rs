//! The promises of the traits, kept in an object store: in memory, and on an S3 server.
#![cfg(feature = "object-store")]

#[path = "common/s3.rs"]
mod s3;

use std::sync::Arc;

use object_store::{ObjectStore, memory::InMemory};
use registry_core::{memory::MemoryCrateStore, search::NameSearch};
use registry_index::object::{ObjectIndex, ObjectTokens};

async fn index(store: &Arc<dyn ObjectStore>) -> ObjectIndex {
    ObjectIndex::open(store.clone()).await.unwrap()
}

async fn tokens(store: &Arc<dyn ObjectStore>) -> ObjectTokens {
    ObjectTokens::open(store.clone()).await.unwrap()
}

async fn searched(store: &Arc<dyn ObjectStore>) -> (ObjectIndex, NameSearch) {
    let index = index(store).await;
    (index.clone(), NameSearch::new(Arc::new(index)))
}

mod memory {
    use super::*;

    fn store() -> Arc<dyn ObjectStore> {
        Arc::new(InMemory::new())
    }

    registry_core::index_conformance!(index, durable: async || {
        let store = store();
        async move || super::super::index(&store).await
    });
    registry_core::search_conformance!(search, durable, names_only: async || {
        let store = store();
        async move || searched(&store).await
    });
    registry_core::registry_conformance!(registry, durable: async || {
        let (store, crates) = (store(), MemoryCrateStore::new());
        async move || (super::super::index(&store).await, crates.clone())
    });
    registry_core::token_store_conformance!(tokens, durable: async || {
        let store = store();
        async move || super::super::tokens(&store).await
    });
    registry_core::token_transfer_conformance!(token_transfer, durable: async || {
        let store = store();
        async move || super::super::tokens(&store).await
    });
}

mod s3_server {
    use super::*;

    registry_core::index_conformance!(index, durable if "REGISTRY_TEST_S3": async |url: String| {
        let store = s3::at(&url, &s3::unused());
        async move || super::super::index(&store).await
    });
    registry_core::search_conformance!(search, durable, names_only if "REGISTRY_TEST_S3":
        async |url: String| {
            let store = s3::at(&url, &s3::unused());
            async move || searched(&store).await
        }
    );
    registry_core::registry_conformance!(registry, durable if "REGISTRY_TEST_S3":
        async |url: String| {
            let (store, crates) = (s3::at(&url, &s3::unused()), MemoryCrateStore::new());
            async move || (super::super::index(&store).await, crates.clone())
        }
    );
    registry_core::token_store_conformance!(tokens, durable if "REGISTRY_TEST_S3":
        async |url: String| {
            let store = s3::at(&url, &s3::unused());
            async move || super::super::tokens(&store).await
        }
    );
    registry_core::token_transfer_conformance!(token_transfer, durable if "REGISTRY_TEST_S3":
        async |url: String| {
            let store = s3::at(&url, &s3::unused());
            async move || super::super::tokens(&store).await
        }
    );
}

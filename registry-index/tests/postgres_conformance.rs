//! The promises of the traits, kept in PostgreSQL.
#![cfg(feature = "postgres")]

#[path = "common/postgres.rs"]
#[allow(dead_code, reason = "the files of tests share it, and none needs all")]
mod server;

use registry_core::memory::MemoryCrateStore;

use self::server::Schema;

registry_core::index_conformance!(index, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.index("main")
    }
);
registry_core::search_conformance!(search, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || {
            let index = schema.open().await.index("main");
            (index.clone(), index)
        }
    }
);
registry_core::registry_conformance!(registry, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let (schema, crates) = (Schema::fresh(service).await, MemoryCrateStore::new());
        async move || (schema.open().await.index("main"), crates.clone())
    }
);
registry_core::account_store_conformance!(accounts, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.accounts()
    }
);
registry_core::token_store_conformance!(tokens, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.tokens()
    }
);
registry_core::token_transfer_conformance!(token_transfer, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.tokens()
    }
);
registry_core::single_use_conformance!(single_use, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.single_use()
    }
);
registry_core::trusted_publishers_conformance!(
    trusted_publishers, durable if "REGISTRY_TEST_POSTGRES": async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.trusted_publishers("main")
    }
);

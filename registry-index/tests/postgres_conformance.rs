//! The promises of the traits, kept in PostgreSQL.
#![cfg(feature = "postgres")]

#[path = "common/postgres.rs"]
#[allow(dead_code, reason = "the files of tests share it, and none needs all")]
mod server;
#[path = "common/users.rs"]
mod users;

use registry_core::memory::MemoryCrateStore;

use self::{
    server::Schema,
    users::{keys_make_users, make_users},
};

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
registry_core::key_store_conformance!(keys, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        make_users(&schema.open().await.accounts()).await;
        async move || schema.open().await.keys()
    }
);
registry_core::approved_names_conformance!(approved_names, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.approved_names("main")
    }
);
registry_core::single_use_conformance!(single_use, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.single_use()
    }
);
registry_core::audit_log_conformance!(audit, durable if "REGISTRY_TEST_POSTGRES":
    async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || {
            let database = schema.open().await;
            (database.index("main"), database.audit("main"))
        }
    }
);
registry_core::trusted_publishers_conformance!(
    trusted_publishers, durable if "REGISTRY_TEST_POSTGRES": async |service: String| {
        let schema = Schema::fresh(service).await;
        async move || schema.open().await.trusted_publishers("main")
    }
);

#[tokio::test]
async fn users_of_identity_providers_are_made_by_their_keys() {
    let Some(service) = registry_core::conformance::service("REGISTRY_TEST_POSTGRES") else {
        return;
    };
    let schema = Schema::fresh(service).await;
    let database = schema.open().await;
    keys_make_users(database.keys(), database.accounts()).await;
}

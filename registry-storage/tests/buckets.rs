//! The promises of `CrateStore` and `CrateUpkeep`, kept in buckets.
//!
//! `REGISTRY_TEST_S3` names an S3 server as `http://HOST:PORT/BUCKET`; its keys are in the usual
//! variables beside it.
#![cfg(feature = "aws")]

mod common;

use registry_storage::{ObjectCrateStore, StorageOptions, StorageUrl};

use crate::common::{http, unused};

/// Options that lead to an S3 server, and its bucket.
fn server(service: &str) -> (StorageOptions, &str) {
    let (endpoint, bucket) = service.rsplit_once('/').unwrap();
    let options = StorageOptions::new().with("aws_endpoint", endpoint).with("allow_http", "true");
    (options, bucket)
}

/// A part of the bucket, of which nobody else knows.
fn part(service: &str) -> (StorageUrl, StorageOptions) {
    let (options, bucket) = server(service);
    (format!("s3://{bucket}/{}/crates", unused()).parse().unwrap(), options)
}

/// A bucket of its own.
async fn whole(service: &str) -> (StorageUrl, StorageOptions) {
    let (options, _) = server(service);
    let (endpoint, _) = service.rsplit_once('/').unwrap();
    let bucket = format!("test-{}", unused());
    let address = endpoint.strip_prefix("http://").unwrap();
    http(address, &format!("PUT /{bucket}")).await;
    (format!("s3://{bucket}").parse().unwrap(), options)
}

registry_core::crate_store_conformance!(s3_prefix, durable if "REGISTRY_TEST_S3":
async |service: String| {
    let (url, options) = part(&service);
    async move || ObjectCrateStore::open(&url, &options).unwrap()
});

registry_core::crate_store_conformance!(s3_bucket, durable if "REGISTRY_TEST_S3":
async |service: String| {
    let (url, options) = whole(&service).await;
    async move || ObjectCrateStore::open(&url, &options).unwrap()
});

registry_core::crate_upkeep_conformance!(s3_upkeep, durable if "REGISTRY_TEST_S3":
async |service: String| {
    let (url, options) = part(&service);
    async move || ObjectCrateStore::open(&url, &options).unwrap()
});

registry_core::registry_conformance!(s3_registry, durable if "REGISTRY_TEST_S3":
async |service: String| {
    let (url, options) = part(&service);
    let index = registry_core::memory::MemoryIndex::new();
    async move || (index.clone(), ObjectCrateStore::open(&url, &options).unwrap())
});

/// To Google's client the S3 server is one of Google's: the interface that it speaks to is made after
/// that of S3, but for a few headers, which the proxy knows. No emulator takes uploads by it.
#[cfg(feature = "gcp")]
mod google {
    use registry_storage::{ObjectCrateStore, StorageOptions};

    use crate::common::{proxy::Proxy, unused};

    async fn part(service: &str) -> (Proxy, impl Fn(&Proxy) -> ObjectCrateStore + use<>) {
        let (endpoint, bucket) = service.rsplit_once('/').unwrap();
        let proxy = Proxy::start(endpoint.strip_prefix("http://").unwrap()).await;
        let (bucket, prefix) = (bucket.to_owned(), unused());
        (proxy, move |proxy: &Proxy| {
            let options = StorageOptions::new()
                .with("base_url", proxy.endpoint())
                .with("bearer_token", "token")
                .with("allow_http", "true");
            ObjectCrateStore::gcs(&bucket, &prefix, &options).unwrap()
        })
    }

    registry_core::crate_store_conformance!(files, durable if "REGISTRY_TEST_S3":
    async |service: String| {
        let (proxy, open) = part(&service).await;
        async move || open(&proxy)
    });

    registry_core::crate_upkeep_conformance!(upkeep, durable if "REGISTRY_TEST_S3":
    async |service: String| {
        let (proxy, open) = part(&service).await;
        async move || open(&proxy)
    });
}

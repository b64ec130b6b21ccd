//! The S3 server that `REGISTRY_TEST_S3` names, as `http://HOST:PORT/BUCKET`; its keys are in the
//! usual variables beside it.

use std::sync::Arc;

use object_store::{ObjectStore, aws::AmazonS3Builder, prefix::PrefixStore};

/// A name that no part of the bucket has yet.
pub(crate) fn unused() -> String {
    format!("{:016x}", getrandom::u64().unwrap())
}

/// The part of the bucket of this name.
pub(crate) fn at(url: &str, prefix: &str) -> Arc<dyn ObjectStore> {
    let (endpoint, bucket) = url.rsplit_once('/').unwrap();
    let client = AmazonS3Builder::from_env()
        .with_endpoint(endpoint)
        .with_bucket_name(bucket)
        .with_allow_http(true)
        .build()
        .unwrap();
    Arc::new(PrefixStore::new(client, prefix))
}

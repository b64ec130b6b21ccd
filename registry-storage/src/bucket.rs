//! Buckets of Amazon S3, Google Cloud Storage and Azure Blob Storage.

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod google;
mod named;
#[cfg(feature = "aws")]
mod s3;
mod settings;

use std::sync::Arc;

use object_store::{ObjectStore, signer::Signer};

use self::named::Named;
use crate::{
    open::OpenError,
    options::StorageOptions,
    url::{BucketUrl, Provider},
};

/// An opened bucket, or a part of one. Nothing has been asked of it yet.
///
/// This is for whatever else is kept in a bucket, such as an index: crate files have
/// [`ObjectCrateStore::open`](crate::ObjectCrateStore::open).
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    signer: Arc<dyn Signer>,
}

impl Bucket {
    /// Makes a client of the bucket, with what the options say, and else the environment: see
    /// [`StorageOptions`], and the page of the crate for which of them counts.
    ///
    /// # Errors
    /// [`OpenError`] if an option is unknown, a setting is missing or wrong, or the program was
    /// built without the feature for the provider.
    pub fn open(url: &BucketUrl, options: &StorageOptions) -> Result<Self, OpenError> {
        match url.provider() {
            #[cfg(feature = "aws")]
            Provider::S3 => Ok(Self::named(url, s3::build(url, options, settings::environment())?)),
            #[cfg(feature = "gcp")]
            Provider::Google => {
                Ok(Self::named(url, google::build(url, options, settings::environment())?))
            }
            #[cfg(feature = "azure")]
            Provider::Azure => {
                Ok(Self::named(url, azure::build(url, options, settings::environment())?))
            }
            #[cfg(not(feature = "aws"))]
            Provider::S3 => Err(OpenError::NotCompiled { scheme: "s3", feature: "aws" }),
            #[cfg(not(feature = "gcp"))]
            Provider::Google => Err(OpenError::NotCompiled { scheme: "gs", feature: "gcp" }),
            #[cfg(not(feature = "azure"))]
            Provider::Azure => Err(OpenError::NotCompiled { scheme: "az", feature: "azure" }),
        }
    }

    fn named(url: &BucketUrl, client: impl ObjectStore + Signer) -> Self {
        let named = Arc::new(Named::new(url.clone(), client));
        Self { store: named.clone(), signer: named }
    }

    /// What is in it. Paths begin behind the prefix of the URL. Prints as the URL.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// Makes URLs by which whoever has them may read or write. Paths are those of
    /// [`Bucket::store`].
    pub fn signer(&self) -> Arc<dyn Signer> {
        self.signer.clone()
    }
}

#[cfg(all(test, feature = "aws", feature = "azure", feature = "gcp"))]
mod tests;

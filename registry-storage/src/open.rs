//! Opening a store by what an operator says of it.

use registry_core::{BoxError, Echo, StoreError};

use crate::{
    object::ObjectCrateStore,
    options::{StorageOptions, shown},
    url::{BucketUrl, Provider, StorageUrl, UrlError},
};

impl ObjectCrateStore {
    /// Opens the store that a URL names. Options are for buckets alone.
    ///
    /// Nothing is asked of a bucket yet: [`CrateStore::ready`](registry_core::CrateStore::ready)
    /// says whether it can be reached.
    ///
    /// # Errors
    /// [`OpenError`] if an option is unknown, a setting is missing or wrong, a folder cannot be
    /// made or read, or the program was built without the feature for the kind of store.
    pub fn open(url: &StorageUrl, options: &StorageOptions) -> Result<Self, OpenError> {
        let scheme = match url {
            StorageUrl::Bucket(bucket) => return Self::bucket(bucket, options),
            StorageUrl::Folder(_) => "file",
            StorageUrl::Memory => "memory",
        };
        if let Some((key, _)) = options.iter().next() {
            return Err(OpenError::NoOptions { key: shown(key).into(), scheme });
        }
        match url {
            #[cfg(feature = "fs")]
            StorageUrl::Folder(path) => Ok(Self::filesystem(path)?),
            #[cfg(feature = "memory")]
            StorageUrl::Memory => Ok(Self::memory()),
            #[allow(unreachable_patterns, reason = "with these features there is nothing else")]
            _ => {
                let feature = if scheme == "file" { "fs" } else { scheme };
                Err(OpenError::NotCompiled { scheme, feature })
            }
        }
    }

    /// Keeps crate files below `prefix` in a bucket of Amazon S3, or of a server of its kind.
    ///
    /// # Errors
    /// As [`ObjectCrateStore::open`], and if no bucket can have this name.
    #[cfg(feature = "aws")]
    pub fn s3(bucket: &str, prefix: &str, options: &StorageOptions) -> Result<Self, OpenError> {
        Self::bucket(&BucketUrl::new(Provider::S3, bucket, prefix)?, options)
    }

    /// Keeps crate files below `prefix` in a bucket of Google Cloud Storage.
    ///
    /// # Errors
    /// As [`ObjectCrateStore::open`], and if no bucket can have this name.
    #[cfg(feature = "gcp")]
    pub fn gcs(bucket: &str, prefix: &str, options: &StorageOptions) -> Result<Self, OpenError> {
        Self::bucket(&BucketUrl::new(Provider::Google, bucket, prefix)?, options)
    }

    /// Keeps crate files below `prefix` in a container of Azure Blob Storage.
    ///
    /// # Errors
    /// As [`ObjectCrateStore::open`], and if no container can have this name.
    #[cfg(feature = "azure")]
    pub fn azure(
        container: &str,
        prefix: &str,
        options: &StorageOptions,
    ) -> Result<Self, OpenError> {
        Self::bucket(&BucketUrl::new(Provider::Azure, container, prefix)?, options)
    }

    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    fn bucket(url: &BucketUrl, options: &StorageOptions) -> Result<Self, OpenError> {
        let backend = match url.provider() {
            Provider::S3 => "S3",
            Provider::Google => "Google Cloud Storage",
            Provider::Azure => "Azure Blob Storage",
        };
        Ok(Self::of_bucket(backend, &crate::Bucket::open(url, options)?))
    }

    #[cfg(not(any(feature = "aws", feature = "gcp", feature = "azure")))]
    fn bucket(url: &BucketUrl, _: &StorageOptions) -> Result<Self, OpenError> {
        let feature = match url.provider() {
            Provider::S3 => "aws",
            Provider::Google => "gcp",
            Provider::Azure => "azure",
        };
        Err(OpenError::NotCompiled { scheme: url.provider().scheme(), feature })
    }
}

/// A store cannot be opened. Shows no value of an option or a variable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The client of the bucket knows no such option.
    #[error(
        "`{}` is no option of `{scheme}:`: there are `max_retries`, `retry_timeout` and those that \
         {list} lists",
        Echo(key)
    )]
    UnknownOption {
        /// Its key.
        key: Box<str>,
        /// How the URL of the store begins.
        scheme: &'static str,
        /// The page that lists them.
        list: &'static str,
    },
    /// Only buckets have options.
    #[error("`{scheme}:` has no options, and so not `{}`", Echo(key))]
    NoOptions {
        /// The first key.
        key: Box<str>,
        /// How the URL of the store begins.
        scheme: &'static str,
    },
    /// The bucket is to be in the URL.
    #[error("the option `{key}` is the bucket, which is in the URL")]
    BucketOption {
        /// Its key.
        key: Box<str>,
    },
    /// The URL of an endpoint, of an option or a variable, has something in it that could be a
    /// secret.
    #[error("the endpoint `{key}` has a user, a password or a query in it")]
    Endpoint {
        /// The key.
        key: Box<str>,
    },
    /// The value of an option cannot be read.
    #[error("the value of the option `{key}` is not {expected}")]
    Value {
        /// Its key.
        key: Box<str>,
        /// What it is to be.
        expected: &'static str,
    },
    /// The program was built without this kind of store.
    #[error("`{scheme}:` takes the feature `{feature}`, without which this program was built")]
    NotCompiled {
        /// How the URL of the store begins.
        scheme: &'static str,
        /// The feature of this crate.
        feature: &'static str,
    },
    /// Something is missing or wrong in what options and environment say.
    #[error("the settings of the bucket do not do")]
    Settings {
        /// What is wrong. In place of each value is its key.
        #[source]
        source: BoxError,
    },
    /// No bucket can have such a name.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The folder cannot be made or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

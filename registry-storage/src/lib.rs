//! Crate file stores for [`registry_core`], on top of [`object_store`].
//!
//! ```
//! use registry_storage::ObjectCrateStore;
//!
//! # let folder = tempfile::tempdir()?;
//! # #[cfg(feature = "fs")]
//! let crates = ObjectCrateStore::filesystem(folder.path().join("crates"))?;
//! # #[cfg(feature = "memory")]
//! let crates = ObjectCrateStore::memory();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Any other store of that library is taken by [`ObjectCrateStore::new`], if it is durable when its
//! `put` returns. [`layout`] says under which path a file lies. [`layer`] has what can be put around
//! any store: a cache on a disk nearby, a second store, a meter.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `fs` | yes | crate files in a folder, flushed to disk on every write (with tokio, to do so) |
//! | `memory` | yes | crate files in memory |
//! | `aws` | | crate files in a bucket of Amazon S3, or of a server of its kind |
//! | `gcp` | | crate files in a bucket of Google Cloud Storage |
//! | `azure` | | crate files in a container of Azure Blob Storage |
//! | `telemetry` | | `ObservedCrateStore`, which tells of each call by a span and metrics |
//! | `cache` | | `CachedCrateStore`, which keeps what was read from a distant store in a folder |
//!
#![cfg_attr(feature = "fs", doc = include_str!("stores.md"))]

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod bucket;
#[cfg(feature = "fs")]
mod folder;
pub mod layer;
pub mod layout;
mod object;
mod open;
mod options;
mod parts;
mod redirect;
mod url;

/// The library that [`ObjectCrateStore::new`] takes a store of.
pub use object_store;

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
pub use self::bucket::Bucket;
pub use self::{
    object::ObjectCrateStore,
    open::OpenError,
    options::{OptionError, StorageOptions},
    redirect::{Redirect, RedirectError},
    url::{BucketUrl, Provider, StorageUrl, UrlError},
};

/// The page of the package, so that the program in it is compiled.
#[cfg(all(doctest, feature = "fs"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(test, feature = "aws", feature = "azure", feature = "gcp"))]
mod tests {
    /// An error and what caused it, as a log shows them.
    pub(crate) fn causes(error: &dyn std::error::Error) -> String {
        let causes = std::iter::successors(Some(error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}

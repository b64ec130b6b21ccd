//! An embeddable Cargo registry.

pub mod auth;
pub mod checksum;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod echo;
pub mod entry;
pub mod features;
pub mod index;
pub mod memory;
pub mod name;
pub mod observer;
pub mod owner;
pub mod policy;
pub mod publish;
pub mod record;
pub mod search;
pub mod store;
pub mod version;

pub use self::{
    checksum::Checksum,
    config::RegistryConfig,
    echo::Echo,
    entry::{IndexDependency, IndexEntry, IndexLine},
    index::{ETag, Index, IndexError, IndexFile},
    name::{CanonicalName, CrateName, NameError},
    owner::{Login, Owner, Owners},
    publish::{Release, ValidationRules},
    record::CrateRecord,
    store::{CrateStore, StoreError},
    version::VersionError,
};

/// An error of any kind, as the source of one of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

//! Crate file stores for [`registry_core`], on top of [`object_store`].
//!
//! ```
//! use registry_storage::ObjectCrateStore;
//!
//! # let folder = tempfile::tempdir()?;
//! # #[cfg(feature = "fs")]
//! let crates = ObjectCrateStore::filesystem(folder.path().join("crates"))?;
//! let crates = ObjectCrateStore::memory();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`layout`] says under which path a file lies.

#[cfg(feature = "fs")]
mod folder;
pub mod layout;
mod object;

/// The library that [`ObjectCrateStore::new`] takes a store of.
pub use object_store;

pub use self::object::ObjectCrateStore;

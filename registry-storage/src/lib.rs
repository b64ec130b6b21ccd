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
//! Any other store of that library is taken by [`ObjectCrateStore::new`], if it is durable when its
//! `put` returns. [`layout`] says under which path a file lies. [`layer`] has what can be put around
//! any store: meters, a second store.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `fs` | yes | crate files in a folder, flushed to disk on every write (with tokio, to do so) |

#[cfg(feature = "fs")]
mod folder;
pub mod layer;
pub mod layout;
mod object;
mod parts;

/// The library that [`ObjectCrateStore::new`] takes a store of.
pub use object_store;

pub use self::object::ObjectCrateStore;

/// The page of the package, so that the program in it is compiled.
#[cfg(all(doctest, feature = "fs"))]
#[doc = include_str!("../README.md")]
struct Readme;

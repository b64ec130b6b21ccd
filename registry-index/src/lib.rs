//! Index backends for [`registry_core`].
//!
//! - [`RecordIndex`] makes an index of any store that can replace one value under one key if it
//!   is unchanged: [`record_store`] shows the few lines a backend of one's own takes.
#![cfg_attr(
    feature = "sqlite",
    doc = "- [`sqlite`] keeps registries, users and tokens in one SQLite file."
)]
//!
//! All of them keep the promises of [`registry_core::Index`], and prove it with the suites of
//! registry-core's feature `conformance`.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `sqlite` | yes | index, search and tokens in SQLite, which is compiled in (with tokio, to run it) |

pub mod record_store;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use self::record_store::{RecordIndex, RecordStore};

/// The page of the package, so that the program in it is compiled.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;

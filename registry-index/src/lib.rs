//! Index backends for [`registry_core`].
//!
#![cfg_attr(
    feature = "sqlite",
    doc = "- [`sqlite`] keeps registries, users and tokens in one SQLite file."
)]
//!
//! All of them keep the promises of [`registry_core::Index`], and prove it with the suites of
//! registry-core's feature `conformance`. For a backend of one's own, begin with
//! [`registry_core::record_store`].
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `sqlite` | yes | index, search and tokens in SQLite, which is compiled in (with tokio, to run it) |

#[cfg(feature = "sqlite")]
pub mod sqlite;

/// The page of the package, so that the program in it is compiled.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;

//! Index backends for [`registry_core`].
//!
#![cfg_attr(
    feature = "fs",
    doc = "- [`fs`] keeps one registry in a folder that any web server can serve, and tokens in a file."
)]
#![cfg_attr(
    feature = "object-store",
    doc = "- [`object`] keeps one registry, with users and tokens, in a bucket and nothing else."
)]
#![cfg_attr(
    feature = "postgres",
    doc = "- [`postgres`] keeps registries, users and tokens in a PostgreSQL database."
)]
#![cfg_attr(
    feature = "sqlite",
    doc = "- [`sqlite`] keeps registries, users and tokens in one SQLite file."
)]
//!
//! [`layer`] has indexes around indexes: measurements, a cache, an export.
//!
//! All of them keep the promises of [`registry_core::Index`], and prove it with the suites of
//! registry-core's feature `conformance`. For a backend of one's own, begin with
//! [`registry_core::record_store`].
//!
#![doc = include_str!("promises.md")]
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `cache` | no | `CachedIndex`, which keeps what was read in memory |
//! | `fs` | no | an index in a folder, and tokens in a file (with tokio, to run it) |
//! | `object-store` | no | index and tokens in an object store, and an index exported to one |
//! | `postgres` | no | index, search and tokens in PostgreSQL (with tokio-postgres and rustls) |
//! | `sqlite` | yes | index, search and tokens in SQLite, which is compiled in (with tokio, to run it) |
//! | `telemetry` | no | `ObservedIndex`, which tells of each call by a span and metrics |

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod accounts;
#[cfg(feature = "fs")]
pub mod fs;
pub mod layer;
#[cfg(feature = "object-store")]
pub mod object;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(all(test, any(feature = "postgres", feature = "sqlite")))]
mod search_cases;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod write_error;

/// The page of the package, so that the program in it is compiled.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;

//! Index backends for [`registry_core`].
//!
//! - [`RecordIndex`] makes an index of any store that can replace one value under one key if it
//!   is unchanged: [`record_store`] shows the few lines a backend of one's own takes.
#![cfg_attr(
    feature = "sqlite",
    doc = "- [`sqlite`] keeps registries, users and tokens in one SQLite file."
)]

pub mod record_store;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use self::record_store::{RecordIndex, RecordStore};

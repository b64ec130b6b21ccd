//! Decorators: crate stores that add something to another store.
//!
//! Each forwards everything, keeps all promises of [`CrateStore`](registry_core::CrateStore), and is
//! a `CrateStore` to the next. The inner store is the first argument:
//!
#![cfg_attr(feature = "cache", doc = "```")]
#![cfg_attr(not(feature = "cache"), doc = "```ignore")]
//! use registry_core::memory::MemoryCrateStore;
//! use registry_storage::layer::{CachedCrateStore, MeteredCrateStore, MirroredCrateStore};
//!
//! # let folder = tempfile::tempdir()?;
//! let (here, there) = (MemoryCrateStore::new(), MemoryCrateStore::new());
//! let mirrored = MirroredCrateStore::new(here, there);
//! let asked = MeteredCrateStore::new(mirrored, |measured| println!("of the stores: {measured:?}"));
//! let crates = CachedCrateStore::open(asked, folder.path(), 10 << 30, |failed| {
//!     eprintln!("{failed}: {}", failed.source);
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Order
//!
//! - `MeteredCrateStore` measures what is beneath it: outermost it tells what readers and writers
//!   wait for; directly around a store it tells what the cache did not spare that.
//! - `ObservedCrateStore` does so for the facades of `tracing` and `metrics` (feature `telemetry`),
//!   directly around a store.
//! - `CachedCrateStore` goes around all that is slow or paid for, a mirror included. Upkeep that is
//!   done through it is seen by its readers at once; what is done beneath it, after a while.
//! - `MirroredCrateStore` has no upkeep of its own: do that in each of its stores.
//! - `VerifiedCrateStore` goes outermost but for measuring: what is beneath may damage a file, too.
//!   A cache compares checksums itself, so beneath one is as good, and hashes no file twice that the
//!   cache has.
//! - What changes the bytes on their way, as an encrypting store does, goes beneath the cache and
//!   beneath all else that compares checksums.

#[cfg(feature = "cache")]
mod cached;
mod metered;
mod mirrored;
#[cfg(feature = "telemetry")]
mod observed;
mod verified;

#[cfg(feature = "cache")]
pub use self::cached::{CacheError, CachedCrateStore};
#[cfg(feature = "telemetry")]
pub use self::observed::ObservedCrateStore;
pub use self::{
    metered::{Measurement, MeteredCrateStore, Operation, Outcome},
    mirrored::MirroredCrateStore,
    verified::{Consequence, DamagedRead, VerifiedCrateStore},
};

//! Decorators: crate stores that add something to another store.
//!
//! Each forwards everything, keeps all promises of [`CrateStore`](registry_core::CrateStore), and is
//! a `CrateStore` to the next. The inner store is the first argument:
//!
//! ```
//! use registry_core::memory::MemoryCrateStore;
//! use registry_storage::layer::{MeteredCrateStore, MirroredCrateStore};
//!
//! let (here, there) = (MemoryCrateStore::new(), MemoryCrateStore::new());
//! let there = MeteredCrateStore::new(there, |measured| println!("of the copy: {measured:?}"));
//! let crates = MirroredCrateStore::new(here, there);
//! ```

mod metered;
mod mirrored;

pub use self::{
    metered::{Measurement, MeteredCrateStore, Operation, Outcome},
    mirrored::MirroredCrateStore,
};

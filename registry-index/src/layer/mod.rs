//! Decorators: indexes that add something to another index.
//!
//! Each forwards everything, keeps all promises of [`Index`](registry_core::Index), and is an
//! `Index` to the next. The inner index is the first argument:
//!
#![cfg_attr(feature = "cache", doc = "```")]
#![cfg_attr(not(feature = "cache"), doc = "```ignore")]
//! use registry_core::memory::MemoryIndex;
//! use registry_index::layer::{CachedIndex, MeteredIndex};
//!
//! let backend = MemoryIndex::new();
//! let asked = MeteredIndex::new(backend, |measured| println!("of the backend: {measured:?}"));
//! let cached = CachedIndex::new(asked, 64 << 20);
//! let index = MeteredIndex::new(cached, |measured| println!("of the index: {measured:?}"));
//! ```
//!
//! # Order
//!
//! - `MeteredIndex` measures what is beneath it: outermost it tells what readers and writers wait
//!   for; directly around the backend it tells what the cache did not spare it.
//! - `ObservedIndex` does so for the facades of `tracing` and `metrics` (feature `telemetry`), directly
//!   around the backend.
//! - `CachedIndex` belongs outside of all that writes: its promise to show every commit at once is
//!   about commits that go through it. What writes beneath it has to tell its `Invalidations`.
//! - `ExportIndex` goes directly around the backend: after a commit it reads what it exports.

#[cfg(feature = "cache")]
mod cached;
#[cfg(feature = "object-store")]
mod export;
mod metered;
#[cfg(feature = "telemetry")]
mod observed;

#[cfg(feature = "cache")]
pub use self::cached::{CachedIndex, Invalidations};
#[cfg(feature = "object-store")]
pub use self::export::{ExportError, ExportIndex, Rebuilt};
pub use self::metered::{Measurement, MeteredIndex, Operation, Outcome};
#[cfg(feature = "telemetry")]
pub use self::observed::ObservedIndex;

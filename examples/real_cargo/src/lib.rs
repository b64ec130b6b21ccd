//! Drives the installed cargo through a registry, for tests.
//!
//! Whatever here does not succeed panics, with what cargo or the server has printed.

mod cargo;
mod package;
mod smoke;

pub use self::{
    cargo::{Cargo, Outcome, Registry, Witness},
    package::Package,
    smoke::{Program, smoke_test},
};

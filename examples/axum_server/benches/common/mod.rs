//! What the benchmarks have in common.

#![allow(dead_code, reason = "no benchmark uses all of it")]

pub(crate) mod client;
pub(crate) mod corpus;
pub(crate) mod disk;
pub(crate) mod import;
pub(crate) mod nginx;
pub(crate) mod noise;
pub(crate) mod server;

use std::{fmt, time::Duration};

/// Median and range of single times.
pub(crate) struct Spread {
    pub(crate) min: Duration,
    pub(crate) median: Duration,
    pub(crate) max: Duration,
}

impl Spread {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self { min: times[0], median: times[times.len() / 2], max: times[times.len() - 1] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "median {:.2?} ({:.2?} to {:.2?})", self.median, self.min, self.max)
    }
}

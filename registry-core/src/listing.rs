//! Which packages a registry has: lists of crates, and of the releases of one.
//!
//! [`Registry::crates`](crate::Registry::crates) and
//! [`Registry::releases`](crate::Registry::releases) answer them from any [`Index`](crate::Index),
//! with no table of their own.

use std::num::NonZeroUsize;

use crate::record::ReleaseState;

/// Which crates are wanted, in which order, and which part of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateListing {
    /// How the name begins, in any spelling; empty for all.
    pub prefix: String,
    /// Only crates that have a release in this state.
    pub state: Option<ReleaseState>,
    /// The order.
    pub sort: CrateSort,
    /// How many crates to pass over.
    pub offset: usize,
    /// Most crates wanted.
    pub limit: NonZeroUsize,
}

impl CrateListing {
    /// Most crates in a list, and so the greatest [`total`](Listed::total): those behind are found by
    /// a longer prefix. Source: ours; as far as a search may be paged through.
    pub const MOST_LISTED: usize = 20_000;
    /// Most crates whose records are read for one page, to find those in a state or to put them
    /// in the order of time. Source: ours; some tenths of a second.
    pub const MOST_READ: usize = 5_000;
}

/// The order of crates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CrateSort {
    /// By canonical name.
    #[default]
    Name,
    /// By when they were first published, the newest first; crates of one second by name.
    New,
}

/// Which releases of a crate are wanted, in which order, and which part of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseListing {
    /// Only releases in this state.
    pub state: Option<ReleaseState>,
    /// The order.
    pub sort: ReleaseSort,
    /// How many releases to pass over.
    pub offset: usize,
    /// Most releases wanted.
    pub limit: NonZeroUsize,
}

/// The order of releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReleaseSort {
    /// By version, the highest first.
    #[default]
    Version,
    /// By when they were published, the newest first; releases of one second as they came.
    New,
}

/// One part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The wanted part, in order.
    pub page: Vec<T>,
    /// How many there are in all.
    pub total: usize,
}

impl<T> Listed<T> {
    /// The part of `all` that begins at `offset` and is no longer than `limit`.
    pub(crate) fn part_of(all: Vec<T>, offset: usize, limit: NonZeroUsize) -> Self {
        let total = all.len();
        let page = all.into_iter().skip(offset).take(limit.get()).collect();
        Self { page, total }
    }
}

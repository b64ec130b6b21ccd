//! What a collection tells of its work.

use crate::{
    migrate::FileCount,
    store::{CrateKey, StoreError},
};

/// What became of one file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// A line names it.
    Named,
    /// Nothing names it, and it is not older than asked for.
    Young,
    /// Nothing named it: it was put aside.
    SetAside,
    /// It is aside, and not yet for as long as asked for.
    Waiting,
    /// It had been aside for long enough, and is gone.
    Purged,
    /// It was aside, and a line names it: it is in its place again.
    PutBack,
    /// It is aside because it is damaged.
    Damaged,
    /// The record of its crate cannot be read, or is one of another crate: it was left alone.
    InDoubt,
    /// The store failed when it was to be put aside, put back or purged.
    Failed(StoreError),
}

/// One file that a collection has come by.
#[derive(Debug)]
#[non_exhaustive]
pub struct Step<'a> {
    /// What it is stored under.
    pub key: &'a CrateKey,
    /// Its length in bytes.
    pub size: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a collection has done, or would have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collection {
    /// Files that lines name.
    pub named: FileCount,
    /// Files that nothing names, and that are not older than asked for.
    pub young: FileCount,
    /// Files put aside.
    pub set_aside: FileCount,
    /// Files that were aside, and not for as long as asked for.
    pub waiting: FileCount,
    /// Files removed for good.
    pub purged: FileCount,
    /// Files put back into their places, because a line names them.
    pub put_back: FileCount,
    /// Files that are aside because they are damaged.
    pub damaged: FileCount,
    /// Files of crates whose records cannot be read.
    pub in_doubt: FileCount,
    /// Files on which the store failed.
    pub failed: FileCount,
}

impl Collection {
    /// Whether every file could be dealt with.
    pub fn is_complete(&self) -> bool {
        self.in_doubt.files == 0 && self.failed.files == 0
    }

    /// How many files it has taken for garbage.
    pub(super) fn garbage(&self) -> u64 {
        self.set_aside.files + self.purged.files
    }

    /// How many files it has come by.
    pub fn files(&self) -> u64 {
        let Self { named, young, set_aside, waiting, purged, put_back, damaged, .. } = self;
        let counts = [named, young, set_aside, waiting, purged, put_back, damaged];
        let rest = self.in_doubt.files + self.failed.files;
        counts.iter().map(|count| count.files).sum::<u64>() + rest
    }

    pub(super) fn count(&mut self, step: &Step<'_>) {
        let count = match step.outcome {
            Outcome::Named => &mut self.named,
            Outcome::Young => &mut self.young,
            Outcome::SetAside => &mut self.set_aside,
            Outcome::Waiting => &mut self.waiting,
            Outcome::Purged => &mut self.purged,
            Outcome::PutBack => &mut self.put_back,
            Outcome::Damaged => &mut self.damaged,
            Outcome::InDoubt => &mut self.in_doubt,
            Outcome::Failed(_) => &mut self.failed,
        };
        *count += step.size;
    }
}

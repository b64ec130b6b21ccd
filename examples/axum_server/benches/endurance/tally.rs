//! What happened, and what should not have.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard},
};

/// Most failures that are told one by one.
const MOST_TOLD: usize = 20;

/// How often each thing was done and how it ended, by every part of the load.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    ends: BTreeMap<&'static str, BTreeMap<String, u64>>,
    failures: Vec<String>,
    failed: u64,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap()
    }

    pub(crate) fn count(&self, what: &'static str, end: impl fmt::Display) {
        *self.counts().ends.entry(what).or_default().entry(end.to_string()).or_default() += 1;
    }

    /// Counts what should not have happened.
    pub(crate) fn fail(&self, what: &'static str, why: impl fmt::Display) {
        let mut counts = self.counts();
        counts.failed += 1;
        if counts.failures.len() < MOST_TOLD {
            counts.failures.push(format!("{what}: {why}"));
        }
    }

    /// How often this was done.
    pub(crate) fn times(&self, what: &str) -> u64 {
        self.counts().ends.get(what).map_or(0, |ends| ends.values().sum())
    }

    /// How often something failed, and the first of it.
    pub(crate) fn failures(&self) -> (u64, Vec<String>) {
        let counts = self.counts();
        (counts.failed, counts.failures.clone())
    }
}

/// One line for each thing.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, ends) in &self.counts().ends {
            let ends: Vec<_> = ends.iter().map(|(end, times)| format!("{end} × {times}")).collect();
            writeln!(f, "| {what} | {} |", ends.join(", "))?;
        }
        Ok(())
    }
}

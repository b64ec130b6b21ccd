//! What publishing costs, beside the least that durability can cost on this disk; and what a server
//! takes to start, and of memory while nobody asks for anything. Prints each figure with its goal and
//! whether it is met; asserts nothing.
//!
//! Run it with `cargo bench -p axum_server --bench publish`, or only a part of it with `-- rate`,
//! `-- versions` or `-- start`; it takes some four minutes and 2 GB of disk. Linux only. The data are
//! in the target folder: what is in `/tmp` may be in memory. `REGISTRY_BENCH_QUICK=1` is for trying
//! it out, and its figures are good for nothing.
//!
//! Server and load share this machine's cores, and what it does beside it hits all of them: what is
//! compared is measured in turns, and ratios are the medians of those of the turns.

#[path = "../common/mod.rs"]
mod common;
mod floor;
mod rate;
mod start;
mod versions;

use std::fmt;

use tempfile::TempDir;

const KIB: u64 = 1 << 10;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let effort = Effort { quick: std::env::var_os("REGISTRY_BENCH_QUICK").is_some() };
    let is_asked = |part| asked.is_empty() || asked.iter().any(|asked| asked == part);
    if is_asked("rate") {
        rate::measure(effort);
    }
    if is_asked("versions") {
        versions::measure(effort);
    }
    if is_asked("start") {
        start::measure(effort);
    }
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    quick: bool,
}

impl Effort {
    /// So much, or what is enough to try it out.
    fn of(self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// What a figure should be.
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn of(&self, figure: f64) -> String {
        let met = match self {
            Self::AtLeast(least) => figure >= *least,
            Self::AtMost(most) => figure <= *most,
        };
        format!("goal: {self}, {}", if met { "met" } else { "MISSED" })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

/// A folder on the disk that has the target folder.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

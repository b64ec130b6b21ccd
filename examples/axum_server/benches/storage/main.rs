//! What storing and serving crate files costs, each figure beside the least or the best there is on
//! this machine: memory beside that of an idle server, downloads beside nginx with sendfile on the
//! same files, publishes beside a bare write, fsync and rename. Prints each with its goal and
//! whether it is met; asserts nothing.
//!
//! Run it with `cargo bench -p axum_server --bench storage`, or only a part of it with
//! `-- memory`, `-- download` or `-- publish`; it takes some two minutes. Linux only, and without
//! an `nginx` on the machine there is nothing to compare downloads with. `REGISTRY_TEST_S3` says
//! where a bucket is, to measure memory with. `REGISTRY_BENCH_QUICK=1` is for trying it out, and
//! its figures are good for nothing.
//!
//! Server, nginx and load share this machine's cores, and what it does beside it hits all of them:
//! what is compared is measured in turns, and ratios are the medians of those of the turns.

#[path = "../common/mod.rs"]
mod common;
mod download;
mod memory;
mod publish;

use std::{
    fmt,
    time::{Duration, Instant},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let effort = Effort { quick: std::env::var_os("REGISTRY_BENCH_QUICK").is_some() };
    let is_asked = |part| asked.is_empty() || asked.iter().any(|asked| asked == part);
    if is_asked("memory") {
        memory::measure(effort);
    }
    if is_asked("download") {
        download::measure(effort);
    }
    if is_asked("publish") {
        publish::measure(effort);
    }
}

/// How long things are measured.
#[derive(Clone, Copy)]
struct Effort {
    quick: bool,
}

impl Effort {
    fn rounds(self) -> usize {
        if self.quick { 1 } else { 7 }
    }

    /// What each side has in one round of downloads.
    fn turn(self) -> Duration {
        if self.quick { Duration::from_millis(100) } else { Duration::from_millis(700) }
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
            Self::AtLeast(least) => write!(f, "at least {least:.1}"),
            Self::AtMost(most) => write!(f, "at most {most:.0}"),
        }
    }
}

/// The rates of two that do the same work.
struct Rates {
    ours: f64,
    other: f64,
    /// Of ours to the other.
    ratio: f64,
}

impl Rates {
    /// Medians of so many rounds. In each, both have a turn at what was prepared for the round.
    fn in_turns<T>(
        rounds: usize,
        mut prepare: impl FnMut(usize) -> T,
        mut ours: impl FnMut(&T) -> f64,
        mut other: impl FnMut(&T) -> f64,
    ) -> Self {
        let (mut all_ours, mut all_other, mut ratios) = (vec![], vec![], vec![]);
        for round in 0..rounds {
            let work = prepare(round);
            // Each begins as often as the other.
            let (ours, other) = if round % 2 == 0 {
                let ours = ours(&work);
                (ours, other(&work))
            } else {
                let other = other(&work);
                (ours(&work), other)
            };
            all_ours.push(ours);
            all_other.push(other);
            ratios.push(ours / other);
        }
        Self { ours: median(all_ours), other: median(all_other), ratio: median(ratios) }
    }
}

/// How many bodies are done in a second, by as many workers at once as there are lists of them.
fn rate<W: Send>(
    bodies: &[Vec<Vec<u8>>],
    workers: impl Iterator<Item = W>,
    work: impl Fn(&mut W, &[u8]) + Sync,
) -> f64 {
    let workers: Vec<_> = workers.collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (mut worker, bodies) in workers.into_iter().zip(bodies) {
            let work = &work;
            scope.spawn(move || bodies.iter().for_each(|body| work(&mut worker, body)));
        }
    });
    let bodies: usize = bodies.iter().map(Vec::len).sum();
    bodies as f64 / started.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

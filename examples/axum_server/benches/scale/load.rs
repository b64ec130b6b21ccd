//! What the index is asked for, and how fast it answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use registry_core::{CrateName, Index, Owner};
use tokio::task::JoinSet;

use super::Column;
use crate::common::{
    client::Connection,
    corpus::{self, Corpus, Random, stamp},
};

/// How long each kind of request is made.
const DURATION: Duration = Duration::from_secs(10);
const CONNECTIONS: u64 = 4;

pub(crate) fn index_files(address: &str, corpus: &Corpus, column: &mut Column) {
    let path = |rank: usize| {
        let name = CrateName::new(&corpus.name(rank)).unwrap();
        format!("/main/index/{}", name.sparse_path())
    };
    let end = corpus.crates();
    let mut load = Load { address, column };
    load.add("index file, any crate", |random| path(random.below(end)));
    load.add("index file, by Zipf's law", |random| path(random.zipf(end)));
}

pub(crate) fn searches(address: &str, corpus: &Corpus, column: &mut Column) {
    let path = |text: &str| format!("/main/api/v1/crates?q={text}&per_page=10");
    let name = |random: &mut Random| corpus.name(random.below(corpus.crates()));
    let mut load = Load { address, column };
    load.add("search, a name", |random| path(&name(random)));
    load.add("search, 1 to 6 letters a name begins with", |random| {
        path(&name(random)[..1 + random.below(6)])
    });
    load.add("search, a word by Zipf's law", |random| path(corpus.word(random)));
}

struct Load<'a> {
    address: &'a str,
    column: &'a mut Column,
}

impl Load<'_> {
    /// Measures one kind of request, by one client and by several at once.
    fn add(&mut self, what: &str, path: impl Fn(&mut Random) -> String + Sync) {
        for connections in [1, CONNECTIONS] {
            let latencies = latencies(self.address, connections, &path);
            self.column.add(&format!("{what}, {connections} at once"), latencies);
        }
    }
}

/// Median and 99th percentile of what single requests took, and how many there were in a second.
fn latencies(
    address: &str,
    connections: u64,
    path: impl Fn(&mut Random) -> String + Sync,
) -> String {
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let connections: Vec<_> = (0..connections)
            .map(|seed| {
                let path = &path;
                scope.spawn(move || requests(address, seed, path))
            })
            .collect();
        connections.into_iter().flat_map(|connection| connection.join().unwrap()).collect()
    });
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let rate = times.len() as f64 / DURATION.as_secs_f64();
    format!("p50 {:.2?}, p99 {:.2?}, {rate:.0}/s", at(0.5), at(0.99))
}

fn requests(address: &str, seed: u64, path: impl Fn(&mut Random) -> String) -> Vec<Duration> {
    let (mut connection, mut random) = (Connection::open(address), Random::new(seed));
    let (began, mut times) = (Instant::now(), vec![]);
    while began.elapsed() < DURATION {
        let path = path(&mut random);
        let started = Instant::now();
        let (status, _) = connection.skim(&path, &[]);
        times.push(started.elapsed());
        assert_eq!(status, 200, "{path}");
    }
    times
}

/// Commits per second by so many writers, each of which yanks the one version of its crate and
/// undoes it.
pub(crate) async fn commit_rate(index: &Arc<dyn Index>, owner: &Owner, writers: usize) -> f64 {
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let (index, owner) = (index.clone(), owner.clone());
        tasks.spawn(async move {
            let record = corpus::crate_with(&format!("writer{writers}-{writer}"), 1, &owner);
            let (mut record, change) = record.imported(stamp(&owner));
            let mut revision = index.commit(None, &change, &record).await.unwrap();
            let (began, mut commits) = (Instant::now(), 0_u32);
            while began.elapsed() < DURATION {
                let version = record.releases()[0].version().clone();
                let yanked = commits % 2 == 0;
                let next = record.set_yanked(&version, yanked, stamp(&owner)).unwrap();
                let (next, change) = next.expect("it is the other way round");
                revision = index.commit(Some(&revision), &change, &next).await.unwrap();
                record = next;
                commits += 1;
            }
            f64::from(commits) / began.elapsed().as_secs_f64()
        });
    }
    tasks.join_all().await.into_iter().sum()
}

//! Each index backend at the size of crates.io: 200,000 crates with 2,000,000 versions. Prints a
//! table, asserts nothing.
//!
//! Run it with `cargo bench -p axum_server --bench scale`; it takes the better part of an hour and
//! some 10 GB in the folder for temporary files. `REGISTRY_BENCH_CRATES` is another number of
//! crates, and PostgreSQL is measured where `REGISTRY_TEST_POSTGRES` says where one is. Server and
//! load share this machine's cores.

mod backend;
#[path = "../common/mod.rs"]
mod common;
mod load;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use registry_core::{Index, Owner, conformance::fixture::publish_body};
use tokio::{runtime::Runtime, task::JoinSet};

use self::{
    backend::Backend,
    common::{
        Spread,
        client::Connection,
        corpus::{self, Corpus, stamp},
        disk::fsync_rate,
        server::Server,
    },
};

/// Crates that are brought in at the same time.
const IMPORTERS: usize = 16;
/// Numbers of versions at which a further one is published.
const SIZES: [usize; 4] = [1, 100, 1_000, 5_000];
/// Publishes at each of these sizes.
const ROUNDS: usize = 40;

fn main() {
    let crates = std::env::var("REGISTRY_BENCH_CRATES").map_or(200_000, |crates| {
        crates.parse().expect("REGISTRY_BENCH_CRATES is a number of crates")
    });
    let corpus = Arc::new(Corpus::new(crates));
    println!("{} crates with {} versions", corpus.crates(), corpus.releases());
    let runtime = Runtime::new().unwrap();
    let mut columns = Vec::new();
    for backend in Backend::all(&runtime) {
        println!("\n{}", backend.name());
        let folder = tempfile::tempdir().unwrap();
        let mut column = Column { name: backend.name(), rows: vec![] };
        measure(&runtime, &backend, &corpus, folder.path(), &mut column);
        columns.push(column);
        backend.remove(&runtime);
    }
    print_table(&columns);
}

fn measure(
    runtime: &Runtime,
    backend: &Backend,
    corpus: &Arc<Corpus>,
    folder: &Path,
    column: &mut Column,
) {
    let flags = ["--index".to_owned(), backend.url(folder)];
    // Makes the user who owns what is brought in.
    let token = Server::start(folder, &flags).token();
    let owner = corpus::owner();
    runtime.block_on(async {
        let index = backend.open(folder).await;
        import(&index, corpus, &owner, column).await;
        for size in SIZES {
            let record = corpus::crate_with(&format!("grow{size}"), size, &owner);
            let (record, change) = record.imported(stamp(&owner));
            index.commit(None, &change, &record).await.unwrap();
        }
        commits(&index, &owner, folder, column).await;
    });
    column.add("on disk, MB", format!("{:.0}", backend.megabytes(runtime, folder)));

    let mut starts = vec![];
    for _ in 0..5 {
        let started = Instant::now();
        drop(Server::start(folder, &flags));
        starts.push(started.elapsed());
    }
    column.add("start until it listens", Spread::of(starts));

    let server = Server::start(folder, &flags);
    load::index_files(&server.address, corpus, column);
    load::searches(&server.address, corpus, column);
    publishes(&server.address, &token, column);
    let (now, most) = server.memory();
    let megabytes = |bytes: u64| bytes / 1_000_000;
    column.add(
        "resident after all that, MB",
        format!("{} (most: {})", megabytes(now), megabytes(most)),
    );
}

async fn import(index: &Arc<dyn Index>, corpus: &Arc<Corpus>, owner: &Owner, column: &mut Column) {
    let started = Instant::now();
    let mut importers = JoinSet::new();
    for importer in 0..IMPORTERS {
        let (index, corpus, owner) = (index.clone(), corpus.clone(), owner.clone());
        importers.spawn(async move {
            for rank in (importer..corpus.crates()).step_by(IMPORTERS) {
                let (record, change) = corpus.record(rank, &owner).imported(stamp(&owner));
                index.commit(None, &change, &record).await.unwrap();
            }
        });
    }
    importers.join_all().await;
    let seconds = started.elapsed().as_secs_f64();
    column.add("import", format!("{seconds:.0} s"));
    column.add("import, versions/s", format!("{:.0}", corpus.releases() as f64 / seconds));
}

/// Yanks and their undoing, each writer in a crate of its own, beside what the disk can do.
async fn commits(index: &Arc<dyn Index>, owner: &Owner, folder: &Path, column: &mut Column) {
    let mut rates = vec![];
    for writers in [1, 16] {
        let disk = fsync_rate(&folder.join("floor"), Duration::from_secs(3));
        let rate = load::commit_rate(index, owner, writers).await;
        column.add(
            &format!("commits/s, {writers} writers"),
            format!("{rate:.0} ({:.2} of {disk:.0} fsync/s)", rate / disk),
        );
        rates.push(rate);
    }
    column.add("16 writers against one", format!("{:.1} times", rates[1] / rates[0]));
}

/// One more version of crates that have few and many, in turn, so that all meet the same weather
/// on this disk.
fn publishes(address: &str, token: &str, column: &mut Column) {
    let mut times = vec![vec![]; SIZES.len()];
    for round in 0..ROUNDS {
        for (size, times) in SIZES.iter().zip(&mut times) {
            let body = publish_body(&format!("grow{size}"), &format!("9.{round}.0"));
            times.push(Connection::open(address).publish(token, &body));
        }
    }
    let spreads: Vec<_> = times.into_iter().map(Spread::of).collect();
    for (size, spread) in SIZES.iter().zip(&spreads) {
        column.add(&format!("publish at {size} versions"), spread);
    }
    let median = |at: usize| spreads[at].median.as_secs_f64();
    column.add(
        "publish at 5,000 versions against the first",
        format!("{:.2} times", median(SIZES.len() - 1) / median(0)),
    );
}

/// What was measured of one backend.
struct Column {
    name: &'static str,
    rows: Vec<(String, String)>,
}

impl Column {
    /// Printed at once as well: the whole takes long.
    fn add(&mut self, what: &str, value: impl ToString) {
        println!("  {what:>44}  {}", value.to_string());
        self.rows.push((what.to_owned(), value.to_string()));
    }
}

fn print_table(columns: &[Column]) {
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    println!("\n| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    let Some(first) = columns.first() else { return };
    for (row, (what, _)) in first.rows.iter().enumerate() {
        let values: Vec<_> = columns.iter().map(|column| column.rows[row].1.as_str()).collect();
        println!("| {what} | {} |", values.join(" | "));
    }
}

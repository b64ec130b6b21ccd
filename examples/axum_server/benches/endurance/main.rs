//! Mixed load for as long as it is told: reads at a fixed rate, writes, the installed cargo in a
//! loop, and one request in a hundred that means harm. Fails if the server does not stand it.
//!
//! Run it with `cargo bench -p axum_server --bench endurance -- --minutes 60`; with `--profile dev`
//! before the `--` it is quick to build, and reads at a fifth of the rate. Linux only: what the server
//! holds is in `/proc`.
//!
//! First the caches are filled, so that what is held more later on is not theirs. Then comes a
//! rehearsal of all of it, so that the server has made what it makes once; then reads alone, then all
//! of it, and reads alone again: that is the quiet to which the rest is compared. Each but the load
//! takes a tenth of its time, and a minute at most. At the end everybody goes away. It holds that
//!
//! - no answer is 5xx, and nobody honest gets another than they asked for;
//! - memory, open files, threads, tasks and connections are flat over the load: see [`flat`];
//! - files, tasks and threads are back where they were when everybody is gone;
//! - of honest reads, 99 in 100 take at most twice as long as in quiet.
//!
//! Whoever reads has a thread of its own, which does nothing else, and the rest of the load runs at
//! idle priority: it is the server that is to be measured, and not the load.

#[path = "../common/mod.rs"]
mod common;

mod cargo;
mod crowd;
mod flat;
mod full;
mod hostile;
mod http;
mod population;
mod process;
mod reads;
mod tally;
mod writes;

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{self as processes, Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{
    runtime::{Builder, Handle},
    time::MissedTickBehavior,
};

use self::{
    common::server::Server,
    crowd::Crowd,
    flat::Series,
    population::Population,
    process::{Process, Sample},
    reads::{Latencies, Percentiles},
    tally::Tally,
};

/// How often it is looked what the server holds.
const LOOK: Duration = Duration::from_secs(2);
/// For how long at the least everybody comes and nobody leaves yet: as long as any attack takes.
const WARM_UP: Duration = Duration::from_secs(100);
/// Files that may be opened late and stay. The database has four connections to read by, each opened
/// when all others are busy, and each with two files.
const LATE_FILES: f64 = 6.;
/// How long the server may take to let everything go.
const GOODBYE: Duration = Duration::from_secs(60);
/// By how many times the time that 99 of 100 reads take may grow.
const SLOWER: f64 = 2.;
/// Without optimization, little is left of the processors: below this, in microseconds, it is their
/// turns that are measured.
const LEAST_P99: u32 = if cfg!(debug_assertions) { 20_000 } else { 0 };

#[derive(Parser)]
struct Arguments {
    /// How long the load lasts; five at the least.
    #[arg(long, default_value_t = 5.)]
    minutes: f64,
    /// Honest reads in a second.
    #[arg(long, default_value_t = if cfg!(debug_assertions) { 100 } else { 500 })]
    rate: u32,
    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    assert!(arguments.minutes >= 5., "less says nothing: some attacks take more than a minute");
    flat::check();
    let folder = tempfile::tempdir().unwrap();
    let metrics = free_address().to_string();
    let variables = vec![("REGISTRY_METRICS", metrics.clone())];
    let server = Server::start_with(folder.path(), &[], variables);
    let readers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    give_way();
    let all_else = Builder::new_multi_thread().enable_all().build().unwrap();
    let process = Process { server: &server, metrics };
    all_else.block_on(load(&arguments, folder.path(), &process, readers.handle()))
}

/// From here on this thread, and every thread and process it starts, has what others leave of the
/// processors (`SCHED_IDLE`): on a registry's machine there are no clients, and no compilers. One that
/// is merely nicer is let go on for some milliseconds when the server has something to do.
fn give_way() {
    let thread = processes::id().to_string();
    let done = Command::new("chrt").args(["--idle", "--pid", "0", &thread]).status();
    assert!(done.expect("chrt, of util-linux").success());
}

async fn load(
    &Arguments { minutes, rate, .. }: &Arguments,
    folder: &Path,
    process: &Process<'_>,
    readers: &Handle,
) -> ExitCode {
    let server = process.server;
    let address: SocketAddr = server.address.parse().unwrap();
    let token = server.token();
    server.token_of("other");
    let tally = Arc::new(Tally::default());
    let population = Arc::new(Population::publish(address, &token).await);
    full::fill(folder, address).await;
    let load = Duration::from_secs_f64(minutes * 60.);
    let quiet = (load / 10).min(Duration::from_secs(60));
    let rehearsal = quiet;
    println!(
        "{rate} reads/s: {rehearsal:.0?} with all else, {quiet:.0?} alone, {load:.0?} with all \
         else, {quiet:.0?} alone"
    );
    let readers = readers.clone();
    let crowd = Crowd { server, readers, address, population, tally: tally.clone(), token, rate };
    let busy = crowd.do_all("rehearsal", &Arc::default());
    tokio::time::sleep(rehearsal).await;
    crowd.ask_at_once().await;
    busy.end().await;
    let [alone, loaded] = [Arc::default(), Arc::default()];
    crowd.read_for(quiet, &alone).await;
    let before = settled(process, None).await;
    print_sample("quiet", &before);

    let published = || tally.times(writes::PUBLISHED) + tally.times(cargo::PUBLISHED);
    let rehearsed = published();
    let busy = crowd.do_all("load", &loaded);
    let warm_up = (load / 10).max(WARM_UP);
    watch("warming up", process, warm_up).await;
    let samples = watch("load", process, load - warm_up).await;
    busy.end().await;
    // Once more, for the machine may have more to do now than it had then.
    crowd.read_for(quiet, &alone).await;
    let after = settled(process, Some(&before)).await;

    let published = (published() - rehearsed) as f64;
    let mut complaints = report(&tally, &samples, [before, after], published);
    complaints.extend(compare(&alone, &loaded));
    let metrics = process.metrics();
    let failed = metrics.sum("registry_http_requests_total", "status=\"5");
    println!("\n{} answers, {failed} of them 5xx", metrics.sum("registry_http_requests_total", ""));
    if failed > 0. {
        complaints.push(format!("{failed} answers were 5xx"));
    }
    let (times, failures) = tally.failures();
    if times > 0 {
        complaints.push(format!("{times} failures, the first of them: {failures:#?}"));
    }
    for complaint in &complaints {
        println!("FAILED: {complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Looks at the server every few seconds for so long.
async fn watch(phase: &str, process: &Process<'_>, duration: Duration) -> Vec<Sample> {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut samples, mut told) = (Vec::new(), 0);
    while began.elapsed() < duration {
        looks.tick().await;
        let sample = tokio::task::block_in_place(|| process.sample());
        samples.push(sample);
        let minutes = began.elapsed().as_secs() / 60;
        if minutes >= told {
            print_sample(&format!("{phase}, minute {minutes}"), &sample);
            told = minutes + 1;
        }
    }
    samples
}

/// Waits until the server holds no more than it did, or for as long as it may take to let go.
async fn settled(process: &Process<'_>, before: Option<&Sample>) -> Sample {
    let deadline = Instant::now() + GOODBYE;
    loop {
        let sample = tokio::task::block_in_place(|| process.sample());
        let is_back = match before {
            None => sample.connections == 0. && sample.requests == 0.,
            Some(before) => {
                held(before, &sample).iter().all(|(_, before, more, now)| *now <= before + more)
            }
        };
        if is_back || Instant::now() > deadline {
            return sample;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What is to be back where it was when everybody is gone: how much of it there was, how much more is
/// allowed, and how much there is.
fn held(before: &Sample, now: &Sample) -> [(&'static str, f64, f64, f64); 5] {
    [
        ("open files", before.files, LATE_FILES, now.files),
        ("threads", before.threads, 0., now.threads),
        ("tasks", before.tasks, 0., now.tasks),
        ("connections", before.connections, 0., now.connections),
        ("requests in flight", before.requests, 0., now.requests),
    ]
}

fn print_sample(when: &str, sample: &Sample) {
    let Sample { memory, files, threads, tasks, connections, requests } = sample;
    println!(
        "{when:>22}: {memory:6.1} MiB, {files} files, {threads} threads, {tasks} tasks, \
         {connections} connections, {requests} requests in flight"
    );
}

/// Prints what was done and what it took; says what is wrong with it.
fn report(tally: &Tally, samples: &[Sample], ends: [Sample; 2], published: f64) -> Vec<String> {
    println!("\n| What was done | how it ended |\n|---|---|\n{tally}");
    println!(
        "| What the server held | early | late | rise | allowed | most |\n|---|---|---|---|---|---|"
    );
    let of = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<_>>();
    let memory = of(|sample| sample.memory);
    // What is published takes the place of something else in caches that are full, and leaves gaps
    // where it does not fit.
    let allowed = ends[0].memory / 20.;
    let mut complaints = Vec::new();
    for (name, values, allowed) in [
        ("memory, MiB", memory, allowed),
        ("open files", of(|sample| sample.files), 10.),
        ("threads", of(|sample| sample.threads), 4.),
        ("tasks", of(|sample| sample.tasks), 10.),
        ("connections", of(|sample| sample.connections), 10.),
    ] {
        let series = Series { name, values: &values, allowed };
        println!("{series}");
        complaints.extend(series.complaint());
    }
    let [before, after] = ends;
    println!("\n| When nobody is there | before | after |\n|---|---|---|");
    println!("| memory, MiB | {:.1} | {:.1} |", before.memory, after.memory);
    for (name, before, more, after) in held(&before, &after) {
        println!("| {name} | {before} | {after} |");
        if after > before + more {
            complaints.push(format!("{name} stayed at {after}, from {before}"));
        }
    }
    println!("\n{published} versions were published meanwhile");
    complaints
}

/// Prints how long reads took, in quiet and under load; says if it is too long.
fn compare(alone: &Latencies, loaded: &Latencies) -> Option<String> {
    println!("\n| Honest reads | in quiet | p50, µs | p99, µs | under load | p50, µs | p99, µs |");
    println!("|---|---|---|---|---|---|---|");
    for ((kind, quiet), (_, loaded)) in alone.by_kind().into_iter().zip(loaded.by_kind()) {
        println!("| {kind} | {quiet} | {loaded} |");
    }
    let [Percentiles { p99: quiet, .. }, Percentiles { p99: loaded, .. }] =
        [alone.all(), loaded.all()];
    let most = f64::from(quiet.max(LEAST_P99)) * SLOWER;
    println!("\np99 under load is {:.2} of that in quiet", f64::from(loaded) / f64::from(quiet));
    (f64::from(loaded) > most).then(|| format!("p99 is {loaded} µs, allowed {most} µs"))
}

/// One that nobody listens at, for the moment.
fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

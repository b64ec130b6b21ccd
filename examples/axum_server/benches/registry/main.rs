//! What the reference server costs, beside the least that the same work can cost here: bare hyper
//! for requests, and bare write, fsync and rename for a publish. Prints figures, asserts none.
//!
//! Run it with `cargo bench -p axum_server --bench registry`. Server and load share this machine's cores, so the
//! ratios say more than the rates.

#[path = "../common/mod.rs"]
mod common;
mod hyper;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use registry_core::{CrateName, IndexLine, conformance::fixture::publish_body};

use self::{
    common::{Spread, client::Connection, disk::Floor, noise::NoisyCrate, server::Server},
    hyper::bare_hyper,
};

/// How long each read is measured, after a tenth of it to warm up.
const DURATION: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 4;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let token = server.token();
    let mut connection = Connection::open(&server.address);
    publishes(&mut connection, &token, folder.path());

    for (name, versions) in [("one", 1), ("twohundred", 200)] {
        for number in 0..versions {
            connection.publish(&token, &publish_body(name, &format!("1.{number}.0")));
        }
    }
    let big = NoisyCrate { name: "big", version: "1.0.0", size: 10 << 20 };
    let big = connection.publish(&token, &big.publish_body());
    println!("  a crate of 10 MiB, once: {big:.2?}");
    reads(&server.address);
}

/// Each publish is followed by the least that makes as many bytes durable, so that both meet the
/// same weather on this disk.
fn publishes(connection: &mut Connection, token: &str, folder: &Path) {
    println!("publish, one after the other, durable: SQLite and a folder on disk");
    let mut floor = Floor::new(folder, "floor");
    let mut measure = |what: &str, names: &mut dyn Iterator<Item = (String, String)>| {
        let (mut times, mut floors) = (vec![], vec![]);
        for (name, version) in names {
            let body = publish_body(&name, &version);
            times.push(connection.publish(token, &body));
            floors.push(floor.write_fsync_rename(&body));
        }
        let (time, floor) = (Spread::of(times), Spread::of(floors));
        println!("  {what:>44} {time}");
        println!("  {:>44} {floor}", "bare write, fsync, rename, fsync of folder");
        let rate = floor.median.as_secs_f64() / time.median.as_secs_f64();
        println!("  {:>44} {rate:.2} of the bare rate", "");
    };
    let version = |number: usize| ("many".to_owned(), format!("1.{number}.0"));
    let first = |number: usize| (format!("first{number}"), "1.0.0".to_owned());
    measure("1st version, of 50 crates", &mut (0..50).map(first));
    measure("versions 1 to 175", &mut (0..175).map(version));
    measure("versions 176 to 225", &mut (175..225).map(version));
    measure("versions 226 to 950", &mut (225..950).map(version));
    measure("versions 951 to 1,000", &mut (950..1000).map(version));
}

fn reads(address: &str) {
    // The server does not keep a connection for as long as one measurement takes.
    let open = || Connection::open(address);
    println!("\nreads, {CONNECTIONS} connections, {DURATION:?} each");
    let hyper = bare_hyper(1024);
    let limit = rate("bare hyper, 1 KiB", &hyper, "/", &[], None);
    let one = "/main/index/3/o/one";
    let many = "/main/index/tw/oh/twohundred";
    rate("config.json", address, "/main/index/config.json", &[], Some(limit));
    rate("index file, 1 version", address, one, &[], Some(limit));
    rate("index file, 200 versions", address, many, &[], Some(limit));
    rate("index file, absent", address, "/main/index/no/ne/none", &[], Some(limit));
    for (what, path) in [("304, 1 version", one), ("304, 200 versions", many)] {
        let answer = open().get(path, &[]);
        let headers = [("if-none-match", answer.header("etag").unwrap())];
        rate(what, address, path, &headers, Some(limit));
    }
    let small = download_path(&mut open(), "one", "1.0.0");
    rate("download, small crate", address, &small, &[], Some(limit));

    let big = download_path(&mut open(), "big", "1.0.0");
    let size = open().get(&big, &[]).body.len();
    let hyper = bare_hyper(size);
    let limit = rate("bare hyper, 10 MiB from memory", &hyper, "/", &[], None);
    let share = rate("download, 10 MiB crate", address, &big, &[], Some(limit));
    println!(
        "  {:>44} {:>8.0} MB/s, bare hyper {:.0} MB/s",
        "",
        megabytes(share, size),
        megabytes(limit, size)
    );
}

fn megabytes(rate: f64, size: usize) -> f64 {
    rate * size as f64 / 1e6
}

/// Requests per second, printed with their share of `limit`.
fn rate(
    what: &str,
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    limit: Option<f64>,
) -> f64 {
    let count = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(address);
                    let started = Instant::now();
                    while started.elapsed() < DURATION / 10 {
                        connection.skim(path, headers);
                    }
                    let (started, mut count) = (Instant::now(), 0);
                    while started.elapsed() < DURATION {
                        let (status, _) = connection.skim(path, headers);
                        assert!(matches!(status, 200 | 304 | 404), "{status}");
                        count += 1;
                    }
                    f64::from(count) / started.elapsed().as_secs_f64()
                })
            })
            .collect();
        loads.into_iter().map(|load| load.join().unwrap()).sum::<f64>()
    });
    let share = limit.map(|limit| format!("   {:.2} of bare hyper", count / limit));
    println!("  {what:>44} {count:>8.0} /s{}", share.unwrap_or_default());
    count
}

/// Where `config.json` sends a client for a crate file.
fn download_path(connection: &mut Connection, name: &str, version: &str) -> String {
    let path = CrateName::new(name).unwrap().sparse_path();
    let lines = connection.get(&format!("/main/index/{path}"), &[]).body;
    let line = lines.split(|byte| *byte == b'\n').next().unwrap();
    let line = IndexLine::parse(line.to_vec().into()).unwrap();
    format!("/main/dl/{name}/{version}/{}", line.checksum())
}

//! What the reference server costs, beside the least that the same work can cost here: bare hyper
//! for requests, and bare write, fsync and rename for a publish. Prints figures, asserts none.
//!
//! Run it with `cargo bench -p axum_server`. Server and load share this machine's cores, so the
//! ratios say more than the rates.

mod client;
mod floor;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use registry_core::conformance::fixture::{crate_file, publish_body};

use self::client::{Answer, Connection};

/// How long each read is measured, after a tenth of it to warm up.
const DURATION: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 4;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let token = server.token();
    let mut connection = Connection::open(&server.address);

    println!("publish, one after the other, 1 connection (durable: SQLite and folder on disk)");
    let mut times = vec![];
    for number in 0..1000 {
        let body = publish_body("many", &format!("1.{number}.0"));
        times.push(connection.publish(&token, &body));
    }
    for (from, to) in [(0, 10), (190, 200), (990, 1000)] {
        println!("  versions {:>4} to {to:>4}   {}", from + 1, each(&mut times[from..to]));
    }
    let file = crate_file("many", "1.0.0", "").len();
    let mut floor = floor::write_fsync_rename(folder.path(), file, 100);
    println!(
        "  bare write + fsync + rename + fsync of the folder, {file} bytes   {}",
        each(&mut floor)
    );

    for (name, versions) in [("one", 1), ("twohundred", 200)] {
        for number in 0..versions {
            connection.publish(&token, &publish_body(name, &format!("1.{number}.0")));
        }
    }
    let big = big_publish_body("big", 10 << 20);
    println!("  a 10 MiB crate   {:?}", connection.publish(&token, &big));

    let hyper = floor::bare_hyper(1024);
    println!("\nreads, {CONNECTIONS} connections, {DURATION:?} each");
    let limit = rate("bare hyper, 1 KiB", &hyper, "/", &[], None);
    let one = "/main/index/3/o/one";
    let many = "/main/index/tw/oh/twohundred";
    rate("config.json", &server.address, "/main/index/config.json", &[], Some(limit));
    rate("index file, 1 version", &server.address, one, &[], Some(limit));
    rate("index file, 200 versions", &server.address, many, &[], Some(limit));
    rate("index file, absent", &server.address, "/main/index/no/ne/none", &[], Some(limit));
    for path in [one, many] {
        let etag = connection.get(path, &[]).header("etag").unwrap();
        let known = [("if-none-match", etag.as_str())];
        rate(&format!("304 of {path}"), &server.address, path, &known, Some(limit));
    }
    let small = connection.download_path("one", "1.0.0");
    rate("download, small crate", &server.address, &small, &[], Some(limit));
    let big = connection.download_path("big", "1.0.0");
    let size = connection.get(&big, &[]).body.len();
    let per_second = rate("download, 10 MiB crate", &server.address, &big, &[], None);
    println!("  {:>44} {:.0} MB/s", "", per_second * size as f64 / 1e6);
    let hyper = floor::bare_hyper(size);
    let per_second = rate("bare hyper, as many bytes from memory", &hyper, "/", &[], None);
    println!("  {:>44} {:.0} MB/s", "", per_second * size as f64 / 1e6);
}

/// Median and range of single times.
fn each(times: &mut [Duration]) -> String {
    times.sort();
    let [min, median, max] = [times[0], times[times.len() / 2], times[times.len() - 1]];
    format!("median {median:.2?} ({min:.2?} to {max:.2?})")
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
                        connection.get(path, headers);
                    }
                    let (started, mut count) = (Instant::now(), 0);
                    while started.elapsed() < DURATION {
                        let Answer { status, .. } = connection.get(path, headers);
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

/// A crate whose file has about `size` bytes: its content does not compress.
fn big_publish_body(name: &str, size: usize) -> Vec<u8> {
    // A xorshift generator: noise without a dependency.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: String = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    })
    .take(size / 9)
    .collect();
    let file = crate_file(name, "1.0.0", &format!("[package.metadata]\nnoise = \"{noise}\"\n"));
    let metadata = format!(r#"{{"name":"{name}","vers":"1.0.0"}}"#);
    registry_core::conformance::fixture::publish_body_of(metadata.as_bytes(), &file)
}

struct Server {
    child: Child,
    address: String,
    data: std::path::PathBuf,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        let mut child = Command::new(env!("CARGO_BIN_EXE_axum_server"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address, data }
    }

    fn token(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_axum_server"))
            .args(["token", "create", "--user", "bench", "--data"])
            .arg(&self.data)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

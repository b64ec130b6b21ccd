//! What a token costs: an index file of a private registry, whose principal is remembered, beside
//! the same of a public one. Prints figures, asserts none.
//!
//! Run it with `cargo bench -p axum_server --bench access`. Both servers read one database. They are
//! asked in turns, so that both meet the same weather on this machine; the ratio is the median over
//! all turns, and is to be at most 1.10.

#[path = "../common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use registry_core::conformance::fixture::publish_body;

use self::common::{client::Connection, server::Server};

/// How long one is asked before it is the other's turn.
const TURN: Duration = Duration::from_millis(50);
const TURNS: usize = 100;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let public = Server::start(folder.path(), &[]);
    let private = Server::start(folder.path(), &["--private".into()]);
    let token = public.token();
    let mut publisher = Connection::open(&public.address);
    for number in 0..20 {
        publisher.publish(&token, &publish_body("twenty", &format!("1.{number}.0")));
    }
    publisher.publish(&token, &publish_body("one", "1.0.0"));
    let path = "/main/index/tw/en/twenty";
    let etag = publisher.get(path, &[]).header("etag").unwrap().to_owned();

    println!("index files, public and private in turns of {TURN:?}, one request after the other");
    let authorization = ("authorization", &*token);
    let held = ("if-none-match", &*etag);
    for (what, path, headers) in [
        ("1 version", "/main/index/3/o/one", &[][..]),
        ("20 versions", path, &[]),
        ("304, 20 versions", path, &[held]),
    ] {
        let public = Asked::new(&public, path, headers.to_vec());
        let private = Asked::new(&private, path, [headers, &[authorization]].concat());
        compare(what, public, private);
    }
}

fn compare(what: &str, mut public: Asked<'_>, mut private: Asked<'_>) {
    // Both warm up.
    public.turn();
    private.turn();
    let (mut times, mut ratios) = ([vec![], vec![]], vec![]);
    for turn in 0..TURNS {
        // Who comes first alternates, too.
        let (one, other) = match turn % 2 {
            0 => (public.turn(), private.turn()),
            _ => {
                let private = private.turn();
                (public.turn(), private)
            }
        };
        times[0].push(one);
        times[1].push(other);
        ratios.push(other / one);
    }
    let [public, private] = times.map(|times| median(times) * 1e6);
    let ratio = median(ratios);
    println!("  {what:>20}  public {public:.1} µs, private {private:.1} µs, ratio {ratio:.3}");
}

/// One server, and what it is asked for.
struct Asked<'a> {
    connection: Connection,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Asked<'a> {
    fn new(server: &Server, path: &'a str, headers: Vec<(&'a str, &'a str)>) -> Self {
        Self { connection: Connection::open(&server.address), path, headers }
    }

    /// Seconds that one request took, on average.
    fn turn(&mut self) -> f64 {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < TURN {
            let (status, _) = self.connection.skim(self.path, &self.headers);
            assert!(matches!(status, 200 | 304), "{status}");
            count += 1;
        }
        started.elapsed().as_secs_f64() / f64::from(count)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

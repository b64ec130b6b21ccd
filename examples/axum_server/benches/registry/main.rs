//! What a publish costs, beside the least that the same work can cost here: bare write, fsync and
//! rename. Prints figures, asserts none.
//!
//! Run it with `cargo bench -p axum_server --bench registry`. Server and load share this machine's
//! cores, so the ratios say more than the rates.

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;

use registry_core::conformance::fixture::publish_body;

use self::common::{Spread, client::Connection, disk::Floor, noise::NoisyCrate, server::Server};

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let token = server.token();
    let mut connection = Connection::open(&server.address);
    publishes(&mut connection, &token, folder.path());

    let big = NoisyCrate { name: "big", version: "1.0.0", size: 10 << 20 };
    let big = connection.publish(&token, &big.publish_body());
    println!("  a crate of 10 MiB, once: {big:.2?}");
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

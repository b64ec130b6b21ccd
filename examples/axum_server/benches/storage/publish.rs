//! Publishes of large files, beside a bare write, fsync and rename of the same bytes. Small ones, of
//! which only fsyncs count, are measured by the bench `publish`.

use std::path::Path;

use crate::{
    Effort, Goal, MIB, Rates,
    common::{client::Connection, disk::Floor, noise::NoisyCrate, server::Server},
    rate,
};

const GOAL: Goal = Goal::AtLeast(0.5);

pub(crate) fn measure(effort: Effort) {
    println!("\npublish, durable: SQLite and a folder on disk");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let token = server.token();
    for clients in [1, 8] {
        let work = Work { size: 10 * MIB, clients, each: if effort.quick { 1 } else { 2 } };
        let rates = work.measure(&server, &token, folder.path(), effort);
        println!(
            "  {:>30}  {:>6.1}/s, bare write {:>6.1}/s: {:.2} of it ({})",
            format!("10 MiB, {clients} at once"),
            rates.ours,
            rates.other,
            rates.ratio,
            GOAL.of(rates.ratio),
        );
    }
}

/// What there is to publish in a turn.
struct Work {
    size: u64,
    clients: usize,
    /// Versions that each client publishes, one after the other, of a crate of its own.
    each: usize,
}

impl Work {
    fn measure(&self, server: &Server, token: &str, folder: &Path, effort: Effort) -> Rates {
        let names: Vec<_> = (0..self.clients)
            .map(|client| format!("c{client}of{}x{}", self.clients, self.size))
            .collect();
        let mut floors: Vec<_> = names.iter().map(|name| Floor::new(folder, name)).collect();
        // As most publishes: of a crate that is there.
        for name in &names {
            let first = NoisyCrate { name, version: "0.0.0", size: self.size };
            Connection::open(&server.address).publish(token, &first.publish_body());
        }
        let bodies = |round| {
            let of = |name: &String| -> Vec<_> {
                let body = |number| {
                    let version = format!("1.{round}.{number}");
                    NoisyCrate { name, version: &version, size: self.size }.publish_body()
                };
                (0..self.each).map(body).collect()
            };
            names.iter().map(of).collect::<Vec<_>>()
        };
        Rates::in_turns(
            effort.rounds(),
            bodies,
            |bodies| {
                let open = || Connection::open(&server.address);
                let connections = bodies.iter().map(|_| open());
                rate(bodies, connections, |connection, body| {
                    connection.publish(token, body);
                })
            },
            |bodies| {
                rate(bodies, floors.iter_mut(), |floor, body| {
                    floor.write_fsync_rename(body);
                })
            },
        )
    }
}

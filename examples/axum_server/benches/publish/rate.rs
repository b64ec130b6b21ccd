//! Publishes per second of 20 KiB, by one client and by eight at once, each beside one writer who does
//! the least there is.

use std::time::Instant;

use crate::{
    Effort, Goal, KIB,
    common::{client::Connection, noise::NoisyCrate, server::Server},
    floor::Floor,
    folder, median,
};

/// Publishes of one turn, by all clients together, and commits of one turn.
const TURN: usize = 160;

pub(crate) fn measure(effort: Effort) {
    println!("\npublishes of 20 KiB, durable: SQLite and a folder on disk");
    println!("  beside one writer of a file with fsync, then a SQLite commit at synchronous=FULL");
    let folder = folder();
    let mut floor = Floor::new(folder.path());
    let server = Server::start(folder.path(), &[]);
    let token = server.token();
    for (clients, goal) in [(1, Goal::AtLeast(0.5)), (8, Goal::AtLeast(1.0))] {
        let (mut rates, mut floors, mut ratios) = (vec![], vec![], vec![]);
        for round in 0..effort.of(15, 1) {
            let bodies = bodies(clients, round, effort.of(TURN, 8) / clients);
            // As most publishes: of a crate that is there.
            publish(&server.address, &token, &first(clients, round));
            let ours = || publish(&server.address, &token, &bodies);
            let mut least = || commit(&mut floor, &bodies);
            // Each begins as often as the other.
            let (ours, least) = if round % 2 == 0 {
                let ours = ours();
                (ours, least())
            } else {
                let least = least();
                (ours(), least)
            };
            rates.push(ours);
            floors.push(least);
            ratios.push(ours / least);
        }
        let ratio = median(ratios);
        println!(
            "  {:>30}  {:>6.0}/s, floor {:>6.0}/s: {ratio:.2} of it ({})",
            format!("{clients} at once"),
            median(rates),
            median(floors),
            goal.of(ratio),
        );
    }
}

fn name(client: usize, clients: usize, round: usize) -> String {
    format!("r{round}c{client}of{clients}")
}

fn body(name: &str, version: &str) -> Vec<u8> {
    NoisyCrate { name, version, size: 20 * KIB }.publish_body()
}

/// The first version of each client's crate of this round.
fn first(clients: usize, round: usize) -> Vec<Vec<Vec<u8>>> {
    (0..clients).map(|client| vec![body(&name(client, clients, round), "0.0.0")]).collect()
}

/// What each client publishes after that, one after the other.
fn bodies(clients: usize, round: usize, each: usize) -> Vec<Vec<Vec<u8>>> {
    let of = |client| {
        let body = |number| body(&name(client, clients, round), &format!("1.0.{number}"));
        (0..each).map(body).collect()
    };
    (0..clients).map(of).collect()
}

/// How many are published in a second, by as many clients as there are lists.
fn publish(address: &str, token: &str, bodies: &[Vec<Vec<u8>>]) -> f64 {
    let connections: Vec<_> = bodies.iter().map(|_| Connection::open(address)).collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (mut connection, bodies) in connections.into_iter().zip(bodies) {
            scope.spawn(move || {
                for body in bodies {
                    connection.publish(token, body);
                }
            });
        }
    });
    count(bodies) as f64 / started.elapsed().as_secs_f64()
}

/// The same bytes by the writer beside.
fn commit(floor: &mut Floor, bodies: &[Vec<Vec<u8>>]) -> f64 {
    let started = Instant::now();
    bodies.iter().flatten().for_each(|body| floor.write_fsync_commit(body));
    count(bodies) as f64 / started.elapsed().as_secs_f64()
}

fn count(bodies: &[Vec<Vec<u8>>]) -> usize {
    bodies.iter().map(Vec::len).sum()
}

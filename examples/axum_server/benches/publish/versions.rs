//! What the 500th version of a crate costs beside the first of another.

use std::time::Duration;

use crate::{
    Effort, Goal, KIB,
    common::{Spread, client::Connection, noise::NoisyCrate, server::Server},
    folder,
};

/// How many versions the crate has in the end.
const VERSIONS: usize = 500;
/// Turns, which are at the last of them.
const TURNS: usize = 100;

pub(crate) fn measure(effort: Effort) {
    println!("\npublishes of 20 KiB of crates with few and with many versions, in turns");
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let token = server.token();
    let mut connection = Connection::open(&server.address);
    let mut publish = |name: &str, version: &str| -> Duration {
        let body = NoisyCrate { name, version, size: 20 * KIB }.publish_body();
        connection.publish(&token, &body)
    };
    let (versions, turns) = (effort.of(VERSIONS, 12), effort.of(TURNS, 4));
    for number in 0..versions - turns {
        publish("grows", &format!("1.0.{number}"));
    }
    let (mut first, mut second, mut last) = (vec![], vec![], vec![]);
    for turn in 0..turns {
        let name = format!("new{turn}");
        last.push(publish("grows", &format!("1.0.{}", versions - turns + turn)));
        first.push(publish(&name, "1.0.0"));
        second.push(publish(&name, "1.0.1"));
    }
    let (first, second, last) = (Spread::of(first), Spread::of(second), Spread::of(last));
    println!("  {:>30}  {first}", "first of a crate");
    println!("  {:>30}  {second}", "second of a crate");
    println!("  {:>30}  {last}", format!("last of {versions} of a crate"));
    let ratio = |of: &Spread| last.median.as_secs_f64() / of.median.as_secs_f64();
    let (to_first, to_second) = (ratio(&first), ratio(&second));
    println!("  {:>30}  {to_first:.2} ({})", "last / first", Goal::AtMost(1.1).of(to_first));
    println!("  {:>30}  {to_second:.2}", "last / second");
}

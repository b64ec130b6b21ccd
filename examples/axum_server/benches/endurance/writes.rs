//! Honest writes, one after the other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    common::noise::NoisyCrate,
    http::{Connection, request},
    population::publish_request,
    tally::Tally,
};

/// Crates that are written to.
const CRATES: u64 = 20;
pub(crate) const PUBLISHED: &str = "publish";

/// Who writes.
pub(crate) struct Writer {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) tally: Arc<Tally>,
    /// Writes in a second.
    pub(crate) rate: f64,
    /// Is in the names of the crates.
    pub(crate) name: &'static str,
}

impl Writer {
    /// Writes until `stop`. Of ten writes one makes the index longer.
    pub(crate) async fn run(self, stop: watch::Receiver<()>) {
        let mut ticks = interval(Duration::from_secs_f64(1. / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0;
        while !stop.has_changed().unwrap_or(true) {
            ticks.tick().await;
            let (what, status, request) = self.request(turn);
            turn += 1;
            // As cargo does it: on a connection of its own.
            let answer = async { Connection::open(self.address).await?.ask(&request).await };
            match answer.await {
                Ok(answer) => {
                    self.tally.count(what, answer.status);
                    if answer.status != status {
                        self.tally.fail(what, answer.status);
                    }
                }
                Err(error) => self.tally.fail(what, error),
            }
        }
    }

    /// What is done, what comes of it, and how it is asked for.
    fn request(&self, turn: u64) -> (&'static str, u16, Vec<u8>) {
        let (round, step) = (turn / 10, turn % 10);
        let (name, number) = (format!("{}-{}", self.name, round % CRATES), round / CRATES);
        let version = format!("1.0.{number}");
        let path = |end: &str| format!("/main/api/v1/crates/{name}/{end}");
        let send = |method: &str, path: String, body: &[u8]| {
            request(method, &path, &[("authorization", &self.token)], body)
        };
        let publish = || {
            let published = NoisyCrate { name: &name, version: &version, size: 20 << 10 };
            publish_request(&self.token, &published.publish_body())
        };
        const OWNERS: &[u8] = br#"{"users":["other"]}"#;
        match step {
            0 => (PUBLISHED, 200, publish()),
            1 | 9 => ("publish of what is there", 409, publish()),
            2 | 5 => ("yank", 200, send("DELETE", path(&format!("{version}/yank")), b"")),
            3 | 6 => ("unyank", 200, send("PUT", path(&format!("{version}/unyank")), b"")),
            4 => ("add an owner", 200, send("PUT", path("owners"), OWNERS)),
            7 => ("list owners", 200, send("GET", path("owners"), b"")),
            _ => ("remove an owner", 200, send("DELETE", path("owners"), OWNERS)),
        }
    }
}

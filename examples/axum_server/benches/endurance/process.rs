//! What the server's process holds.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::common::server::Server;

/// What is looked at every few seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Resident memory, in MiB.
    pub(crate) memory: f64,
    pub(crate) files: f64,
    pub(crate) threads: f64,
    pub(crate) tasks: f64,
    pub(crate) connections: f64,
    pub(crate) requests: f64,
}

/// A server, and where its metrics are.
pub(crate) struct Process<'a> {
    pub(crate) server: &'a Server,
    pub(crate) metrics: String,
}

impl Process<'_> {
    pub(crate) fn sample(&self) -> Sample {
        let pid = self.server.child.id();
        let entries = |what| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count() as f64;
        let metrics = self.metrics();
        Sample {
            memory: self.server.memory().0 as f64 / f64::from(1 << 20),
            files: entries("fd"),
            threads: entries("task"),
            tasks: metrics.sum("registry_server_tasks", ""),
            connections: metrics.sum("registry_server_connections", ""),
            requests: metrics.sum("registry_http_requests_in_flight", ""),
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let text = self.read().expect("the server tells its metrics");
        Metrics(text)
    }

    fn read(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.metrics)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// All that a server says of itself.
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sum of all of this name whose labels contain a text.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let (mut sum, mut found) = (0., false);
        for line in lines {
            let (labels, number) = line.rsplit_once(' ').expect("a number");
            if labels.is_empty() || labels.starts_with('{') {
                found = true;
                if labels.contains(label) {
                    sum += number.parse::<f64>().unwrap();
                }
            }
        }
        assert!(found, "there is no {name}");
        sum
    }
}

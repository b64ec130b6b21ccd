//! What crates that are published take of the server's memory.

use crate::{
    Effort, Goal, KIB, MIB,
    common::{
        client::Connection,
        noise::NoisyCrate,
        server::{Server, Variables},
    },
    rate,
};

const GOAL: Goal = Goal::AtMost(64.0);
const CLIENTS: usize = 8;

pub(crate) fn measure(effort: Effort) {
    println!("\nhighest resident memory above that of an idle server");
    for place in [Some(Place::folder()), Place::bucket()].into_iter().flatten() {
        let versions: &[_] = if effort.quick { &["1.0.0"] } else { &["1.0.0", "1.0.1", "1.0.2"] };
        let bodies: Vec<Vec<_>> = (0..CLIENTS)
            .map(|client| {
                let name = &format!("client{client}");
                let crates =
                    versions.iter().map(|version| NoisyCrate { name, version, size: 10 * MIB });
                crates.map(|file| file.publish_body()).collect()
            })
            .collect();
        let rise = place.rise(|address, token| {
            let connections = bodies.iter().map(|_| Connection::open(address));
            rate(&bodies, connections, |connection, body| {
                connection.publish(token, body);
            });
        });
        place.print("8 clients at once, 10 MiB each", rise);
    }
}

/// Where the crate files are.
struct Place {
    name: &'static str,
    variables: Variables,
}

impl Place {
    fn folder() -> Self {
        Self { name: "a folder", variables: vec![] }
    }

    /// A part of the bucket that the tests use.
    fn bucket() -> Option<Self> {
        let Ok(service) = std::env::var("REGISTRY_TEST_S3") else {
            println!("  without a bucket: REGISTRY_TEST_S3 does not say where one is");
            return None;
        };
        let (endpoint, bucket) = service.rsplit_once('/').expect("http://HOST:PORT/BUCKET");
        let url = format!("s3://{bucket}/bench_{}", std::process::id());
        Some(Self {
            name: "a bucket",
            variables: vec![
                ("REGISTRY_STORAGE", url),
                ("AWS_ENDPOINT_URL", endpoint.to_owned()),
                ("AWS_ALLOW_HTTP", "true".into()),
            ],
        })
    }

    /// How much more memory a server has at the most while `work` is done, in bytes. It is given
    /// the address and a token.
    fn rise(&self, work: impl FnOnce(&str, &str)) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_with(folder.path(), &[], self.variables.clone());
        let token = server.token();
        // What is made once, such as connections to a database, is not what a crate costs.
        let first = NoisyCrate { name: "first", version: "1.0.0", size: 20 * KIB };
        Connection::open(&server.address).publish(&token, &first.publish_body());
        server.reset_highest_memory();
        let (idle, _) = server.memory();
        work(&server.address, &token);
        let (_, highest) = server.memory();
        highest - idle
    }

    fn print(&self, what: &str, rise: u64) {
        let rise = rise as f64 / MIB as f64;
        println!("  {what}, {}: {rise:.0} MiB ({})", self.name, GOAL.of(rise));
    }
}

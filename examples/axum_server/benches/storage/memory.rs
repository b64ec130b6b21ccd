//! What crates that are published take of the server's memory.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use registry_storage::object_store::{ObjectStore, aws::AmazonS3Builder, path::Path};

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

pub(crate) fn measure(effort: Effort) {
    println!("\nhighest resident memory above that of an idle server");
    for place in [Some(Place::folder()), Place::bucket()].into_iter().flatten() {
        place.measure("8 clients at once, 10 MiB each", vec![], |address, token| {
            at_once(address, token, if effort.quick { 1 } else { 3 });
        });
        let huge = if effort.quick { 100 * MIB } else { 1024 * MIB };
        let limit = ("REGISTRY_MAX_CRATE_SIZE", huge.to_string());
        place.measure(&format!("one of {} MiB", huge / MIB), vec![limit], |address, token| {
            let file = NoisyCrate { name: "huge", version: "1.0.0", size: huge };
            let length = file.publish_body_len();
            let mut connection = Connection::open(address);
            connection.publish_from(token, length, |sink| file.write_publish_body(sink));
        });
        place.remove();
    }
}

/// Eight clients, each of which publishes so many versions of a crate of its own.
fn at_once(address: &str, token: &str, versions: usize) {
    let bodies: Vec<Vec<_>> = (0..8)
        .map(|client| {
            let name = &format!("client{client}");
            let body = |number| {
                let version = &format!("1.0.{number}");
                NoisyCrate { name, version, size: 10 * MIB }.publish_body()
            };
            (0..versions).map(body).collect()
        })
        .collect();
    let connections = bodies.iter().map(|_| Connection::open(address));
    rate(&bodies, connections, |connection, body| {
        connection.publish(token, body);
    });
}

/// Where the crate files are.
struct Place {
    name: &'static str,
    variables: Variables,
    bucket: Option<(Arc<dyn ObjectStore>, Path)>,
}

impl Place {
    fn folder() -> Self {
        Self { name: "a folder", variables: vec![], bucket: None }
    }

    /// A part of the bucket that the tests use.
    fn bucket() -> Option<Self> {
        let Ok(service) = std::env::var("REGISTRY_TEST_S3") else {
            println!("  without a bucket: REGISTRY_TEST_S3 does not say where one is");
            return None;
        };
        let (endpoint, bucket) = service.rsplit_once('/').expect("http://HOST:PORT/BUCKET");
        let prefix = format!("bench_{}", std::process::id());
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .build();
        Some(Self {
            name: "a bucket",
            variables: vec![
                ("REGISTRY_STORAGE", format!("s3://{bucket}/{prefix}")),
                ("AWS_ENDPOINT_URL", endpoint.to_owned()),
                ("AWS_ALLOW_HTTP", "true".into()),
            ],
            bucket: Some((Arc::new(store.unwrap()), prefix.into())),
        })
    }

    /// Prints how much more memory a server has at the most while `work` is done. It is given the
    /// address and a token.
    fn measure(&self, what: &str, variables: Variables, work: impl FnOnce(&str, &str)) {
        let folder = tempfile::tempdir().unwrap();
        let variables = [&self.variables[..], &variables].concat();
        let server = Server::start_with(folder.path(), &[], variables);
        let token = server.token();
        // What is made once, such as connections to a database, is not what a crate costs.
        let first = NoisyCrate { name: "first", version: "1.0.0", size: 20 * KIB };
        Connection::open(&server.address).publish(&token, &first.publish_body());
        server.reset_highest_memory();
        let (idle, _) = server.memory();
        work(&server.address, &token);
        let (_, highest) = server.memory();
        let rise = (highest - idle) as f64 / MIB as f64;
        println!("  {what}, {}: {rise:.0} MiB ({})", self.name, GOAL.of(rise));
    }

    /// Leaves nothing in the bucket.
    fn remove(&self) {
        let Some((store, prefix)) = &self.bucket else { return };
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let paths = store.list(Some(prefix)).map_ok(|object| object.location).boxed();
            store.delete_stream(paths).try_for_each(async |_| Ok(())).await.unwrap();
        });
    }
}

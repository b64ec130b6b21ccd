//! Caches that are full from the beginning: what the server holds more later on is not theirs.

use std::{net::SocketAddr, path::Path};

use crate::{
    common::import::import,
    http::{Connection, get, request},
    population::index,
};

/// Their index files are some 140 MB, and their records more; compressed in two codings they are 18.
/// Of these the server keeps 48, 16 and 16 MiB.
const CRATES: usize = 2_000;
const VERSIONS: usize = 100;

/// Brings crates into the index of the server whose data are in `folder`, and asks for all that is
/// kept of them.
pub(crate) async fn fill(folder: &Path, server: SocketAddr) {
    let crates: Vec<_> = (0..CRATES).map(|number| (format!("full-{number}"), VERSIONS)).collect();
    import(folder, &crates).await;
    let mut connection = Connection::open(server).await.unwrap();
    for (name, _) in crates {
        let file = index(&name);
        let compressed = |coding| request("GET", &file, &[("accept-encoding", coding)], b"");
        let versions = get(&format!("/main/api/v1/crates/{name}/versions"));
        for request in [get(&file), compressed("gzip"), compressed("zstd"), versions] {
            let answer = connection.ask(&request).await.unwrap();
            assert_eq!(answer.status, 200, "{name}");
        }
    }
}

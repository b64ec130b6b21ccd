//! The crates that are there from the beginning, and stay as they are.

use std::net::SocketAddr;

use crate::{
    common::noise::NoisyCrate,
    http::{Connection, get, request},
};

/// How many crates are read at random.
const CRATES: usize = 200;
/// Versions of the crate that everybody reads.
const HOT_VERSIONS: usize = 20;

/// Bytes of the largest file.
pub(crate) const LARGE: u64 = 1 << 20;

/// What readers ask for.
pub(crate) struct Population {
    crates: Vec<Paths>,
    pub(crate) hot: String,
    pub(crate) hot_etag: String,
    /// Of a file of [`LARGE`] bytes.
    pub(crate) large: String,
}

/// Where the files of a crate are.
pub(crate) struct Paths {
    pub(crate) index: String,
    pub(crate) download: String,
}

impl Population {
    pub(crate) async fn publish(to: SocketAddr, token: &str) -> Self {
        let mut connection = Connection::open(to).await.unwrap();
        let mut crates = Vec::new();
        for number in 0..CRATES {
            let name = format!("read-{number}");
            let published = NoisyCrate { name: &name, version: "1.0.0", size: 20 << 10 };
            publish(&mut connection, token, &published).await;
            crates.push(Paths { index: index(&name), download: published.download_path() });
        }
        for number in 0..HOT_VERSIONS {
            let version = format!("1.{number}.0");
            let published = NoisyCrate { name: "hot-one", version: &version, size: 20 << 10 };
            publish(&mut connection, token, &published).await;
        }
        let large = NoisyCrate { name: "large", version: "1.0.0", size: LARGE };
        publish(&mut connection, token, &large).await;
        let hot = index("hot-one");
        let hot_etag = connection.ask(&get(&hot)).await.unwrap().etag.expect("an ETag");
        Self { crates, hot, hot_etag, large: large.download_path() }
    }

    pub(crate) fn crate_at(&self, random: u64) -> &Paths {
        &self.crates[random as usize % self.crates.len()]
    }
}

async fn publish(connection: &mut Connection, token: &str, published: &NoisyCrate<'_>) {
    let answer = connection.ask(&publish_request(token, &published.publish_body())).await.unwrap();
    assert_eq!(answer.status, 200, "{} {}", published.name, published.version);
}

/// A publish with this body.
pub(crate) fn publish_request(token: &str, body: &[u8]) -> Vec<u8> {
    request("PUT", "/main/api/v1/crates/new", &[("authorization", token)], body)
}

/// Path of the index file of a crate with a name of four characters or more.
pub(crate) fn index(name: &str) -> String {
    format!("/main/index/{}/{}/{name}", &name[..2], &name[2..4])
}

/// The frame of a publish. Source: Cargo book, "Registry Web API", Publish.
pub(crate) fn frame(metadata: &[u8], file: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u32::try_from(part.len()).unwrap().to_le_bytes();
    [&length(metadata)[..], metadata, &length(file)[..], file].concat()
}

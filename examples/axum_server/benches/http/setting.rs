//! The servers, with the same files.

use std::fs;

use registry_core::CrateName;
use tempfile::TempDir;

use crate::{
    Effort,
    common::{client::Connection, import::import, nginx::Nginx, noise::NoisyCrate, server::Server},
};

/// Crates whose files are downloaded.
const DOWNLOADS: usize = 300;
/// What a usual crate file has.
const FILE_BYTES: u64 = 20 << 10;

pub(crate) struct Setting {
    pub(crate) public: Server,
    /// Over the same index; whoever reads needs the token.
    pub(crate) private: Server,
    pub(crate) token: String,
    pub(crate) nginx: Option<Nginx>,
    /// A crate of one version.
    pub(crate) one: IndexFile,
    /// A crate of 200 versions.
    pub(crate) many: IndexFile,
    /// The paths of many crates of one version.
    pub(crate) all: Vec<String>,
    /// The paths of what cargo fetches for as many dependencies: of the index files, and behind
    /// them, as many of crate files.
    pub(crate) fetched: Vec<String>,
    _folder: TempDir,
}

pub(crate) struct IndexFile {
    pub(crate) path: String,
    pub(crate) size: usize,
}

impl Setting {
    pub(crate) fn new(effort: Effort) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let public = Server::start(folder.path(), &[]);
        let token = public.token();
        let names: Vec<_> =
            (0..effort.crates()).map(|number| format!("crate{number:05}")).collect();
        let crates = names.iter().map(|name| (name.clone(), 1));
        let crates: Vec<_> = crates.chain([(ONE.into(), 1), (MANY.into(), 200)]).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(import(folder.path(), &crates));
        let private = Server::start(folder.path(), &["--private".into()]);

        let mut connection = Connection::open(&public.address);
        let (mut fetched, mut downloads) = (vec![], vec![]);
        for number in 0..DOWNLOADS {
            let name = format!("fetched{number}");
            let file = NoisyCrate { name: &name, version: "1.0.0", size: FILE_BYTES };
            connection.publish(&token, &file.publish_body());
            fetched.push(index_path(&name));
            downloads.push(file.download_path());
        }
        fetched.append(&mut downloads);
        let root = folder.path().join("root");
        let mut copy = |path: String| {
            let body = connection.get(&path, &[]).body;
            let copy = root.join(&path[1..]);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::write(copy, &body).unwrap();
            IndexFile { path, size: body.len() }
        };
        let [one, many] = [ONE, MANY].map(|name| copy(index_path(name)));
        let all = names.iter().map(|name| copy(index_path(name)).path).collect();
        let nginx = Nginx::start(&root);
        Self { public, private, token, nginx, one, many, all, fetched, _folder: folder }
    }

    /// The validator that a server gives of the crate of one version.
    pub(crate) fn etag(&self, address: &str) -> String {
        let answer = Connection::open(address).get(&self.one.path, &[]);
        answer.header("etag").unwrap_or("\"hyper\"").to_owned()
    }
}

const ONE: &str = "crate_one1";
const MANY: &str = "twohundred";

fn index_path(name: &str) -> String {
    format!("/main/index/{}", CrateName::new(name).unwrap().sparse_path())
}

use std::{
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
    time::SystemTime,
};

use registry_core::conformance::{run, service};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Somewhere for an index, of which nobody else knows.
#[derive(Clone)]
pub(crate) struct Place {
    url: String,
    variables: Vec<(&'static str, String)>,
}

impl Place {
    /// A SQLite file in a folder of the test's.
    pub(crate) fn sqlite(folder: &TempDir) -> Self {
        Self::sqlite_at(&folder.path().join(unused_name()))
    }

    /// This SQLite file.
    pub(crate) fn sqlite_at(path: &Path) -> Self {
        Self { url: format!("sqlite:{}", path.display()), variables: Vec::new() }
    }

    /// A folder in a folder of the test's.
    pub(crate) fn folder(folder: &TempDir) -> Self {
        let url = format!("file:{}", folder.path().join(unused_name()).display());
        Self { url, variables: Vec::new() }
    }

    /// A part of a bucket; none without an S3 server.
    pub(crate) fn bucket() -> Option<Self> {
        let service = service("REGISTRY_TEST_S3")?;
        let (endpoint, bucket) = service.rsplit_once('/').expect("http://HOST:PORT/BUCKET");
        Some(Self::bucket_at(endpoint, bucket))
    }

    /// A part of a bucket of an S3 server that is none of Amazon's.
    pub(crate) fn bucket_at(endpoint: &str, bucket: &str) -> Self {
        let url = format!("s3://{bucket}/{}", unused_name());
        let variables =
            vec![("AWS_ENDPOINT_URL", endpoint.to_owned()), ("AWS_ALLOW_HTTP", "true".to_owned())];
        Self { url, variables }
    }

    /// A schema in a PostgreSQL database; none without a server. It is left to the server's end.
    pub(crate) fn postgres() -> Option<Self> {
        let service = service("REGISTRY_TEST_POSTGRES")?;
        let schema = unused_name();
        run(async {
            let (client, connection) = tokio_postgres::connect(&service, NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        });
        let url = format!("{service}?options=-csearch_path%3D{schema}");
        Some(Self { url, variables: Vec::new() })
    }

    /// The same place, with the crate files in a bucket.
    pub(crate) fn with_files_in(mut self, bucket: &Self) -> Self {
        self.variables.push(("REGISTRY_STORAGE", format!("{}/crates", bucket.url)));
        self.variables.extend_from_slice(&bucket.variables);
        self
    }

    /// The same place, with another environment variable.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The same place by a URL with a password in it.
    pub(crate) fn with_password(mut self, password: &str) -> Self {
        let (user, host) = self.url.split_once('@').expect("a user");
        self.url = format!("{user}:{}@{host}", password.replace(' ', "%20"));
        self
    }

    /// As `--index` has it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The file, if it is a SQLite database.
    pub(crate) fn sqlite_file(&self) -> Option<PathBuf> {
        self.url.strip_prefix("sqlite:").map(PathBuf::from)
    }

    /// Sets what else a program needs to know to get there.
    pub(crate) fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
}

/// A name that nobody has had in this or another run of the tests.
fn unused_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    format!("index_{}_{now}_{count}", process::id())
}

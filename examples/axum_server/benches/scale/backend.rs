//! The backends that are measured, each opened as the server does and as a library does.

use std::{fs, path::Path, sync::Arc};

use registry_core::Index;
use registry_index::{fs::FolderIndex, postgres::PostgresDatabase, sqlite::SqliteDatabase};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

pub(crate) enum Backend {
    Sqlite,
    Postgres(Database),
    Folder,
}

impl Backend {
    /// All that there are on this machine.
    pub(crate) fn all(runtime: &Runtime) -> Vec<Self> {
        let postgres = match std::env::var("REGISTRY_TEST_POSTGRES") {
            Ok(url) => Some(Self::Postgres(runtime.block_on(Database::create(url)))),
            Err(_) => {
                println!("without PostgreSQL: REGISTRY_TEST_POSTGRES does not say where it is");
                None
            }
        };
        [Self::Sqlite].into_iter().chain(postgres).chain([Self::Folder]).collect()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
            Self::Folder => "folder",
        }
    }

    /// What the server is told to open.
    pub(crate) fn url(&self, folder: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", folder.join("index.sqlite").display()),
            Self::Postgres(database) => database.url(),
            Self::Folder => format!("file:{}", folder.join("index").display()),
        }
    }

    pub(crate) async fn open(&self, folder: &Path) -> Arc<dyn Index> {
        match self {
            Self::Sqlite => {
                let database = SqliteDatabase::open(folder.join("index.sqlite")).unwrap();
                Arc::new(database.index("main"))
            }
            Self::Postgres(database) => {
                let database = PostgresDatabase::connect(&database.url()).await.unwrap();
                Arc::new(database.index("main"))
            }
            Self::Folder => Arc::new(FolderIndex::open(folder.join("index")).unwrap()),
        }
    }

    /// What it takes on disk.
    pub(crate) fn megabytes(&self, runtime: &Runtime, folder: &Path) -> f64 {
        let bytes = match self {
            Self::Sqlite => fs::metadata(folder.join("index.sqlite")).unwrap().len(),
            Self::Postgres(database) => runtime.block_on(database.bytes()),
            Self::Folder => bytes_below(&folder.join("index")),
        };
        bytes as f64 / 1e6
    }

    pub(crate) fn remove(self, runtime: &Runtime) {
        if let Self::Postgres(database) = self {
            runtime.block_on(database.remove());
        }
    }
}

/// A database of its own on the server that the tests use.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn create(server: String) -> Self {
        let name = format!("scale_{}", std::process::id());
        let database = Self { server, name };
        database
            .client()
            .await
            .batch_execute(&format!("CREATE DATABASE {}", database.name))
            .await
            .unwrap();
        database
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("the URL names a database");
        format!("{server}/{}", self.name)
    }

    async fn bytes(&self) -> u64 {
        let row = self.client().await.query_one("SELECT pg_database_size($1)", &[&self.name]).await;
        u64::try_from(row.unwrap().get::<_, i64>(0)).unwrap()
    }

    async fn remove(&self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.client().await.batch_execute(&statement).await.unwrap();
    }

    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.server, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => bytes_below(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

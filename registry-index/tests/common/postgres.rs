//! The PostgreSQL server that `REGISTRY_TEST_POSTGRES` names, as the URL of a database.

use std::thread;

use registry_index::postgres::PostgresDatabase;
use tokio_postgres::{Client, NoTls};

/// A schema in which nothing is yet, and which goes with this.
#[derive(Debug)]
pub(crate) struct Schema {
    service: String,
    name: String,
}

impl Schema {
    pub(crate) async fn fresh(service: String) -> Self {
        let name = format!("test_{:016x}", getrandom::u64().unwrap());
        let schema = Self { service, name };
        let create = format!("CREATE SCHEMA {}", schema.name);
        schema.client().await.batch_execute(&create).await.unwrap();
        schema
    }

    /// Leads to this schema alone. Its name is that of the connections, too.
    pub(crate) fn url(&self) -> String {
        let Self { service, name } = self;
        // In the clear, as all here: a proxy has to see what it passes on.
        format!("{service}?sslmode=disable&application_name={name}&options=-csearch_path%3D{name}")
    }

    pub(crate) async fn open(&self) -> PostgresDatabase {
        PostgresDatabase::connect(&self.url()).await.unwrap()
    }

    /// A connection that is none of the schema's own, but sees its tables.
    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.service, NoTls).await.unwrap();
        tokio::spawn(connection);
        let path = format!("SET search_path = {}", self.name);
        client.batch_execute(&path).await.unwrap();
        client
    }

    /// Ends every connection that was made by the URL.
    pub(crate) async fn end_connections(&self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = $1";
        self.client().await.query(end, &[&self.name]).await.unwrap();
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let Self { service, name } = self;
        let (service, drop) = (&*service, format!("DROP SCHEMA {name} CASCADE"));
        // On a thread of its own: this one may be busy running the test.
        let dropped = thread::scope(|scope| {
            let dropping = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let (client, connection) = tokio_postgres::connect(service, NoTls).await?;
                    tokio::spawn(connection);
                    client.batch_execute(&drop).await?;
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                })
            });
            dropping.join()
        });
        if !thread::panicking() {
            dropped.unwrap().unwrap();
        }
    }
}

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, CanonicalName, Login,
    auth::{
        AuthStoreError,
        trusted::{TrustedPublisher, TrustedPublisherRecord, TrustedPublisherStore},
    },
    record::Timestamp,
};
use tokio_postgres::{Row, types::ToSql};

use super::{BACKEND, Database, pool::Parameters};
use crate::write_error::WriteError;

/// The trusted publishers of one registry in a [`PostgresDatabase`](super::PostgresDatabase).
#[derive(Clone)]
pub struct PostgresTrustedPublishers {
    pub(super) database: Arc<Database>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for PostgresTrustedPublishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTrustedPublishers")
            .field("pool", &self.database.pool)
            .field("registry", &self.registry)
            .finish()
    }
}

#[async_trait]
impl TrustedPublisherStore for PostgresTrustedPublishers {
    async fn add(
        &self,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
        at: Timestamp,
        by: &Login,
    ) -> Result<TrustedPublisherRecord, AuthStoreError> {
        self.insert(name, publisher, at, by).await.map_err(failed)
    }

    async fn list(
        &self,
        name: Option<&CanonicalName>,
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        let registry = &*self.registry;
        let found = match name {
            Some(name) => {
                let query = include_str!("sql/publishers_of_crate.sql");
                self.select(query, &[&registry, &name.as_str()]).await
            }
            None => self.select(include_str!("sql/publishers.sql"), &[&registry]).await,
        };
        found.map_err(failed)
    }

    async fn find(
        &self,
        sources: &[String],
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        let query = include_str!("sql/publishers_of_source.sql");
        self.select(query, &[&&*self.registry, &sources]).await.map_err(failed)
    }

    async fn remove(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        let query = include_str!("sql/delete_publisher.sql");
        let rows = self.database.pool.write(query, &[&&*self.registry, &id]).await;
        let rows = rows.map_err(|error| failed(error.into_source()))?;
        rows.first().map(record).transpose().map_err(failed)
    }

    async fn get(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        let found = self.select(include_str!("sql/publisher.sql"), &[&&*self.registry, &id]).await;
        Ok(found.map_err(failed)?.into_iter().next())
    }
}

impl PostgresTrustedPublishers {
    async fn insert(
        &self,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
        at: Timestamp,
        by: &Login,
    ) -> Result<TrustedPublisherRecord, BoxError> {
        let text = serde_json::to_string(publisher)?;
        let (registry, name, by) = (&*self.registry, name.as_str(), by.as_str());
        let (source, at) = (publisher.source(), i64::try_from(at.0)?);
        let row: [&(dyn ToSql + Sync); 6] = [&registry, &name, &text, &source, &at, &by];
        let written = self.database.pool.write(include_str!("sql/insert_publisher.sql"), &row);
        written.await.map_err(WriteError::into_source)?;
        let query = include_str!("sql/publisher_of_crate.sql");
        let stored = self.select(query, &[&registry, &name, &text]).await?;
        stored.into_iter().next().ok_or_else(|| "it has just been added".into())
    }

    async fn select(
        &self,
        query: &str,
        key: Parameters<'_>,
    ) -> Result<Vec<TrustedPublisherRecord>, BoxError> {
        self.database.pool.read(query, key).await?.iter().map(record).collect()
    }
}

fn record(row: &Row) -> Result<TrustedPublisherRecord, BoxError> {
    Ok(TrustedPublisherRecord {
        id: u64::try_from(row.try_get::<_, i64>(0)?)?,
        name: CanonicalName::new(row.try_get(1)?)?,
        publisher: serde_json::from_str(row.try_get(2)?)?,
        created_at: Timestamp(u64::try_from(row.try_get::<_, i64>(3)?)?),
        created_by: Login::new(row.try_get(4)?)?,
    })
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

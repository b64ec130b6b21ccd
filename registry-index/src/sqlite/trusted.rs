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
use rusqlite::{Params, Row, Transaction};

use super::{BACKEND, pool::Pool};
use crate::write_error::WriteError;

/// The trusted publishers of one registry in a [`SqliteDatabase`](super::SqliteDatabase).
#[derive(Clone)]
pub struct SqliteTrustedPublishers {
    pub(super) pool: Arc<Pool>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for SqliteTrustedPublishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTrustedPublishers")
            .field("pool", &self.pool)
            .field("registry", &self.registry)
            .finish()
    }
}

#[async_trait]
impl TrustedPublisherStore for SqliteTrustedPublishers {
    async fn add(
        &self,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
        at: Timestamp,
        by: &Login,
    ) -> Result<TrustedPublisherRecord, AuthStoreError> {
        let (registry, name, by) = (self.registry.clone(), name.clone(), by.clone());
        let (source, publisher) = (publisher.source(), publisher.clone());
        let added = self.pool.write(move |transaction| {
            let text = serde_json::to_string(&publisher)?;
            let mut insert =
                transaction.prepare_cached(include_str!("sql/insert_publisher.sql"))?;
            let at = i64::try_from(at.0)?;
            insert.execute((&*registry, name.as_str(), &text, &source, at, by.as_str()))?;
            let key = (&*registry, name.as_str(), &text);
            let stored = select(transaction, include_str!("sql/publisher_of_crate.sql"), key)?;
            stored.into_iter().next().ok_or_else(|| "it has just been added".into())
        });
        added.await.map_err(write_failed)
    }

    async fn list(
        &self,
        name: Option<&CanonicalName>,
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        let (registry, name) = (self.registry.clone(), name.cloned());
        let found = self.pool.read(move |transaction| match name {
            Some(name) => {
                let key = (&*registry, name.as_str());
                select(transaction, include_str!("sql/publishers_of_crate.sql"), key)
            }
            None => select(transaction, include_str!("sql/publishers.sql"), [&*registry]),
        });
        found.await.map_err(failed)
    }

    async fn find(
        &self,
        sources: &[String],
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        let (registry, sources) = (self.registry.clone(), sources.to_vec());
        let found = self.pool.read(move |transaction| {
            let mut found = Vec::new();
            for source in &sources {
                let query = include_str!("sql/publishers_of_source.sql");
                found.extend(select(transaction, query, (&*registry, source))?);
            }
            found.sort_by_key(|record| record.id);
            found.dedup_by_key(|record| record.id);
            Ok(found)
        });
        found.await.map_err(failed)
    }

    async fn remove(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        let registry = self.registry.clone();
        let removed = self.pool.write(move |transaction| {
            let found = one(transaction, &registry, id)?;
            let mut delete =
                transaction.prepare_cached(include_str!("sql/delete_publisher.sql"))?;
            delete.execute((&*registry, id))?;
            Ok(found)
        });
        removed.await.map_err(write_failed)
    }

    async fn get(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        let registry = self.registry.clone();
        let found = self.pool.read(move |transaction| one(transaction, &registry, id));
        found.await.map_err(failed)
    }
}

fn one(
    transaction: &Transaction<'_>,
    registry: &str,
    id: i64,
) -> Result<Option<TrustedPublisherRecord>, BoxError> {
    let found = select(transaction, include_str!("sql/publisher.sql"), (registry, id))?;
    Ok(found.into_iter().next())
}

fn select(
    transaction: &Transaction<'_>,
    query: &str,
    key: impl Params,
) -> Result<Vec<TrustedPublisherRecord>, BoxError> {
    let mut query = transaction.prepare_cached(query)?;
    let found = query.query_and_then(key, record)?;
    found.collect()
}

fn record(row: &Row<'_>) -> Result<TrustedPublisherRecord, BoxError> {
    Ok(TrustedPublisherRecord {
        id: u64::try_from(row.get::<_, i64>(0)?)?,
        name: CanonicalName::new(&row.get::<_, String>(1)?)?,
        publisher: serde_json::from_str(&row.get::<_, String>(2)?)?,
        created_at: Timestamp(u64::try_from(row.get::<_, i64>(3)?)?),
        created_by: Login::new(&row.get::<_, String>(4)?)?,
    })
}

fn write_failed(error: WriteError) -> AuthStoreError {
    failed(error.into_source())
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

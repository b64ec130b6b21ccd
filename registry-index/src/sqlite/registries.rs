use std::{fmt, num::NonZeroUsize, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use registry_core::{
    BoxError, IndexError, RegistryName,
    record::Timestamp,
    registries::{Deletion, RegistryDescription, RegistryRecord, RegistrySettings, RegistryStore},
};
use rusqlite::{OptionalExtension as _, Row, Transaction};

use super::{BACKEND, failed, pool::Pool};

/// The list of the registries in a [`SqliteDatabase`](super::SqliteDatabase).
#[derive(Clone)]
pub struct SqliteRegistries {
    pub(super) pool: Arc<Pool>,
}

impl fmt::Debug for SqliteRegistries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRegistries").field("pool", &self.pool).finish()
    }
}

#[async_trait]
impl RegistryStore for SqliteRegistries {
    async fn create(
        &self,
        name: &RegistryName,
        settings: &RegistrySettings,
    ) -> Result<Option<RegistryRecord>, IndexError> {
        let (name, Timestamp(now)) = (name.clone(), SystemTime::now().into());
        let RegistrySettings { private, read_only, description } = settings.clone();
        let written = self.pool.write(move |transaction| {
            let mut create = transaction.prepare_cached(include_str!("sql/create_registry.sql"))?;
            let now = i64::try_from(now)?;
            let row = (name.as_str(), private, read_only, description.as_str(), now);
            create.query_row(row, record).optional()?.transpose()
        });
        written.await.map_err(|error| error.of_ready(BACKEND))
    }

    async fn find(&self, name: &RegistryName) -> Result<Option<RegistryRecord>, IndexError> {
        let name = name.clone();
        let found = self.pool.read(move |transaction| find(transaction, &name));
        found.await.map_err(failed)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&RegistryName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<RegistryRecord>, IndexError> {
        // Every name is behind the empty text.
        let after = after.map(|name| name.as_str().to_owned()).unwrap_or_default();
        let prefix = prefix.to_owned();
        let limit = i64::try_from(limit.get()).unwrap_or(i64::MAX);
        let listed = self.pool.read(move |transaction| {
            let mut list = transaction.prepare_cached(include_str!("sql/registries.sql"))?;
            let rows = list.query_map((&after, &prefix, limit), record)?;
            rows.map(|row| row?).collect()
        });
        listed.await.map_err(failed)
    }

    async fn change(
        &self,
        name: &RegistryName,
        settings: &RegistrySettings,
    ) -> Result<bool, IndexError> {
        let name = name.clone();
        let RegistrySettings { private, read_only, description } = settings.clone();
        let written = self.pool.write(move |transaction| {
            let mut change = transaction.prepare_cached(include_str!("sql/change_registry.sql"))?;
            Ok(change.execute((name.as_str(), private, read_only, description.as_str()))? == 1)
        });
        written.await.map_err(|error| error.of_ready(BACKEND))
    }

    async fn delete(&self, name: &RegistryName, with_crates: bool) -> Result<Deletion, IndexError> {
        let name = name.clone();
        let written = self.pool.write(move |transaction| delete(transaction, &name, with_crates));
        written.await.map_err(|error| error.of_ready(BACKEND))
    }

    async fn keys(&self) -> Result<Vec<Arc<str>>, IndexError> {
        let keys = self.pool.read(|transaction| {
            let mut keys = transaction.prepare_cached(include_str!("sql/registry_keys.sql"))?;
            let rows = keys.query_map((), |row| row.get::<_, Arc<str>>(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        keys.await.map_err(failed)
    }
}

fn find(
    transaction: &Transaction<'_>,
    name: &RegistryName,
) -> Result<Option<RegistryRecord>, BoxError> {
    let mut find = transaction.prepare_cached(include_str!("sql/registry.sql"))?;
    find.query_row([name.as_str()], record).optional()?.transpose()
}

fn delete(
    transaction: &Transaction<'_>,
    name: &RegistryName,
    with_crates: bool,
) -> Result<Deletion, BoxError> {
    let Some(RegistryRecord { key, .. }) = find(transaction, name)? else {
        return Ok(Deletion::Unknown);
    };
    let count = "SELECT count(*) FROM crate WHERE registry = ?1";
    let crates = transaction.query_row(count, [&key], |row| row.get::<_, i64>(0))?;
    let crates = u64::try_from(crates)?;
    if crates > 0 && !with_crates {
        return Ok(Deletion::HasCrates { crates });
    }
    for delete in [
        "DELETE FROM release WHERE crate IN (SELECT id FROM crate WHERE registry = ?1)",
        "DELETE FROM crate WHERE registry = ?1",
        "DELETE FROM registry WHERE name = ?1",
        "DELETE FROM trusted_publisher WHERE registry = ?1",
        "DELETE FROM approved_name WHERE registry = ?1",
    ] {
        transaction.execute(delete, [&key])?;
    }
    transaction.execute("DELETE FROM named_registry WHERE name = ?1", [name.as_str()])?;
    Ok(Deletion::Deleted { crates })
}

/// A row of name, number, settings and time.
fn record(row: &Row<'_>) -> rusqlite::Result<Result<RegistryRecord, BoxError>> {
    let (name, number) = (row.get::<_, String>(0)?, row.get::<_, i64>(1)?);
    let (private, read_only) = (row.get(2)?, row.get(3)?);
    let (description, created_at) = (row.get::<_, String>(4)?, row.get::<_, i64>(5)?);
    let record = || {
        Ok(RegistryRecord {
            key: format!("{name}#{number}").into(),
            name: RegistryName::new(&name)?,
            settings: RegistrySettings {
                private,
                read_only,
                // One that is none by the rules of today keeps nobody from the registry.
                description: RegistryDescription::new(&description).unwrap_or_default(),
            },
            created_at: Timestamp(u64::try_from(created_at)?),
        })
    };
    Ok(record())
}

use std::{fmt, num::NonZeroUsize, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use registry_core::{
    BoxError, IndexError, RegistryName,
    record::Timestamp,
    registries::{Deletion, RegistryDescription, RegistryRecord, RegistrySettings, RegistryStore},
};
use tokio_postgres::Row;

use super::{BACKEND, Database, failed, pool::Parameters};

/// The list of the registries in a [`PostgresDatabase`](super::PostgresDatabase).
#[derive(Clone)]
pub struct PostgresRegistries {
    pub(super) database: Arc<Database>,
}

impl fmt::Debug for PostgresRegistries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresRegistries").field("pool", &self.database.pool).finish()
    }
}

#[async_trait]
impl RegistryStore for PostgresRegistries {
    async fn create(
        &self,
        name: &RegistryName,
        settings: &RegistrySettings,
    ) -> Result<Option<RegistryRecord>, IndexError> {
        let Timestamp(now) = SystemTime::now().into();
        let now = i64::try_from(now).map_err(|error| failed(error.into()))?;
        let RegistrySettings { private, read_only, description } = settings;
        let row: Parameters<'_> =
            &[&name.as_str(), private, read_only, &description.as_str(), &now];
        let made = self.write(include_str!("sql/create_registry.sql"), row).await?;
        made.first().map(record).transpose().map_err(failed)
    }

    async fn find(&self, name: &RegistryName) -> Result<Option<RegistryRecord>, IndexError> {
        let row: Parameters<'_> = &[&name.as_str()];
        let found = self.database.pool.read(include_str!("sql/registry.sql"), row).await;
        found.and_then(|rows| rows.first().map(record).transpose()).map_err(failed)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&RegistryName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<RegistryRecord>, IndexError> {
        // Every name is behind the empty text.
        let after = after.map(RegistryName::as_str).unwrap_or_default();
        let limit = i64::try_from(limit.get()).unwrap_or(i64::MAX);
        let row: Parameters<'_> = &[&after, &prefix, &limit];
        let listed = self.database.pool.read(include_str!("sql/registries.sql"), row).await;
        listed.and_then(|rows| rows.iter().map(record).collect()).map_err(failed)
    }

    async fn change(
        &self,
        name: &RegistryName,
        settings: &RegistrySettings,
    ) -> Result<bool, IndexError> {
        let RegistrySettings { private, read_only, description } = settings;
        let row: Parameters<'_> = &[&name.as_str(), private, read_only, &description.as_str()];
        Ok(!self.write(include_str!("sql/change_registry.sql"), row).await?.is_empty())
    }

    async fn delete(&self, name: &RegistryName, with_crates: bool) -> Result<Deletion, IndexError> {
        let row: Parameters<'_> = &[&name.as_str(), &with_crates];
        let deleted = self.write("SELECT delete_registry($1, $2)", row).await?;
        let crates = || {
            let row = deleted.first().ok_or("the function returned nothing")?;
            let crates = row.try_get::<_, Option<i64>>(0)?.map(u64::try_from).transpose()?;
            Ok(crates)
        };
        Ok(match crates().map_err(failed)? {
            None => Deletion::Unknown,
            Some(crates) if crates > 0 && !with_crates => Deletion::HasCrates { crates },
            Some(crates) => Deletion::Deleted { crates },
        })
    }

    async fn keys(&self) -> Result<Vec<Arc<str>>, IndexError> {
        let keys = self.database.pool.read(include_str!("sql/registry_keys.sql"), &[]).await;
        let keys = keys.and_then(|rows| {
            rows.iter().map(|row| Ok(row.try_get::<_, &str>(0)?.into())).collect()
        });
        keys.map_err(failed)
    }
}

impl PostgresRegistries {
    async fn write(&self, sql: &str, row: Parameters<'_>) -> Result<Vec<Row>, IndexError> {
        let written = self.database.pool.write(sql, row).await;
        written.map_err(|error| error.of_ready(BACKEND))
    }
}

/// A row of name, number, settings and time.
fn record(row: &Row) -> Result<RegistryRecord, BoxError> {
    let (name, number) = (row.try_get::<_, &str>(0)?, row.try_get::<_, i64>(1)?);
    Ok(RegistryRecord {
        name: RegistryName::new(name)?,
        key: format!("{name}#{number}").into(),
        settings: RegistrySettings {
            private: row.try_get(2)?,
            read_only: row.try_get(3)?,
            // One that is none by the rules of today keeps nobody from the registry.
            description: RegistryDescription::new(row.try_get(4)?).unwrap_or_default(),
        },
        created_at: Timestamp(u64::try_from(row.try_get::<_, i64>(5)?)?),
    })
}

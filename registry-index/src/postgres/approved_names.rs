use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, CanonicalName, Login,
    auth::{ApprovedName, ApprovedNames, AuthStoreError},
    record::Timestamp,
};
use tokio_postgres::Row;

use super::{BACKEND, Database, pool::Parameters};

/// The approved names of a registry in a [`PostgresDatabase`](super::PostgresDatabase).
#[derive(Clone)]
pub struct PostgresApprovedNames {
    pub(super) database: Arc<Database>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for PostgresApprovedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresApprovedNames")
            .field("pool", &self.database.pool)
            .field("registry", &self.registry)
            .finish()
    }
}

#[async_trait]
impl ApprovedNames for PostgresApprovedNames {
    async fn approve(&self, approved: &ApprovedName) -> Result<(), AuthStoreError> {
        let ApprovedName { name, login, at, by } = approved;
        let (name, login) = (name.as_str(), login.as_ref().map(Login::as_str));
        let at = i64::try_from(at.0).map_err(|error| failed(error.into()))?;
        let row: Parameters<'_> = &[&&*self.registry, &name, &login, &at, by];
        self.write(include_str!("sql/approve_name.sql"), row).await.map(drop)
    }

    async fn revoke(&self, name: &CanonicalName) -> Result<bool, AuthStoreError> {
        let row: Parameters<'_> = &[&&*self.registry, &name.as_str()];
        Ok(!self.write(include_str!("sql/revoke_name.sql"), row).await?.is_empty())
    }

    async fn find(&self, name: &CanonicalName) -> Result<Option<ApprovedName>, AuthStoreError> {
        let row: Parameters<'_> = &[&&*self.registry, &name.as_str()];
        let found = self.database.pool.read(include_str!("sql/approved_name.sql"), row).await;
        found.and_then(|rows| rows.first().map(approved).transpose()).map_err(failed)
    }

    async fn list(&self) -> Result<Vec<ApprovedName>, AuthStoreError> {
        let row: Parameters<'_> = &[&&*self.registry];
        let all = self.database.pool.read(include_str!("sql/approved_names.sql"), row).await;
        all.and_then(|rows| rows.iter().map(approved).collect()).map_err(failed)
    }
}

impl PostgresApprovedNames {
    async fn write(&self, sql: &str, row: Parameters<'_>) -> Result<Vec<Row>, AuthStoreError> {
        let written = self.database.pool.write(sql, row).await;
        written.map_err(|error| failed(error.into_source()))
    }
}

/// A row of name, login, time and who agreed.
fn approved(row: &Row) -> Result<ApprovedName, BoxError> {
    Ok(ApprovedName {
        name: CanonicalName::new(row.try_get(0)?)?,
        login: row.try_get::<_, Option<&str>>(1)?.map(Login::new).transpose()?,
        at: Timestamp(u64::try_from(row.try_get::<_, i64>(2)?)?),
        by: row.try_get(3)?,
    })
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, CanonicalName, Login,
    auth::{ApprovedName, ApprovedNames, AuthStoreError},
    record::Timestamp,
};
use rusqlite::{OptionalExtension as _, Row};

use super::{BACKEND, pool::Pool};

/// The approved names of a registry in a [`SqliteDatabase`](super::SqliteDatabase).
#[derive(Clone)]
pub struct SqliteApprovedNames {
    pub(super) pool: Arc<Pool>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for SqliteApprovedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteApprovedNames")
            .field("pool", &self.pool)
            .field("registry", &self.registry)
            .finish()
    }
}

#[async_trait]
impl ApprovedNames for SqliteApprovedNames {
    async fn approve(&self, approved: &ApprovedName) -> Result<(), AuthStoreError> {
        let (registry, approved) = (self.registry.clone(), approved.clone());
        let written = self.pool.write(move |transaction| {
            let mut approve = transaction.prepare_cached(include_str!("sql/approve_name.sql"))?;
            let ApprovedName { name, login, at, by } = &approved;
            let login = login.as_ref().map(Login::as_str);
            approve.execute((&*registry, name.as_str(), login, i64::try_from(at.0)?, by))?;
            Ok(())
        });
        written.await.map_err(|error| failed(error.into_source()))
    }

    async fn revoke(&self, name: &CanonicalName) -> Result<bool, AuthStoreError> {
        let (registry, name) = (self.registry.clone(), name.clone());
        let written = self.pool.write(move |transaction| {
            let mut revoke = transaction.prepare_cached(include_str!("sql/revoke_name.sql"))?;
            Ok(revoke.execute((&*registry, name.as_str()))? == 1)
        });
        written.await.map_err(|error| failed(error.into_source()))
    }

    async fn find(&self, name: &CanonicalName) -> Result<Option<ApprovedName>, AuthStoreError> {
        let (registry, name) = (self.registry.clone(), name.clone());
        let found = self.pool.read(move |transaction| {
            let mut find = transaction.prepare_cached(include_str!("sql/approved_name.sql"))?;
            let found = find.query_row((&*registry, name.as_str()), approved).optional()?;
            found.transpose()
        });
        found.await.map_err(failed)
    }

    async fn list(&self) -> Result<Vec<ApprovedName>, AuthStoreError> {
        let registry = self.registry.clone();
        let all = self.pool.read(move |transaction| {
            let mut list = transaction.prepare_cached(include_str!("sql/approved_names.sql"))?;
            let rows = list.query_map([&*registry], approved)?;
            rows.map(|row| row?).collect()
        });
        all.await.map_err(failed)
    }
}

/// A row of name, login, time and who agreed.
fn approved(row: &Row<'_>) -> rusqlite::Result<Result<ApprovedName, BoxError>> {
    let (name, login) = (row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?);
    let (at, by) = (row.get::<_, i64>(2)?, row.get(3)?);
    let approved = || {
        Ok(ApprovedName {
            name: CanonicalName::new(&name)?,
            login: login.as_deref().map(Login::new).transpose()?,
            at: Timestamp(u64::try_from(at)?),
            by,
        })
    };
    Ok(approved())
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

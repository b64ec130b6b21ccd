use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{AuthStoreError, KeyId, KeyRecord, KeyRefusal, KeyStore, PublicKey},
    record::Timestamp,
};
use tokio_postgres::{Row, types::ToSql};

use super::{BACKEND, Database, pool::Parameters};
use crate::write_error::WriteError;

/// The keys that users of a [`PostgresDatabase`](super::PostgresDatabase) sign tokens with.
#[derive(Clone)]
pub struct PostgresKeys {
    pub(super) database: Arc<Database>,
}

impl fmt::Debug for PostgresKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresKeys").field("pool", &self.database.pool).finish()
    }
}

#[async_trait]
impl KeyStore for PostgresKeys {
    async fn add(&self, key: &KeyRecord) -> Result<(), AuthStoreError> {
        self.insert(key).await.map_err(failed)
    }

    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, AuthStoreError> {
        self.find_key(id).await.map_err(failed)
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<KeyRecord>, AuthStoreError> {
        let login = login.map(Login::as_str);
        let rows = self.database.pool.read(include_str!("sql/keys.sql"), &[&login]).await;
        rows.and_then(|rows| rows.iter().map(key).collect()).map_err(failed)
    }

    async fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<Option<KeyRecord>, AuthStoreError> {
        self.set_revoked(id, at).await.map_err(failed)
    }
}

impl PostgresKeys {
    /// Each step is whole by itself and may be repeated: a user without a key, who is left if this
    /// ends half way, can do nothing.
    async fn insert(&self, key: &KeyRecord) -> Result<(), BoxError> {
        let login = key.user.login.as_str();
        KeyRefusal::check_login(&key.user.login)?;
        // Looked for first, so that a key that is another's makes no user.
        if let Some(here) = self.find_key(&key.id).await? {
            return Ok(here.is_repeated_by(key)?);
        }
        self.write(include_str!("sql/insert_account.sql"), &[&login]).await?;
        let revoked_at = key.revoked_at.map(|at| i64::try_from(at.0)).transpose()?;
        let row: [&(dyn ToSql + Sync); 8] = [
            &key.id.as_str(),
            &key.key.to_string(),
            &login,
            &key.name,
            &key.subject,
            &i64::try_from(key.created_at.0)?,
            &revoked_at,
            &serde_json::to_string(&key.vouched)?,
        ];
        self.write(include_str!("sql/insert_key.sql"), &row).await?;
        // Another process may have been faster.
        let here = self.find_key(&key.id).await?.ok_or("the key has just been registered")?;
        Ok(here.is_repeated_by(key)?)
    }

    async fn set_revoked(&self, id: &KeyId, at: Timestamp) -> Result<Option<KeyRecord>, BoxError> {
        let row: [&(dyn ToSql + Sync); 2] = [&id.as_str(), &i64::try_from(at.0)?];
        self.write(include_str!("sql/revoke_key.sql"), &row).await?;
        self.find_key(id).await
    }

    async fn write(&self, statement: &str, parameters: Parameters<'_>) -> Result<(), BoxError> {
        let written = self.database.pool.write(statement, parameters).await;
        written.map(drop).map_err(WriteError::into_source)
    }

    async fn find_key(&self, id: &KeyId) -> Result<Option<KeyRecord>, BoxError> {
        let pool = &self.database.pool;
        let rows = pool.read(include_str!("sql/find_key.sql"), &[&id.as_str()]).await?;
        rows.first().map(key).transpose()
    }
}

/// A row of a user's id, login and name, and what there is of the key.
fn key(row: &Row) -> Result<KeyRecord, BoxError> {
    let key: PublicKey = row.try_get::<_, &str>(3)?.parse()?;
    let time = |at: i64| u64::try_from(at).map(Timestamp);
    Ok(KeyRecord {
        id: key.id(),
        key,
        user: Owner {
            id: u32::try_from(row.try_get::<_, i64>(0)?)?,
            login: Login::new(row.try_get(1)?)?,
            name: row.try_get(2)?,
        },
        name: row.try_get(4)?,
        subject: row.try_get(5)?,
        vouched: serde_json::from_str(row.try_get(8)?)?,
        created_at: time(row.try_get(6)?)?,
        revoked_at: row.try_get::<_, Option<i64>>(7)?.map(time).transpose()?,
    })
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

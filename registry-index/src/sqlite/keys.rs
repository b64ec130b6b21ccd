use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{AuthStoreError, KeyId, KeyRecord, KeyRefusal, KeyStore, PublicKey},
    record::Timestamp,
};
use rusqlite::{OptionalExtension as _, Row, Transaction};

use super::{BACKEND, pool::Pool, tokens::find_or_insert_user};

/// The keys that users of a [`SqliteDatabase`](super::SqliteDatabase) sign tokens with.
#[derive(Clone)]
pub struct SqliteKeys {
    pub(super) pool: Arc<Pool>,
}

impl fmt::Debug for SqliteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteKeys").field("pool", &self.pool).finish()
    }
}

#[async_trait]
impl KeyStore for SqliteKeys {
    async fn add(&self, key: &KeyRecord) -> Result<(), AuthStoreError> {
        let key = key.clone();
        let added = self.pool.write(move |transaction| {
            KeyRefusal::check_login(&key.user.login)?;
            if let Some(here) = find(transaction, &key.id)? {
                return Ok(here.is_repeated_by(&key)?);
            }
            let user = find_or_insert_user(transaction, &key.user.login)?;
            let mut insert = transaction.prepare_cached(include_str!("sql/insert_key.sql"))?;
            insert.execute((
                key.id.as_str(),
                key.key.to_string(),
                user.id,
                &key.name,
                &key.subject,
                i64::try_from(key.created_at.0)?,
                key.revoked_at.map(|at| i64::try_from(at.0)).transpose()?,
                serde_json::to_string(&key.vouched)?,
            ))?;
            Ok(())
        });
        added.await.map_err(|error| failed(error.into_source()))
    }

    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, AuthStoreError> {
        let id = id.clone();
        self.pool.read(move |transaction| find(transaction, &id)).await.map_err(failed)
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<KeyRecord>, AuthStoreError> {
        let login = login.map(ToString::to_string);
        let keys = self.pool.read(move |transaction| {
            let mut keys = transaction.prepare_cached(include_str!("sql/keys.sql"))?;
            keys.query_map([login], |row| Ok(key(row)))?.map(|row| row?).collect()
        });
        keys.await.map_err(failed)
    }

    async fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<Option<KeyRecord>, AuthStoreError> {
        let id = id.clone();
        let revoked = self.pool.write(move |transaction| {
            let mut revoke = transaction.prepare_cached(include_str!("sql/revoke_key.sql"))?;
            revoke.execute((id.as_str(), i64::try_from(at.0)?))?;
            find(transaction, &id)
        });
        revoked.await.map_err(|error| failed(error.into_source()))
    }
}

fn find(transaction: &Transaction<'_>, id: &KeyId) -> Result<Option<KeyRecord>, BoxError> {
    let mut find = transaction.prepare_cached(include_str!("sql/find_key.sql"))?;
    find.query_row([id.as_str()], |row| Ok(key(row))).optional()?.transpose()
}

/// A row of a user's id, login and name, and what there is of the key.
fn key(row: &Row<'_>) -> Result<KeyRecord, BoxError> {
    let login = Login::new(&row.get::<_, String>(1)?)?;
    let key = row.get::<_, String>(3)?.parse::<PublicKey>()?;
    let revoked_at = row.get::<_, Option<i64>>(7)?;
    Ok(KeyRecord {
        id: key.id(),
        key,
        user: Owner { id: row.get(0)?, login, name: row.get(2)? },
        name: row.get(4)?,
        subject: row.get(5)?,
        vouched: serde_json::from_str(row.get_ref(8)?.as_str()?)?,
        created_at: Timestamp(u64::try_from(row.get::<_, i64>(6)?)?),
        revoked_at: revoked_at.map(|at| u64::try_from(at).map(Timestamp)).transpose()?,
    })
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

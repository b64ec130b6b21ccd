use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{TokenDigest, TokenStore, TokenStoreError},
};
use rusqlite::{OptionalExtension as _, Row, ToSql, Transaction};

use super::{
    BACKEND,
    pool::{Pool, WriteError},
};

/// The users and tokens of a [`SqliteDatabase`](super::SqliteDatabase).
#[derive(Clone)]
pub struct SqliteTokens {
    pub(super) pool: Arc<Pool>,
}

impl fmt::Debug for SqliteTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTokens").field("pool", &self.pool).finish()
    }
}

#[async_trait]
impl TokenStore for SqliteTokens {
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, TokenStoreError> {
        let (login, digest) = (login.clone(), *digest);
        let created = self.pool.write(move |transaction| {
            // Looked for first: an insert that finds the login taken would use up an id.
            let user = match find_user(transaction, &login)? {
                Some(user) => user,
                None => insert_user(transaction, &login)?,
            };
            let mut insert = transaction.prepare_cached(include_str!("sql/insert_token.sql"))?;
            insert.execute((digest.as_bytes(), user.id))?;
            match find_token(transaction, &digest)? {
                Some(owner) if owner == user => Ok(user),
                _ => Err("the token is another user's".into()),
            }
        });
        created.await.map_err(|error| match error {
            WriteError::Full(source) | WriteError::Failed(source) | WriteError::Unknown(source) => {
                failed(source)
            }
        })
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, TokenStoreError> {
        let digest = *digest;
        let found = self.pool.read(move |transaction| find_token(transaction, &digest));
        found.await.map_err(failed)
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, TokenStoreError> {
        let login = login.clone();
        let found = self.pool.read(move |transaction| find_user(transaction, &login));
        found.await.map_err(failed)
    }
}

fn insert_user(transaction: &Transaction<'_>, login: &Login) -> Result<Owner, BoxError> {
    transaction.prepare_cached(include_str!("sql/insert_user.sql"))?.execute([login.as_str()])?;
    let id = u32::try_from(transaction.last_insert_rowid())?;
    Ok(Owner { id, login: login.clone(), name: None })
}

fn find_user(transaction: &Transaction<'_>, login: &Login) -> Result<Option<Owner>, BoxError> {
    find(transaction, include_str!("sql/find_user.sql"), login.as_str())
}

fn find_token(
    transaction: &Transaction<'_>,
    digest: &TokenDigest,
) -> Result<Option<Owner>, BoxError> {
    find(transaction, include_str!("sql/find_token.sql"), digest.as_bytes())
}

fn find(
    transaction: &Transaction<'_>,
    query: &str,
    key: impl ToSql,
) -> Result<Option<Owner>, BoxError> {
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?));
    let found = transaction.prepare_cached(query)?.query_row([key], row).optional()?;
    found.map(|(id, login, name)| Ok(Owner { id, login: Login::new(&login)?, name })).transpose()
}

fn failed(source: BoxError) -> TokenStoreError {
    TokenStoreError { backend: BACKEND, source }
}

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{AdoptionError, AuthStoreError, TokenDigest, TokenStore, TokenTransfer, UserTokens},
};
use rusqlite::{OptionalExtension as _, Row, ToSql, Transaction};

use super::{BACKEND, pool::Pool};
use crate::write_error::WriteError;

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
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, AuthStoreError> {
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
        created.await.map_err(write_failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, AuthStoreError> {
        let digest = *digest;
        let found = self.pool.read(move |transaction| find_token(transaction, &digest));
        found.await.map_err(failed)
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        let login = login.clone();
        let found = self.pool.read(move |transaction| find_user(transaction, &login));
        found.await.map_err(failed)
    }
}

#[async_trait]
impl TokenTransfer for SqliteTokens {
    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError> {
        let users = self.pool.read(|transaction| {
            let mut users = transaction.prepare_cached(include_str!("sql/users.sql"))?;
            let mut users = users.query([])?;
            let mut exported = Vec::new();
            while let Some(row) = users.next()? {
                let user = owner(row)??;
                let mut tokens = transaction.prepare_cached(include_str!("sql/tokens_of.sql"))?;
                let tokens = tokens.query_map([user.id], |row| row.get(0))?;
                let tokens = tokens.map(|digest| digest.map(TokenDigest::from_bytes));
                exported.push(UserTokens { user, tokens: tokens.collect::<Result<_, _>>()? });
            }
            Ok(exported)
        });
        users.await.map_err(failed)
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError> {
        let UserTokens { user, tokens } = user.clone();
        let adopted = self.pool.write(move |transaction| {
            let same_login = find_user(transaction, &user.login)?;
            let same_id = find(transaction, include_str!("sql/find_user_by_id.sql"), user.id)?;
            if !AdoptionError::check(&user, same_login.as_ref(), same_id.as_ref())? {
                let mut adopt = transaction.prepare_cached(include_str!("sql/adopt_user.sql"))?;
                adopt.execute((user.id, user.login.as_str(), &user.name))?;
            }
            let mut insert = transaction.prepare_cached(include_str!("sql/insert_token.sql"))?;
            for digest in &tokens {
                insert.execute((digest.as_bytes(), user.id))?;
                if find_token(transaction, digest)?.is_none_or(|owner| owner.id != user.id) {
                    return Err(AdoptionError::TokenTaken { login: user.login.clone() }.into());
                }
            }
            Ok(())
        });
        adopted.await.map_err(write_failed)
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
    let found = transaction.prepare_cached(query)?.query_row([key], owner).optional()?;
    found.transpose()
}

/// A row of id, login and name.
fn owner(row: &Row<'_>) -> rusqlite::Result<Result<Owner, BoxError>> {
    let (id, login, name) = (row.get(0)?, row.get::<_, String>(1)?, row.get(2)?);
    Ok(Login::new(&login).map(|login| Owner { id, login, name }).map_err(Into::into))
}

fn write_failed(error: WriteError) -> AuthStoreError {
    failed(error.into_source())
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{AdoptionError, AuthStoreError, TokenDigest, TokenStore, TokenTransfer, UserTokens},
};
use tokio_postgres::{Row, types::ToSql};

use super::{BACKEND, Database};
use crate::write_error::WriteError;

/// The users and tokens of a [`PostgresDatabase`](super::PostgresDatabase).
#[derive(Clone)]
pub struct PostgresTokens {
    pub(super) database: Arc<Database>,
}

impl fmt::Debug for PostgresTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTokens").field("pool", &self.database.pool).finish()
    }
}

#[async_trait]
impl TokenStore for PostgresTokens {
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, AuthStoreError> {
        self.insert(login, digest).await.map_err(failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, AuthStoreError> {
        self.find_token(digest).await.map_err(failed)
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        self.find_account(login).await.map_err(failed)
    }
}

#[async_trait]
impl TokenTransfer for PostgresTokens {
    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError> {
        self.all().await.map_err(failed)
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError> {
        self.add_as_it_is(user).await.map_err(failed)
    }
}

impl PostgresTokens {
    async fn all(&self) -> Result<Vec<UserTokens>, BoxError> {
        let pool = &self.database.pool;
        let mut tokens: BTreeMap<i64, Vec<TokenDigest>> = BTreeMap::new();
        for row in pool.read(include_str!("sql/tokens.sql"), &[]).await? {
            let digest = <[u8; 32]>::try_from(row.try_get::<_, &[u8]>(1)?)?;
            tokens.entry(row.try_get(0)?).or_default().push(TokenDigest::from_bytes(digest));
        }
        let rows = pool.read(include_str!("sql/accounts.sql"), &[]).await?;
        let users = rows.iter().map(|row| {
            let user = owner(row)?;
            let tokens = tokens.remove(&i64::from(user.id)).unwrap_or_default();
            Ok(UserTokens { user, tokens })
        });
        users.collect()
    }

    async fn add_as_it_is(&self, user: &UserTokens) -> Result<(), BoxError> {
        let UserTokens { user, tokens } = user;
        let taken = || AdoptionError::TokenTaken { login: user.login.clone() };
        // Looked at first, so that what cannot be adopted leaves nothing.
        for digest in tokens {
            if self.find_token(digest).await?.is_some_and(|owner| owner.login != user.login) {
                return Err(taken().into());
            }
        }
        let id = i64::from(user.id);
        let same_login = self.find_account(&user.login).await?;
        let same_id = self.find_owner(include_str!("sql/find_account_by_id.sql"), &id).await?;
        if !AdoptionError::check(user, same_login.as_ref(), same_id.as_ref())? {
            let row: [&(dyn ToSql + Sync); 3] = [&id, &user.login.as_str(), &user.name];
            self.write(include_str!("sql/adopt_account.sql"), &row).await?;
        }
        for digest in tokens {
            let row: [&(dyn ToSql + Sync); 2] = [&digest.as_bytes().as_slice(), &id];
            self.write(include_str!("sql/insert_token.sql"), &row).await?;
            if self.find_token(digest).await?.is_none_or(|owner| owner.id != user.id) {
                return Err(taken().into());
            }
        }
        Ok(())
    }

    /// Each step is whole by itself and may be repeated: a user without a token, who is left if this
    /// ends half way, can do nothing.
    async fn insert(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, BoxError> {
        if let Some(owner) = self.find_token(digest).await? {
            return of_login(owner, login);
        }
        self.write(include_str!("sql/insert_account.sql"), &[&login.as_str()]).await?;
        let user = self.find_account(login).await?.ok_or("the user has just been made")?;
        let id = i64::from(user.id);
        self.write(include_str!("sql/insert_token.sql"), &[&digest.as_bytes().as_slice(), &id])
            .await?;
        let owner = self.find_token(digest).await?.ok_or("the token has just been made")?;
        of_login(owner, login)
    }

    async fn write(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), BoxError> {
        let written = self.database.pool.write(statement, parameters).await;
        written.map(drop).map_err(WriteError::into_source)
    }

    async fn find_account(&self, login: &Login) -> Result<Option<Owner>, BoxError> {
        self.find_owner(include_str!("sql/find_account.sql"), &login.as_str()).await
    }

    async fn find_token(&self, digest: &TokenDigest) -> Result<Option<Owner>, BoxError> {
        self.find_owner(include_str!("sql/find_token.sql"), &digest.as_bytes().as_slice()).await
    }

    async fn find_owner(
        &self,
        query: &str,
        key: &(dyn ToSql + Sync),
    ) -> Result<Option<Owner>, BoxError> {
        let rows = self.database.pool.read(query, &[key]).await?;
        rows.first().map(owner).transpose()
    }
}

/// A row of id, login and name.
fn owner(row: &Row) -> Result<Owner, BoxError> {
    let id = u32::try_from(row.try_get::<_, i64>(0)?)?;
    Ok(Owner { id, login: Login::new(row.try_get(1)?)?, name: row.try_get(2)? })
}

fn of_login(owner: Owner, login: &Login) -> Result<Owner, BoxError> {
    if owner.login == *login { Ok(owner) } else { Err("the token is another user's".into()) }
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{TokenDigest, TokenStore, TokenStoreError},
};
use tokio_postgres::types::ToSql;

use super::{BACKEND, Database, pool::WriteError};

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
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, TokenStoreError> {
        self.insert(login, digest).await.map_err(failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, TokenStoreError> {
        self.find_token(digest).await.map_err(failed)
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, TokenStoreError> {
        self.find_account(login).await.map_err(failed)
    }
}

impl PostgresTokens {
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
        match self.database.pool.write(statement, parameters).await {
            Ok(_) => Ok(()),
            Err(
                WriteError::Full(source) | WriteError::Failed(source) | WriteError::Unknown(source),
            ) => Err(source),
        }
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
        let Some(row) = rows.first() else { return Ok(None) };
        let id = u32::try_from(row.try_get::<_, i64>(0)?)?;
        Ok(Some(Owner { id, login: Login::new(row.try_get(1)?)?, name: row.try_get(2)? }))
    }
}

fn of_login(owner: Owner, login: &Login) -> Result<Owner, BoxError> {
    if owner.login == *login { Ok(owner) } else { Err("the token is another user's".into()) }
}

fn failed(source: BoxError) -> TokenStoreError {
    TokenStoreError { backend: BACKEND, source }
}

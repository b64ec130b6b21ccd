use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{
        AccountKind, AdoptionError, AuthStoreError, NewToken, Revocation, StoredToken, TokenDigest,
        TokenHash, TokenId, TokenKey, TokenKeys, TokenKind, TokenRecord, TokenRefusal, TokenStore,
        TokenTransfer, UserTokens,
    },
    record::Timestamp,
};
use tokio_postgres::{Row, types::ToSql};

use super::{BACKEND, Database, pool::Parameters};
use crate::write_error::WriteError;

/// The users and tokens of a [`PostgresDatabase`](super::PostgresDatabase).
///
/// That a user has no more tokens than they may have is looked at before one is made: whoever makes
/// several at a time may have a few more.
#[derive(Clone)]
pub struct PostgresTokens {
    database: Arc<Database>,
    outside: Option<TokenKey>,
    /// The keys in the database when it was last looked.
    stored: Arc<Mutex<Vec<TokenKey>>>,
}

impl PostgresTokens {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, outside: None, stored: Arc::default() }
    }

    /// With a key that is not in the database, for new tokens. Those under the key in the database
    /// are found as well.
    #[must_use]
    pub fn with_key(self, key: impl Into<Option<TokenKey>>) -> Self {
        Self { outside: key.into(), ..self }
    }
}

impl fmt::Debug for PostgresTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTokens").field("pool", &self.database.pool).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for PostgresTokens {
    async fn create(&self, token: &NewToken) -> Result<TokenRecord, AuthStoreError> {
        self.insert(token).await.map_err(failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError> {
        self.find_token(digest).await.map_err(failed)
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let tokens = match login {
            Some(login) => self.tokens_of(login).await,
            None => self.tokens(include_str!("sql/tokens.sql"), &[]).await,
        };
        tokens.map_err(failed)
    }

    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let revoked = async {
            let at = seconds(at)?;
            match revocation {
                Revocation::Token(id) => {
                    let id = id_number(*id);
                    self.write(include_str!("sql/revoke_token.sql"), &[&id, &at]).await?;
                    self.tokens(include_str!("sql/find_token_by_id.sql"), &[&id]).await
                }
                Revocation::User(login) => {
                    let revoke = include_str!("sql/revoke_tokens_of.sql");
                    self.write(revoke, &[&login.as_str(), &at]).await?;
                    self.tokens_of(login).await
                }
            }
        };
        revoked.await.map_err(failed)
    }

    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError> {
        let written = async {
            let ids: Vec<_> = uses.iter().map(|(id, _)| id_number(*id)).collect();
            let times = uses.iter().map(|(_, at)| seconds(*at));
            let times = times.collect::<Result<Vec<_>, _>>()?;
            self.write(include_str!("sql/use_tokens.sql"), &[&ids, &times]).await
        };
        written.await.map_err(failed)
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        self.find_account(login).await.map_err(failed)
    }
}

#[async_trait]
impl TokenTransfer for PostgresTokens {
    async fn keys(&self) -> Result<Vec<TokenKey>, AuthStoreError> {
        self.stored_keys().await.map_err(failed)
    }

    async fn add_keys(&self, keys: &[TokenKey]) -> Result<(), AuthStoreError> {
        for key in keys {
            let key = key.expose().as_slice();
            let added = self.write(include_str!("sql/insert_token_key.sql"), &[&key]).await;
            added.map_err(failed)?;
        }
        Ok(())
    }

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
        let mut tokens: BTreeMap<u32, Vec<StoredToken>> = BTreeMap::new();
        for row in pool.read(include_str!("sql/tokens_by_hash.sql"), &[]).await? {
            let (hash, token) = (<[u8; 32]>::try_from(row.try_get::<_, &[u8]>(11)?)?, token(&row)?);
            let hash = TokenHash::from_bytes(hash);
            tokens.entry(token.user.id).or_default().push(StoredToken { hash, token });
        }
        let rows = pool.read(include_str!("sql/accounts.sql"), &[]).await?;
        let users = rows.iter().map(|row| {
            let user = owner(row, 0)?;
            let tokens = tokens.remove(&user.id).unwrap_or_default();
            Ok(UserTokens { user, tokens })
        });
        users.collect()
    }

    async fn add_as_it_is(&self, user: &UserTokens) -> Result<(), BoxError> {
        let UserTokens { user, tokens } = user;
        let taken = || AdoptionError::TokenTaken { login: user.login.clone() };
        // Looked at first, so that what cannot be adopted leaves nothing.
        let hashes: Vec<_> = tokens.iter().map(|token| token.hash).collect();
        if self.find_hashes(&hashes).await?.iter().any(|here| here.user.login != user.login) {
            return Err(taken().into());
        }
        let id = i64::from(user.id);
        let same_login = self.find_account(&user.login).await?;
        let same_id = self.find_owner(include_str!("sql/find_account_by_id.sql"), &id).await?;
        if !AdoptionError::check(user, same_login.as_ref(), same_id.as_ref())? {
            let (kind, password, disabled_at) = (AccountKind::User, None::<&str>, None::<i64>);
            let row: [&(dyn ToSql + Sync); 6] =
                [&id, &user.login.as_str(), &user.name, &kind.as_str(), &password, &disabled_at];
            self.write(include_str!("sql/adopt_account.sql"), &row).await?;
        }
        for StoredToken { hash, token } in tokens {
            let owned = TokenRecord { user: user.clone(), ..token.clone() };
            self.write_token(include_str!("sql/adopt_token.sql"), hash, &owned).await?;
        }
        match self.find_hashes(&hashes).await?.iter().all(|here| here.user.id == user.id) {
            true => Ok(()),
            false => Err(taken().into()),
        }
    }

    /// Each step is whole by itself and may be repeated: a user without a token, who is left if this
    /// ends half way, can do nothing.
    async fn insert(&self, new: &NewToken) -> Result<TokenRecord, BoxError> {
        TokenRefusal::check_login(&new.login)?;
        if let Some(found) = self.find_token(&new.digest).await? {
            return of_login(found, &new.login);
        }
        self.write(include_str!("sql/insert_account.sql"), &[&new.login.as_str()]).await?;
        let user = self.find_account(&new.login).await?.ok_or("the user has just been made")?;
        let count: [&(dyn ToSql + Sync); 2] = [&i64::from(user.id), &seconds(new.created_at)?];
        let counted = self.database.pool.read(include_str!("sql/count_tokens.sql"), &count).await?;
        let counted = counted.first().ok_or("a count is one row")?.try_get::<_, i64>(0)?;
        TokenRefusal::check_number(new, counted.try_into()?)?;
        let hash = self.keys(self.stored_keys().await?)?.hash(&new.digest);
        let token = TokenRecord::new(&hash, user, new);
        self.write_token(include_str!("sql/insert_token.sql"), &hash, &token).await?;
        let made = self.find_hashes(&[hash]).await?.pop();
        of_login(made.ok_or("the id of the token is that of another one")?, &new.login)
    }

    async fn write_token(
        &self,
        statement: &str,
        hash: &TokenHash,
        token: &TokenRecord,
    ) -> Result<(), BoxError> {
        let row: [&(dyn ToSql + Sync); 11] = [
            &hash.as_bytes().as_slice(),
            &id_number(token.id),
            &i64::from(token.user.id),
            &token.name,
            &token.kind.as_str(),
            &serde_json::to_string(&token.scopes)?,
            &seconds(token.created_at)?,
            &token.expires_at.map(seconds).transpose()?,
            &token.last_used_at.map(seconds).transpose()?,
            &token.revoked_at.map(seconds).transpose()?,
            &serde_json::to_string(&token.vouched)?,
        ];
        self.write(statement, &row).await
    }

    async fn write(&self, statement: &str, parameters: Parameters<'_>) -> Result<(), BoxError> {
        let written = self.database.pool.write(statement, parameters).await;
        written.map(drop).map_err(WriteError::into_source)
    }

    /// The keys in the database, and remembers them.
    async fn stored_keys(&self) -> Result<Vec<TokenKey>, BoxError> {
        let rows = self.database.pool.read(include_str!("sql/token_keys.sql"), &[]).await?;
        let keys = rows.iter().map(|row| {
            let key = <[u8; 32]>::try_from(row.try_get::<_, &[u8]>(0)?)?;
            Ok(TokenKey::from_bytes(key))
        });
        let keys: Vec<_> = keys.collect::<Result<_, BoxError>>()?;
        self.remembered(|stored| stored.clone_from(&keys));
        Ok(keys)
    }

    fn remembered<T>(&self, look: impl FnOnce(&mut Vec<TokenKey>) -> T) -> T {
        // Nothing panics while it is held.
        look(&mut self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keys(&self, stored: Vec<TokenKey>) -> Result<TokenKeys, BoxError> {
        let keys = TokenKeys::new(self.outside.clone(), stored);
        keys.ok_or_else(|| "the key of the tokens is not in the database".into())
    }

    /// One query, if it is there. If not, another process may have brought it over with its key.
    async fn find_token(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, BoxError> {
        let remembered = self.remembered(|stored| stored.clone());
        if !remembered.is_empty()
            && let Some(found) = self.find_under(&remembered, digest).await?
        {
            return Ok(Some(found));
        }
        let stored = self.stored_keys().await?;
        if stored == remembered { Ok(None) } else { self.find_under(&stored, digest).await }
    }

    async fn find_under(
        &self,
        stored: &[TokenKey],
        digest: &TokenDigest,
    ) -> Result<Option<TokenRecord>, BoxError> {
        let hashes: Vec<_> = self.keys(stored.to_vec())?.hashes(digest).collect();
        Ok(self.find_hashes(&hashes).await?.pop())
    }

    async fn find_hashes(&self, hashes: &[TokenHash]) -> Result<Vec<TokenRecord>, BoxError> {
        let hashes: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
        self.tokens(include_str!("sql/find_token.sql"), &[&hashes]).await
    }

    async fn tokens_of(&self, login: &Login) -> Result<Vec<TokenRecord>, BoxError> {
        self.tokens(include_str!("sql/tokens_of_login.sql"), &[&login.as_str()]).await
    }

    async fn tokens(
        &self,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<TokenRecord>, BoxError> {
        self.database.pool.read(query, parameters).await?.iter().map(token).collect()
    }

    async fn find_account(&self, login: &Login) -> Result<Option<Owner>, BoxError> {
        self.find_owner(include_str!("sql/find_account.sql"), &login.as_str()).await
    }

    async fn find_owner(
        &self,
        query: &str,
        key: &(dyn ToSql + Sync),
    ) -> Result<Option<Owner>, BoxError> {
        let rows = self.database.pool.read(query, &[key]).await?;
        rows.first().map(|row| owner(row, 0)).transpose()
    }
}

/// The columns id, login and name, from this one on.
pub(super) fn owner(row: &Row, first: usize) -> Result<Owner, BoxError> {
    let id = u32::try_from(row.try_get::<_, i64>(first)?)?;
    Ok(Owner { id, login: Login::new(row.try_get(first + 1)?)?, name: row.try_get(first + 2)? })
}

fn token(row: &Row) -> Result<TokenRecord, BoxError> {
    let (id, kind) = (row.try_get::<_, i64>(0)?, row.try_get::<_, &str>(5)?);
    Ok(TokenRecord {
        id: TokenId::from_number(id.try_into()?).ok_or("no id of a token")?,
        user: owner(row, 1)?,
        name: row.try_get(4)?,
        kind: TokenKind::from_text(kind).ok_or_else(|| format!("no kind of token: `{kind}`"))?,
        scopes: serde_json::from_str(row.try_get(6)?)?,
        vouched: serde_json::from_str(row.try_get(12)?)?,
        created_at: Timestamp(row.try_get::<_, i64>(7)?.try_into()?),
        expires_at: timestamp(row.try_get(8)?)?,
        last_used_at: timestamp(row.try_get(9)?)?,
        revoked_at: timestamp(row.try_get(10)?)?,
    })
}

fn timestamp(seconds: Option<i64>) -> Result<Option<Timestamp>, BoxError> {
    Ok(seconds.map(u64::try_from).transpose()?.map(Timestamp))
}

fn seconds(time: Timestamp) -> Result<i64, BoxError> {
    Ok(time.0.try_into()?)
}

fn id_number(id: TokenId) -> i64 {
    i64::try_from(id.number()).expect("an id has 53 bits")
}

fn of_login(token: TokenRecord, login: &Login) -> Result<TokenRecord, BoxError> {
    if token.user.login == *login { Ok(token) } else { Err(TokenRefusal::Taken.into()) }
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

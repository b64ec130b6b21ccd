use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{
        AdoptionError, AuthStoreError, NewToken, Revocation, StoredToken, TokenDigest, TokenHash,
        TokenId, TokenKey, TokenKeys, TokenKind, TokenRecord, TokenRefusal, TokenStore,
        TokenTransfer, UserTokens,
    },
    record::Timestamp,
};
use rusqlite::{OptionalExtension as _, Params, Row, ToSql, Transaction};

use super::{BACKEND, pool::Pool};
use crate::write_error::WriteError;

/// The users and tokens of a [`SqliteDatabase`](super::SqliteDatabase).
#[derive(Clone)]
pub struct SqliteTokens {
    pub(super) pool: Arc<Pool>,
    pub(super) outside: Option<TokenKey>,
}

impl SqliteTokens {
    /// With a key that is not in the database, for new tokens. Those under the key in the database
    /// are found as well.
    #[must_use]
    pub fn with_key(self, key: impl Into<Option<TokenKey>>) -> Self {
        Self { outside: key.into(), ..self }
    }
}

impl fmt::Debug for SqliteTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTokens").field("pool", &self.pool).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for SqliteTokens {
    async fn create(&self, token: &NewToken) -> Result<TokenRecord, AuthStoreError> {
        let (new, outside) = (token.clone(), self.outside.clone());
        let created =
            self.pool.write(move |transaction| create(transaction, &new, outside.clone()));
        created.await.map_err(write_failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError> {
        let (digest, outside) = (*digest, self.outside.clone());
        let found = self.pool.read(move |transaction| {
            find_token(transaction, &keys(transaction, outside)?, &digest)
        });
        found.await.map_err(failed)
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let login = login.cloned();
        let tokens = self.pool.read(move |transaction| match login {
            Some(login) => tokens_of(transaction, &login),
            None => Ok(tokens(transaction, include_str!("sql/tokens.sql"), ())?),
        });
        tokens.await.map_err(failed)
    }

    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let revocation = revocation.clone();
        let revoked = self.pool.write(move |transaction| match &revocation {
            Revocation::Token(id) => {
                let mut revoke =
                    transaction.prepare_cached(include_str!("sql/revoke_token.sql"))?;
                revoke.execute((id_number(*id), seconds(at)?))?;
                tokens(transaction, include_str!("sql/find_token_by_id.sql"), [id_number(*id)])
            }
            Revocation::User(login) => {
                let revoke = include_str!("sql/revoke_tokens_of.sql");
                let mut revoke = transaction.prepare_cached(revoke)?;
                revoke.execute((login.as_str(), seconds(at)?))?;
                tokens_of(transaction, login)
            }
        });
        revoked.await.map_err(write_failed)
    }

    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError> {
        let uses = uses.to_vec();
        let written = self.pool.write(move |transaction| {
            let mut write = transaction.prepare_cached(include_str!("sql/use_token.sql"))?;
            for (id, at) in &uses {
                write.execute((id_number(*id), seconds(*at)?))?;
            }
            Ok(())
        });
        written.await.map_err(write_failed)
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        let login = login.clone();
        let found = self.pool.read(move |transaction| find_user(transaction, &login));
        found.await.map_err(failed)
    }
}

#[async_trait]
impl TokenTransfer for SqliteTokens {
    async fn keys(&self) -> Result<Vec<TokenKey>, AuthStoreError> {
        self.pool.read(stored_keys).await.map_err(failed)
    }

    async fn add_keys(&self, keys: &[TokenKey]) -> Result<(), AuthStoreError> {
        let keys = keys.to_vec();
        let added = self.pool.write(move |transaction| {
            let mut insert =
                transaction.prepare_cached(include_str!("sql/insert_token_key.sql"))?;
            for key in &keys {
                insert.execute([key.expose()])?;
            }
            Ok(())
        });
        added.await.map_err(write_failed)
    }

    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError> {
        let users = self.pool.read(|transaction| {
            let mut users = transaction.prepare_cached(include_str!("sql/users.sql"))?;
            let mut users = users.query([])?;
            let mut exported = Vec::new();
            while let Some(row) = users.next()? {
                let user = owner(row, 0)?;
                let of_user = include_str!("sql/tokens_by_hash.sql");
                let tokens = query(transaction, of_user, [user.id], |row| {
                    let hash = TokenHash::from_bytes(row.get(11)?);
                    Ok(StoredToken { hash, token: token(row)? })
                })?;
                exported.push(UserTokens { user, tokens });
            }
            Ok(exported)
        });
        users.await.map_err(failed)
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError> {
        let user = user.clone();
        let adopted = self.pool.write(move |transaction| adopt(transaction, &user));
        adopted.await.map_err(write_failed)
    }
}

fn create(
    transaction: &Transaction<'_>,
    new: &NewToken,
    outside: Option<TokenKey>,
) -> Result<TokenRecord, BoxError> {
    TokenRefusal::check_login(&new.login)?;
    let keys = keys(transaction, outside)?;
    if let Some(found) = find_token(transaction, &keys, &new.digest)? {
        return if found.user.login == new.login {
            Ok(found)
        } else {
            Err(TokenRefusal::Taken.into())
        };
    }
    let user = find_or_insert_user(transaction, &new.login)?;
    let mut count = transaction.prepare_cached(include_str!("sql/count_tokens.sql"))?;
    let counting: u32 = count.query_one((user.id, seconds(new.created_at)?), |row| row.get(0))?;
    TokenRefusal::check_number(new, counting.try_into()?)?;
    let hash = keys.hash(&new.digest);
    let token = TokenRecord::new(&hash, user, new);
    insert_token(transaction, &hash, &token)?;
    Ok(token)
}

fn adopt(transaction: &Transaction<'_>, user: &UserTokens) -> Result<(), BoxError> {
    let UserTokens { user, tokens } = user;
    let same_login = find_user(transaction, &user.login)?;
    let same_id = find_owner(transaction, include_str!("sql/find_user_by_id.sql"), user.id)?;
    if !AdoptionError::check(user, same_login.as_ref(), same_id.as_ref())? {
        let mut adopt = transaction.prepare_cached(include_str!("sql/adopt_user.sql"))?;
        adopt.execute((user.id, user.login.as_str(), &user.name))?;
    }
    let mut follow = transaction.prepare_cached(include_str!("sql/follow_token.sql"))?;
    for StoredToken { hash, token } in tokens {
        match find_hash(transaction, hash)? {
            None => insert_token(transaction, hash, token)?,
            Some(here) if here.user.id != user.id => {
                return Err(AdoptionError::TokenTaken { login: user.login.clone() }.into());
            }
            Some(mut here) => {
                here.follow(token);
                let (revoked_at, used_at) = (times(here.revoked_at)?, times(here.last_used_at)?);
                follow.execute((hash.as_bytes(), revoked_at, used_at))?;
            }
        }
    }
    Ok(())
}

pub(super) fn insert_token(
    transaction: &Transaction<'_>,
    hash: &TokenHash,
    token: &TokenRecord,
) -> Result<(), BoxError> {
    let mut insert = transaction.prepare_cached(include_str!("sql/insert_token.sql"))?;
    insert.execute((
        hash.as_bytes(),
        id_number(token.id),
        token.user.id,
        &token.name,
        token.kind.as_str(),
        serde_json::to_string(&token.scopes)?,
        seconds(token.created_at)?,
        times(token.expires_at)?,
        times(token.last_used_at)?,
        times(token.revoked_at)?,
        serde_json::to_string(&token.vouched)?,
    ))?;
    Ok(())
}

/// The user of this login, who is made if there is none.
pub(super) fn find_or_insert_user(
    transaction: &Transaction<'_>,
    login: &Login,
) -> Result<Owner, BoxError> {
    // Looked for first: an insert that finds the login taken would use up an id.
    if let Some(user) = find_user(transaction, login)? {
        return Ok(user);
    }
    transaction.prepare_cached(include_str!("sql/insert_user.sql"))?.execute([login.as_str()])?;
    let id = u32::try_from(transaction.last_insert_rowid())?;
    Ok(Owner { id, login: login.clone(), name: None })
}

fn stored_keys(transaction: &Transaction<'_>) -> Result<Vec<TokenKey>, BoxError> {
    query(transaction, include_str!("sql/token_keys.sql"), (), |row| {
        Ok(TokenKey::from_bytes(row.get(0)?))
    })
}

/// Read each time: another process may have brought tokens over, and it is one row.
fn keys(transaction: &Transaction<'_>, outside: Option<TokenKey>) -> Result<TokenKeys, BoxError> {
    let keys = TokenKeys::new(outside, stored_keys(transaction)?);
    keys.ok_or_else(|| "the key of the tokens is not in the database".into())
}

fn find_user(transaction: &Transaction<'_>, login: &Login) -> Result<Option<Owner>, BoxError> {
    find_owner(transaction, include_str!("sql/find_user.sql"), login.as_str())
}

pub(super) fn find_owner(
    transaction: &Transaction<'_>,
    query: &str,
    key: impl ToSql,
) -> Result<Option<Owner>, BoxError> {
    let mut query = transaction.prepare_cached(query)?;
    query.query_row([key], |row| Ok(owner(row, 0))).optional()?.transpose()
}

fn find_token(
    transaction: &Transaction<'_>,
    keys: &TokenKeys,
    digest: &TokenDigest,
) -> Result<Option<TokenRecord>, BoxError> {
    let found = keys.hashes(digest).map(|hash| find_hash(transaction, &hash));
    found.filter_map(Result::transpose).next().transpose()
}

fn find_hash(
    transaction: &Transaction<'_>,
    hash: &TokenHash,
) -> Result<Option<TokenRecord>, BoxError> {
    let mut query = transaction.prepare_cached(include_str!("sql/find_token.sql"))?;
    query.query_row([hash.as_bytes()], |row| Ok(token(row))).optional()?.transpose()
}

fn tokens_of(transaction: &Transaction<'_>, login: &Login) -> Result<Vec<TokenRecord>, BoxError> {
    tokens(transaction, include_str!("sql/tokens_of_login.sql"), [login.as_str()])
}

fn tokens(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<TokenRecord>, BoxError> {
    query(transaction, sql, parameters, token)
}

fn query<T>(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
    of_row: impl Fn(&Row<'_>) -> Result<T, BoxError>,
) -> Result<Vec<T>, BoxError> {
    let mut query = transaction.prepare_cached(sql)?;
    let rows = query.query_map(parameters, |row| Ok(of_row(row)))?;
    rows.map(|row| row?).collect()
}

/// The columns id, login and name, from this one on.
fn owner(row: &Row<'_>, first: usize) -> Result<Owner, BoxError> {
    let login = Login::new(row.get_ref(first + 1)?.as_str()?)?;
    Ok(Owner { id: row.get(first)?, login, name: row.get(first + 2)? })
}

fn token(row: &Row<'_>) -> Result<TokenRecord, BoxError> {
    let kind = row.get_ref(5)?.as_str()?;
    Ok(TokenRecord {
        id: TokenId::from_number(row.get::<_, i64>(0)?.try_into()?).ok_or("no id of a token")?,
        user: owner(row, 1)?,
        name: row.get(4)?,
        kind: TokenKind::from_text(kind).ok_or_else(|| format!("no kind of token: `{kind}`"))?,
        scopes: serde_json::from_str(row.get_ref(6)?.as_str()?)?,
        vouched: serde_json::from_str(row.get_ref(12)?.as_str()?)?,
        created_at: Timestamp(row.get::<_, i64>(7)?.try_into()?),
        expires_at: timestamp(row.get(8)?)?,
        last_used_at: timestamp(row.get(9)?)?,
        revoked_at: timestamp(row.get(10)?)?,
    })
}

fn timestamp(seconds: Option<i64>) -> Result<Option<Timestamp>, BoxError> {
    Ok(seconds.map(u64::try_from).transpose()?.map(Timestamp))
}

fn seconds(time: Timestamp) -> Result<i64, BoxError> {
    Ok(time.0.try_into()?)
}

fn times(time: Option<Timestamp>) -> Result<Option<i64>, BoxError> {
    time.map(seconds).transpose()
}

fn id_number(id: TokenId) -> i64 {
    i64::try_from(id.number()).expect("an id has 53 bits")
}

fn write_failed(error: WriteError) -> AuthStoreError {
    failed(error.into_source())
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{
        Account, AccountError, AccountKind, AccountStore, AdoptionError, AuthStoreError, Directory,
        PasswordHash,
    },
    record::Timestamp,
};
use rusqlite::{OptionalExtension as _, Row, ToSql, Transaction, types::Null};

use super::{BACKEND, pool::Pool, tokens::find_owner};
use crate::accounts::{failed, groups};

/// The users, service accounts and groups of a [`SqliteDatabase`](super::SqliteDatabase).
///
/// Who has a token is a user.
#[derive(Clone)]
pub struct SqliteAccounts {
    pub(super) pool: Arc<Pool>,
}

impl fmt::Debug for SqliteAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteAccounts").field("pool", &self.pool).finish()
    }
}

#[async_trait]
impl Directory for SqliteAccounts {
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError> {
        let login = login.clone();
        let found = self.pool.read(move |transaction| find(transaction, &login));
        found.await.map_err(|source| failed(BACKEND, source))
    }
}

#[async_trait]
impl AccountStore for SqliteAccounts {
    async fn create_account(
        &self,
        login: &Login,
        name: Option<&str>,
        kind: AccountKind,
    ) -> Result<Account, AccountError> {
        AccountError::check_kind(login, kind)?;
        let (login, name) = (login.clone(), name.map(str::to_owned));
        self.write(move |transaction| {
            // Looked for first: an insert that finds the login taken would use up an id.
            if let Some(Account { kind, .. }) = find(transaction, &login)? {
                return Ok(Err(AccountError::Taken { login: login.clone(), kind }));
            }
            let mut insert = transaction.prepare_cached(include_str!("sql/insert_account.sql"))?;
            insert.execute((login.as_str(), &name, kind.as_str()))?;
            Ok(Ok(find(transaction, &login)?.ok_or("the account has just been made")?))
        })
        .await
    }

    async fn add_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        self.set_membership(group, member, include_str!("sql/insert_membership.sql")).await
    }

    async fn remove_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        self.set_membership(group, member, include_str!("sql/delete_membership.sql")).await
    }

    async fn set_password(
        &self,
        login: &Login,
        password: Option<&PasswordHash>,
    ) -> Result<(), AccountError> {
        let password = password.map(|password| password.expose().to_owned());
        let check = AccountError::check_password;
        self.update(login, check, include_str!("sql/set_password.sql"), password).await
    }

    async fn set_disabled(&self, login: &Login, at: Option<Timestamp>) -> Result<(), AccountError> {
        AccountError::check_disabling(login)?;
        let at = at.map(|at| i64::try_from(at.0)).transpose();
        let at = at.map_err(|error| failed(BACKEND, error.into()))?;
        self.update(login, |_| Ok(()), include_str!("sql/set_disabled.sql"), at).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, AuthStoreError> {
        let found = self.pool.read(|transaction| {
            let mut accounts = transaction.prepare_cached(include_str!("sql/accounts.sql"))?;
            let accounts = accounts.query_map([], |row| Ok(account(row)))?;
            accounts.map(|account| account?).collect()
        });
        found.await.map_err(|source| failed(BACKEND, source))
    }

    async fn adopt_account(&self, account: &Account) -> Result<(), AccountError> {
        AccountError::check_kind(&account.owner.login, account.kind)?;
        let account = account.clone();
        let disabled_at = account.disabled_at.map(|at| i64::try_from(at.0)).transpose();
        let disabled_at = disabled_at.map_err(|error| failed(BACKEND, error.into()))?;
        self.write(move |transaction| {
            let Account { owner, kind, password, .. } = &account;
            let same_login = find(transaction, &owner.login)?.map(|account| account.owner);
            let by_id = include_str!("sql/find_user_by_id.sql");
            let same_id = find_owner(transaction, by_id, owner.id)?;
            AdoptionError::check(owner, same_login.as_ref(), same_id.as_ref())?;
            let mut adopt = transaction.prepare_cached(include_str!("sql/adopt_account.sql"))?;
            let (login, kind) = (owner.login.as_str(), kind.as_str());
            let password = password.as_ref().map(PasswordHash::expose);
            adopt.execute((owner.id, login, &owner.name, kind, password, disabled_at))?;
            Ok(Ok(()))
        })
        .await
    }
}

impl SqliteAccounts {
    /// Runs `work` in a transaction; one that it refuses has written nothing.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> Result<Result<T, AccountError>, BoxError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let written = self.pool.write(work).await;
        written.map_err(|error| failed(BACKEND, error.into_source()))?
    }

    async fn set_membership(
        &self,
        group: &Login,
        member: &Login,
        statement: &'static str,
    ) -> Result<(), AccountError> {
        AccountError::check_membership(group, member)?;
        let logins = [member.clone(), group.clone()];
        self.write(move |transaction| {
            let mut ids = [0; 2];
            for (id, login) in ids.iter_mut().zip(&logins) {
                match find(transaction, login)? {
                    Some(account) => *id = account.owner.id,
                    None => return Ok(Err(AccountError::Unknown { login: login.clone() })),
                }
            }
            transaction.prepare_cached(statement)?.execute(ids)?;
            Ok(Ok(()))
        })
        .await
    }

    async fn update(
        &self,
        login: &Login,
        check: impl Fn(&Account) -> Result<(), AccountError> + Send + 'static,
        statement: &'static str,
        value: Option<impl ToSql + Send + 'static>,
    ) -> Result<(), AccountError> {
        let login = login.clone();
        self.write(move |transaction| {
            let Some(account) = find(transaction, &login)? else {
                return Ok(Err(AccountError::Unknown { login: login.clone() }));
            };
            if let Err(error) = check(&account) {
                return Ok(Err(error));
            }
            let value: &dyn ToSql = value.as_ref().map_or(&Null, |value| value);
            transaction.prepare_cached(statement)?.execute((account.owner.id, value))?;
            Ok(Ok(()))
        })
        .await
    }
}

fn find(transaction: &Transaction<'_>, login: &Login) -> Result<Option<Account>, BoxError> {
    let mut query = transaction.prepare_cached(include_str!("sql/account.sql"))?;
    query.query_row([login.as_str()], |row| Ok(account(row))).optional()?.transpose()
}

/// A row of id, login, name, kind, password, time of disabling, and groups.
fn account(row: &Row<'_>) -> Result<Account, BoxError> {
    let login = Login::new(&row.get::<_, String>(1)?)?;
    let password = row.get::<_, Option<String>>(4)?;
    let disabled_at = row.get::<_, Option<i64>>(5)?;
    Ok(Account {
        owner: Owner { id: row.get(0)?, login, name: row.get(2)? },
        kind: row.get::<_, String>(3)?.parse()?,
        groups: groups(row.get::<_, Option<String>>(6)?.as_deref())?,
        password: password.map(|password| PasswordHash::parse(&password)).transpose()?,
        disabled_at: disabled_at.map(u64::try_from).transpose()?.map(Timestamp),
    })
}

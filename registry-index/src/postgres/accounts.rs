use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{
        Account, AccountError, AccountKind, AccountStore, AdoptionError, AuthStoreError, Directory,
        Groups, PasswordHash,
    },
    record::Timestamp,
};
use tokio_postgres::{Row, types::ToSql};

use super::{BACKEND, Database, pool::Parameters, tokens::owner};
use crate::{
    accounts::{failed, groups},
    write_error::WriteError,
};

/// The users, service accounts and groups of a [`PostgresDatabase`](super::PostgresDatabase).
///
/// Who has a token is a user. Each write is one statement: that the accounts it is about are there,
/// and of which kind, is looked at before, and does not change.
#[derive(Clone)]
pub struct PostgresAccounts {
    pub(super) database: Arc<Database>,
}

impl fmt::Debug for PostgresAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresAccounts").field("pool", &self.database.pool).finish()
    }
}

#[async_trait]
impl Directory for PostgresAccounts {
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError> {
        let query = include_str!("sql/account.sql");
        let found = self.database.pool.read(query, &[&login.as_str()]).await;
        let found = found.and_then(|rows| rows.first().map(account).transpose());
        found.map_err(|source| failed(BACKEND, source))
    }
}

#[async_trait]
impl AccountStore for PostgresAccounts {
    async fn create_account(
        &self,
        login: &Login,
        name: Option<&str>,
        kind: AccountKind,
    ) -> Result<Account, AccountError> {
        AccountError::check_kind(login, kind)?;
        let row: Parameters<'_> = &[&login.as_str(), &name, &kind.as_str()];
        let made = self.write(include_str!("sql/create_account.sql"), row).await?;
        let Some(made) = made.first() else {
            let kind = self.find(login).await?.kind;
            return Err(AccountError::Taken { login: login.clone(), kind });
        };
        let id = made.try_get::<_, i64>(0).map_err(|error| failed(BACKEND, error.into()))?;
        let id = u32::try_from(id).map_err(|error| failed(BACKEND, error.into()))?;
        Ok(Account {
            owner: Owner { id, login: login.clone(), name: name.map(str::to_owned) },
            kind,
            groups: Groups::default(),
            password: None,
            disabled_at: None,
        })
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
        let account = self.find(login).await?;
        AccountError::check_password(&account)?;
        let password = password.map(PasswordHash::expose);
        self.update(include_str!("sql/set_password.sql"), &account, &password).await
    }

    async fn set_disabled(&self, login: &Login, at: Option<Timestamp>) -> Result<(), AccountError> {
        AccountError::check_disabling(login)?;
        let account = self.find(login).await?;
        let at = at.map(|at| i64::try_from(at.0)).transpose();
        let at = at.map_err(|error| failed(BACKEND, error.into()))?;
        self.update(include_str!("sql/set_disabled.sql"), &account, &at).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, AuthStoreError> {
        let found = self.database.pool.read(include_str!("sql/all_accounts.sql"), &[]).await;
        let found = found.and_then(|rows| rows.iter().map(account).collect());
        found.map_err(|source| failed(BACKEND, source))
    }

    async fn adopt_account(&self, account: &Account) -> Result<(), AccountError> {
        let Account { owner, kind, password, disabled_at, .. } = account;
        AccountError::check_kind(&owner.login, *kind)?;
        let failed = |source| failed(BACKEND, source);
        let same_login = self.account(&owner.login).await?.map(|account| account.owner);
        let id = i64::from(owner.id);
        let same_id = self.owner_of(id).await.map_err(failed)?;
        let checked = AdoptionError::check(owner, same_login.as_ref(), same_id.as_ref());
        let is_here = checked.map_err(|error| failed(error.into()))?;
        let disabled_at = disabled_at.map(|at| i64::try_from(at.0)).transpose();
        let disabled_at = disabled_at.map_err(|error| failed(error.into()))?;
        if is_here {
            self.write(include_str!("sql/follow_account.sql"), &[&id, &disabled_at]).await?;
            return Ok(());
        }
        let password = password.as_ref().map(PasswordHash::expose);
        let row: Parameters<'_> =
            &[&id, &owner.login.as_str(), &owner.name, &kind.as_str(), &password, &disabled_at];
        self.write(include_str!("sql/adopt_account.sql"), row).await?;
        Ok(())
    }
}

impl PostgresAccounts {
    async fn find(&self, login: &Login) -> Result<Account, AccountError> {
        let found = self.account(login).await?;
        found.ok_or_else(|| AccountError::Unknown { login: login.clone() })
    }

    async fn owner_of(&self, id: i64) -> Result<Option<Owner>, BoxError> {
        let query = include_str!("sql/find_account_by_id.sql");
        let rows = self.database.pool.read(query, &[&id]).await?;
        rows.first().map(|row| owner(row, 0)).transpose()
    }

    async fn write(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, AuthStoreError> {
        let written = self.database.pool.write(statement, parameters).await;
        written.map_err(WriteError::into_source).map_err(|source| failed(BACKEND, source))
    }

    async fn set_membership(
        &self,
        group: &Login,
        member: &Login,
        statement: &str,
    ) -> Result<(), AccountError> {
        AccountError::check_membership(group, member)?;
        let id = |account: Account| i64::from(account.owner.id);
        let (member, group) = (id(self.find(member).await?), id(self.find(group).await?));
        self.write(statement, &[&member, &group]).await?;
        Ok(())
    }

    async fn update(
        &self,
        statement: &str,
        account: &Account,
        value: &(dyn ToSql + Sync),
    ) -> Result<(), AccountError> {
        self.write(statement, &[&i64::from(account.owner.id), value]).await?;
        Ok(())
    }
}

/// A row of id, login, name, kind, password, time of disabling, and groups.
fn account(row: &Row) -> Result<Account, BoxError> {
    let id = u32::try_from(row.try_get::<_, i64>(0)?)?;
    let password = row.try_get::<_, Option<&str>>(4)?;
    let disabled_at = row.try_get::<_, Option<i64>>(5)?;
    Ok(Account {
        owner: Owner { id, login: Login::new(row.try_get(1)?)?, name: row.try_get(2)? },
        kind: row.try_get::<_, &str>(3)?.parse()?,
        groups: groups(row.try_get(6)?)?,
        password: password.map(PasswordHash::parse).transpose()?,
        disabled_at: disabled_at.map(u64::try_from).transpose()?.map(Timestamp),
    })
}

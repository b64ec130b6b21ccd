use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{lock, tokens_failed};
use crate::{
    auth::{
        Account, AccountError, AccountKind, AccountStore, AdoptionError, AuthStoreError, Directory,
        Groups, PasswordHash,
    },
    owner::{Login, Owner},
    record::Timestamp,
};

/// An [`AccountStore`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryAccounts(Arc<Mutex<Accounts>>);

#[derive(Debug, Default)]
struct Accounts {
    /// Without their groups.
    accounts: BTreeMap<Login, Account>,
    /// Member and group.
    memberships: BTreeSet<(Login, Login)>,
}

impl MemoryAccounts {
    /// A store without accounts.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Accounts {
    fn with_groups(&self, account: &Account) -> Account {
        let login = &account.owner.login;
        let groups = self.memberships.iter().filter(|(member, _)| member == login);
        let groups = groups.map(|(_, group)| group.clone()).collect();
        Account { groups, ..account.clone() }
    }

    fn find(&mut self, login: &Login) -> Result<&mut Account, AccountError> {
        let found = self.accounts.get_mut(login);
        found.ok_or_else(|| AccountError::Unknown { login: login.clone() })
    }

    fn check_membership(&mut self, group: &Login, member: &Login) -> Result<(), AccountError> {
        AccountError::check_membership(group, member)?;
        self.find(group)?;
        self.find(member).map(drop)
    }
}

#[async_trait]
impl Directory for MemoryAccounts {
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError> {
        let state = lock(&self.0);
        Ok(state.accounts.get(login).map(|account| state.with_groups(account)))
    }
}

#[async_trait]
impl AccountStore for MemoryAccounts {
    async fn create_account(
        &self,
        login: &Login,
        name: Option<&str>,
        kind: AccountKind,
    ) -> Result<Account, AccountError> {
        AccountError::check_kind(login, kind)?;
        let mut state = lock(&self.0);
        if let Some(Account { kind, .. }) = state.accounts.get(login) {
            return Err(AccountError::Taken { login: login.clone(), kind: *kind });
        }
        let last = state.accounts.values().map(|account| account.owner.id).max().unwrap_or(0);
        let id = last.checked_add(1).ok_or_else(|| tokens_failed("there are no more ids"))?;
        let account = Account {
            owner: Owner { id, login: login.clone(), name: name.map(str::to_owned) },
            kind,
            groups: Groups::default(),
            password: None,
            disabled_at: None,
        };
        state.accounts.insert(login.clone(), account.clone());
        Ok(account)
    }

    async fn add_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        let mut state = lock(&self.0);
        state.check_membership(group, member)?;
        state.memberships.insert((member.clone(), group.clone()));
        Ok(())
    }

    async fn remove_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        let mut state = lock(&self.0);
        state.check_membership(group, member)?;
        state.memberships.remove(&(member.clone(), group.clone()));
        Ok(())
    }

    async fn set_password(
        &self,
        login: &Login,
        password: Option<&PasswordHash>,
    ) -> Result<(), AccountError> {
        let mut state = lock(&self.0);
        let account = state.find(login)?;
        AccountError::check_password(account)?;
        account.password = password.cloned();
        Ok(())
    }

    async fn set_disabled(&self, login: &Login, at: Option<Timestamp>) -> Result<(), AccountError> {
        let mut state = lock(&self.0);
        let account = state.find(login)?;
        AccountError::check_disabling(login)?;
        account.disabled_at = at.map(|at| account.disabled_at.unwrap_or(at));
        Ok(())
    }

    async fn accounts(&self) -> Result<Vec<Account>, AuthStoreError> {
        let state = lock(&self.0);
        let mut accounts: Vec<_> =
            state.accounts.values().map(|account| state.with_groups(account)).collect();
        accounts.sort_by_key(|account| account.owner.id);
        Ok(accounts)
    }

    async fn adopt_account(&self, account: &Account) -> Result<(), AccountError> {
        AccountError::check_kind(&account.owner.login, account.kind)?;
        let mut state = lock(&self.0);
        let mut owners = state.accounts.values().map(|account| &account.owner);
        let same_login = state.accounts.get(&account.owner.login);
        let same_id = owners.find(|owner| owner.id == account.owner.id);
        let checked =
            AdoptionError::check(&account.owner, same_login.map(|same| &same.owner), same_id);
        checked.map_err(tokens_failed)?;
        let new = || Account { groups: Groups::default(), ..account.clone() };
        let adopted = state.accounts.entry(account.owner.login.clone()).or_insert_with(new);
        adopted.disabled_at = adopted.disabled_at.or(account.disabled_at);
        Ok(())
    }
}

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use registry_core::{
    Login, Owner,
    auth::{
        Account, AccountError, AccountKind, AccountStore, AuthStoreError, Directory, Groups,
        PasswordHash,
    },
    conformance::{Bench, account_store},
    memory::MemoryAccounts,
    record::Timestamp,
};

use super::{notices, passed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AccountDefect {
    None,
    KeepsNothing,
    MakesAgain,
    TakesAnyKind,
    FoldsLogins,
    KeepsMembers,
    MakesMembersOfAll,
    KeepsFirstPassword,
    GivesPasswordsToAll,
    DisablesAnew,
    PassesOverUnknown,
    DisablesAll,
    PrintsPasswords,
    LooksThenMakes,
    ReplacesGroups,
    AdoptsUnderANewId,
    AdoptsAnybody,
}

/// An account store in memory with a defect.
struct BrokenAccounts {
    defect: AccountDefect,
    inner: MemoryAccounts,
    looks: AtomicU64,
    passwords: Mutex<Vec<String>>,
}

impl BrokenAccounts {
    fn new(defect: AccountDefect) -> Self {
        let inner = MemoryAccounts::new();
        Self { defect, inner, looks: AtomicU64::new(0), passwords: Mutex::default() }
    }

    fn has(&self, defect: AccountDefect) -> bool {
        self.defect == defect
    }

    /// Waits until another writer, if there is one, has looked as well.
    async fn another_looks(&self) {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        passed(&self.looks, looks).await;
    }

    /// What the defect makes of an answer.
    fn answer(
        &self,
        result: Result<(), AccountError>,
        wrong_kind: AccountDefect,
    ) -> Result<(), AccountError> {
        match result {
            Err(AccountError::Unknown { .. }) if self.has(AccountDefect::PassesOverUnknown) => {
                Ok(())
            }
            Err(AccountError::WrongKind { .. }) if self.has(wrong_kind) => Ok(()),
            result => result,
        }
    }
}

impl fmt::Debug for BrokenAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passwords = self.passwords.lock().unwrap();
        f.debug_struct("BrokenAccounts").field("passwords", &passwords).finish()
    }
}

#[async_trait]
impl Directory for BrokenAccounts {
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError> {
        match self.has(AccountDefect::FoldsLogins) {
            true => {
                let folded = Login::new(&login.as_str().to_ascii_lowercase()).unwrap();
                self.inner.account(&folded).await
            }
            false => self.inner.account(login).await,
        }
    }
}

#[async_trait]
impl AccountStore for BrokenAccounts {
    async fn create_account(
        &self,
        login: &Login,
        name: Option<&str>,
        kind: AccountKind,
    ) -> Result<Account, AccountError> {
        let imagined = Account {
            owner: Owner { id: 1, login: login.clone(), name: name.map(str::to_owned) },
            kind,
            groups: Groups::default(),
            password: None,
            disabled_at: None,
        };
        if self.has(AccountDefect::KeepsNothing) {
            return Ok(imagined);
        }
        let is_free = self.inner.account(login).await?.is_none();
        if self.has(AccountDefect::LooksThenMakes) && is_free {
            self.another_looks().await;
        }
        match self.inner.create_account(login, name, kind).await {
            Err(AccountError::Taken { .. })
                if self.has(AccountDefect::MakesAgain)
                    || self.has(AccountDefect::LooksThenMakes) && is_free =>
            {
                Ok(imagined)
            }
            Err(AccountError::WrongKind { .. }) if self.has(AccountDefect::TakesAnyKind) => {
                Ok(imagined)
            }
            result => result,
        }
    }

    async fn add_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        let groups = async || {
            let account = self.inner.account(member).await.unwrap();
            account.map(|account| account.groups).unwrap_or_default()
        };
        let before = groups().await;
        if self.has(AccountDefect::ReplacesGroups) {
            self.another_looks().await;
        }
        let result = self.inner.add_member(group, member).await;
        if self.has(AccountDefect::ReplacesGroups) {
            for other in groups().await.iter().filter(|it| !before.contains(it) && *it != group) {
                self.inner.remove_member(other, member).await?;
            }
        }
        self.answer(result, AccountDefect::MakesMembersOfAll)
    }

    async fn remove_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        if self.has(AccountDefect::KeepsMembers) {
            return Ok(());
        }
        let result = self.inner.remove_member(group, member).await;
        self.answer(result, AccountDefect::MakesMembersOfAll)
    }

    async fn set_password(
        &self,
        login: &Login,
        password: Option<&PasswordHash>,
    ) -> Result<(), AccountError> {
        let account = self.inner.account(login).await?;
        if self.has(AccountDefect::KeepsFirstPassword)
            && account.is_some_and(|account| account.password.is_some())
        {
            return Ok(());
        }
        if self.has(AccountDefect::PrintsPasswords) {
            let printed = password.map(|password| password.expose().to_owned());
            self.passwords.lock().unwrap().extend(printed);
        }
        let result = self.inner.set_password(login, password).await;
        self.answer(result, AccountDefect::GivesPasswordsToAll)
    }

    async fn set_disabled(&self, login: &Login, at: Option<Timestamp>) -> Result<(), AccountError> {
        if self.has(AccountDefect::DisablesAnew) {
            self.inner.set_disabled(login, None).await?;
        }
        if self.has(AccountDefect::DisablesAll) {
            for account in self.inner.accounts().await? {
                let _ = self.inner.set_disabled(&account.owner.login, at).await;
            }
        }
        let result = self.inner.set_disabled(login, at).await;
        self.answer(result, AccountDefect::None)
    }

    async fn accounts(&self) -> Result<Vec<Account>, AuthStoreError> {
        self.inner.accounts().await
    }

    async fn adopt_account(&self, account: &Account) -> Result<(), AccountError> {
        if self.has(AccountDefect::AdoptsUnderANewId) {
            let Owner { login, name, .. } = &account.owner;
            return self.create_account(login, name.as_deref(), account.kind).await.map(drop);
        }
        match self.inner.adopt_account(account).await {
            Err(AccountError::Store(_)) if self.has(AccountDefect::AdoptsAnybody) => Ok(()),
            result => result,
        }
    }
}

#[test]
fn of_an_account_store() {
    use AccountDefect::*;

    let broken = |defect| Bench::volatile(BrokenAccounts::new(defect), account_store::share);
    notices! { account_store, broken;
        KeepsNothing => an_account_is_there_as_it_was_made;
        MakesAgain => a_login_is_taken_once;
        TakesAnyKind => logins_of_groups_are_theirs_alone;
        FoldsLogins => logins_are_compared_as_they_are_spelled;
        KeepsMembers => members_come_and_go;
        MakesMembersOfAll => only_groups_have_members_and_none_is_one;
        KeepsFirstPassword => a_user_has_the_last_password_given;
        GivesPasswordsToAll => only_users_have_a_password;
        DisablesAnew => an_account_is_disabled_until_it_is_enabled;
        PassesOverUnknown => what_is_not_there_is_not_changed;
        DisablesAll => a_change_of_one_account_leaves_the_others;
        PrintsPasswords => a_password_is_not_printed;
        LooksThenMakes => a_login_raced_for_is_one_account;
        ReplacesGroups => members_who_come_at_once_are_all_there;
        AdoptsUnderANewId => an_account_is_adopted_as_it_is;
        AdoptsAnybody => a_login_or_an_id_of_another_account_is_not_adopted;
    }
}

#[test]
fn of_handles_on_an_account_store() {
    use AccountDefect::*;

    let apart =
        |defect| Bench::durable(async move || BrokenAccounts::new(defect), account_store::share);
    notices! { account_store, apart;
        None => every_account_is_there_after_a_restart, two_handles_are_one_store;
    }
}

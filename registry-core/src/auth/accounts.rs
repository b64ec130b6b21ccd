//! Users, service accounts and groups.

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;

use super::{
    AuthError, AuthStoreError, CredentialId, Groups, PasswordHash, Principal, Scopes, Vouched,
};
use crate::{
    owner::{Login, Owner},
    record::Timestamp,
};

/// Somebody whom the registry has by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As an owner of crates.
    pub owner: Owner,
    /// What it stands for.
    pub kind: AccountKind,
    /// The groups it is a member of, by name; none, if it is a group.
    pub groups: Groups,
    /// The password, if it logs in with one.
    pub password: Option<PasswordHash>,
    /// Since when none of its credentials counts; `None` if they do.
    pub disabled_at: Option<Timestamp>,
}

impl Account {
    /// Whoever comes as this account.
    ///
    /// # Errors
    /// As [`Account::may_log_in`].
    pub fn principal(
        self,
        credential: CredentialId,
        scopes: Scopes,
    ) -> Result<Principal, AuthError> {
        self.may_log_in()?;
        let (user, groups) = (self.owner, self.groups);
        Ok(Principal { user, vouched: Vouched::default(), groups, credential, scopes, claim: None })
    }

    /// Whether anybody may come as this account: not as a group, and not while it is disabled.
    ///
    /// # Errors
    /// [`AuthError::Rejected`] if not.
    pub fn may_log_in(&self) -> Result<(), AuthError> {
        match self.kind {
            AccountKind::User | AccountKind::Service if self.disabled_at.is_none() => Ok(()),
            _ => Err(AuthError::Rejected),
        }
    }
}

/// What an account stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A person.
    User,
    /// A machine. It has tokens and keys, but no password.
    Service,
    /// A group of both. Its login begins with `group:`, and nobody logs in with it.
    Group,
}

impl AccountKind {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Group => "group",
        }
    }
}

impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccountKind {
    type Err = AccountKindError;

    fn from_str(text: &str) -> Result<Self, AccountKindError> {
        let all = [Self::User, Self::Service, Self::Group];
        all.into_iter().find(|kind| kind.as_str() == text).ok_or(AccountKindError)
    }
}

/// A text is not [`AccountKind::as_str`] of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kind of an account is `user`, `service` or `group`")]
pub struct AccountKindError;

/// Knows accounts by their logins: what authenticators ask for groups, and for whether an account is
/// disabled.
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// The account of this login; `None` if there is none. What any process has changed before is
    /// seen.
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError>;
}

/// Keeps accounts. None is ever removed: owners and history name them.
///
/// What has changed is durable, and seen by every process on the same data, when a method returns.
/// To do what is done already succeeds.
#[async_trait]
pub trait AccountStore: Directory {
    /// Makes an account without groups, members and password, with an id that no other has.
    ///
    /// # Errors
    /// [`AccountError::Taken`] if there is one of this login, [`AccountError::WrongKind`] if the
    /// login is that of a group and the kind is not, or the other way round.
    async fn create_account(
        &self,
        login: &Login,
        name: Option<&str>,
        kind: AccountKind,
    ) -> Result<Account, AccountError>;

    /// Makes a user or service account a member of a group.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] if there is no such group or member, [`AccountError::WrongKind`] if
    /// the one is no group, or the other is.
    async fn add_member(&self, group: &Login, member: &Login) -> Result<(), AccountError>;

    /// Ends a membership.
    ///
    /// # Errors
    /// As [`AccountStore::add_member`].
    async fn remove_member(&self, group: &Login, member: &Login) -> Result<(), AccountError>;

    /// Gives a user this password and no other, or takes it away.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] if there is no such account, [`AccountError::WrongKind`] if it is
    /// not a user.
    async fn set_password(
        &self,
        login: &Login,
        password: Option<&PasswordHash>,
    ) -> Result<(), AccountError>;

    /// Disables a user or service account: its tokens, keys and password no longer count, and it
    /// stays the owner of what it owns. Or enables it again, if there is no time of disabling. An
    /// account that is disabled stays so since then.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] if there is no such account, [`AccountError::WrongKind`] if it is a
    /// group.
    async fn set_disabled(&self, login: &Login, at: Option<Timestamp>) -> Result<(), AccountError>;

    /// All accounts, in the order of their ids.
    async fn accounts(&self) -> Result<Vec<Account>, AuthStoreError>;

    /// Adds an account of another store as it is there, with its id, but without its groups. One
    /// that is here keeps kind and password, and is disabled if it is so in one of the two. Accounts
    /// that are made later have other ids.
    ///
    /// # Errors
    /// [`AccountError::WrongKind`] if login and kind are not of each other; [`AccountError::Store`],
    /// with [`AdoptionError`](super::AdoptionError) as the source of that, if the login has another
    /// id here, or the id is another account's.
    async fn adopt_account(&self, account: &Account) -> Result<(), AccountError>;
}

/// Why accounts did not change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// There is no such account.
    #[error("there is no {} `{login}`", if login.is_group() { "group" } else { "user" })]
    Unknown {
        /// The login.
        login: Login,
    },
    /// There is an account of this login.
    #[error("there is a {kind} `{login}` already")]
    Taken {
        /// The login.
        login: Login,
        /// What it is.
        kind: AccountKind,
    },
    /// This makes no sense for an account of its kind.
    #[error("`{login}`: {reason}")]
    WrongKind {
        /// The login.
        login: Login,
        /// What it contradicts.
        reason: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] AuthStoreError),
}

impl AccountError {
    /// Whether an account of this login may be of this kind.
    ///
    /// # Errors
    /// [`AccountError::WrongKind`] if not.
    pub fn check_kind(login: &Login, kind: AccountKind) -> Result<(), Self> {
        if (kind == AccountKind::Group) == login.is_group() {
            return Ok(());
        }
        Err(Self::wrong_kind(login, "the login of a group begins with `group:`, and no other does"))
    }

    /// Whether the one may be a member of the other, for all that their logins say.
    ///
    /// # Errors
    /// [`AccountError::WrongKind`] if not.
    pub fn check_membership(group: &Login, member: &Login) -> Result<(), Self> {
        Self::check_kind(group, AccountKind::Group)?;
        match member.is_group() {
            true => Err(Self::wrong_kind(member, "a group is not a member of another")),
            false => Ok(()),
        }
    }

    /// Whether an account may have a password.
    ///
    /// # Errors
    /// [`AccountError::WrongKind`] if not.
    pub fn check_password(account: &Account) -> Result<(), Self> {
        match account.kind {
            AccountKind::User => Ok(()),
            _ => Err(Self::wrong_kind(&account.owner.login, "only a user has a password")),
        }
    }

    /// Whether an account of this login may be disabled.
    ///
    /// # Errors
    /// [`AccountError::WrongKind`] if not.
    pub fn check_disabling(login: &Login) -> Result<(), Self> {
        match login.is_group() {
            true => Err(Self::wrong_kind(login, "a group has members to disable or remove")),
            false => Ok(()),
        }
    }

    fn wrong_kind(login: &Login, reason: &'static str) -> Self {
        Self::WrongKind { login: login.clone(), reason }
    }
}

/// A shared directory, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<D: Directory + ?Sized> Directory for Arc<D> {
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError> {
        (**self).account(login).await
    }
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: AccountStore + ?Sized> AccountStore for Arc<S> {
    async fn create_account(
        &self,
        login: &Login,
        name: Option<&str>,
        kind: AccountKind,
    ) -> Result<Account, AccountError> {
        (**self).create_account(login, name, kind).await
    }

    async fn add_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        (**self).add_member(group, member).await
    }

    async fn remove_member(&self, group: &Login, member: &Login) -> Result<(), AccountError> {
        (**self).remove_member(group, member).await
    }

    async fn set_password(
        &self,
        login: &Login,
        password: Option<&PasswordHash>,
    ) -> Result<(), AccountError> {
        (**self).set_password(login, password).await
    }

    async fn set_disabled(&self, login: &Login, at: Option<Timestamp>) -> Result<(), AccountError> {
        (**self).set_disabled(login, at).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, AuthStoreError> {
        (**self).accounts().await
    }

    async fn adopt_account(&self, account: &Account) -> Result<(), AccountError> {
        (**self).adopt_account(account).await
    }
}

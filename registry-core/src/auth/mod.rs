//! Who is asking, and what they may do.
//!
//! A request brings a [`Credential`]; an [`Authenticator`] makes a [`Principal`] of it; the
//! [`Caller`] is that principal, or nobody, at one request; an [`Authorizer`] decides whether the
//! caller may do an [`Action`] to a crate with certain owners.

mod account_file;
mod accounts;
mod action;
mod approved_name;
mod authorizer;
mod cached;
mod caller;
mod claim;
mod credential;
mod first_of;
mod key;
mod key_store;
mod keys;
mod new_names;
pub mod oidc;
mod once;
#[cfg(feature = "paseto")]
pub mod paseto;
mod password;
#[cfg(feature = "passwords")]
mod password_login;
mod policy;
mod principal;
mod proxy_users;
mod scope;
mod single_use;
mod token;
mod token_authenticator;
mod token_key;
mod token_store;
mod token_table;
mod tokens;
mod transfer;
pub mod trusted;
mod vouched;
mod with_accounts;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

pub use self::{
    account_file::{AccountFile, AccountFileError},
    accounts::{Account, AccountError, AccountKind, AccountKindError, AccountStore, Directory},
    action::Action,
    approved_name::{ApprovedName, ApprovedNames},
    authorizer::{AllowAll, OwnersMayWrite},
    cached::CachedAuthenticator,
    caller::{Caller, RequestId},
    claim::{Claim, Mutation},
    credential::{Credential, CredentialError, CredentialForms},
    first_of::FirstOf,
    key::{KeyId, KeyParseError, PublicKey},
    key_store::{KeyRecord, KeyRefusal, KeyStore},
    keys::{KeyError, KeyRequest, Keys, OwnKeys},
    new_names::{NameRules, NewNames, ReservedNames},
    once::Once,
    password::{PasswordHash, PasswordHashError},
    policy::{
        By, Decision, Effect, LivePolicy, Place, PolicyAction, PolicyError, RolePolicy, Rule, Who,
    },
    principal::{CredentialId, Groups, NoGroup, Principal},
    proxy_users::{ProxyUser, ProxyUsers},
    scope::{CratePattern, EndpointScope, OutOfScope, ScopeParseError, Scopes},
    single_use::{SINGLE_USE_MARGIN, SingleUse},
    token::{Token, TokenDigest, TokenId, TokenIdError},
    token_authenticator::{TokenAuthenticator, WallClock},
    token_key::{TokenHash, TokenKey, TokenKeyParseError, TokenKeys},
    token_store::{
        AuthStoreError, NewToken, Revocation, TokenKind, TokenRecord, TokenRefusal, TokenStore,
    },
    token_table::TokenTable,
    tokens::{
        IssuedToken, Lifetime, LifetimeError, TokenCaller, TokenError, TokenExpiry, TokenRequest,
        TokenRules, Tokens,
    },
    transfer::{AdoptionError, StoredToken, TokenTransfer, UserTokens},
    vouched::{Identity, Vouched},
    with_accounts::WithAccounts,
};
#[cfg(feature = "passwords")]
pub use self::{password::PasswordError, password_login::PasswordAuthenticator};
use crate::{
    BoxError,
    owner::{Login, Owner, Owners},
};

/// Finds out whose credential it is.
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{Owner, Login, auth::*};
///
/// /// Everybody who knows the password is `admin`.
/// #[derive(Debug)]
/// struct OnePassword(TokenDigest);
///
/// impl OnePassword {
///     fn admin() -> Owner {
///         Owner { id: 1, login: Login::new("admin").unwrap(), name: None }
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl Authenticator for OnePassword {
///     async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
///         match credential.digest() == self.0 {
///             true => Ok(Arc::new(Self::admin().into())),
///             false => Err(AuthError::Rejected),
///         }
///     }
///     async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
///         Ok(Some(Self::admin()).filter(|admin| admin.login == *login))
///     }
/// }
/// ```
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// The principal this credential stands for.
    ///
    /// # Errors
    /// [`AuthError::Rejected`] for any credential that does not count (unknown, expired, revoked,
    /// malformed alike), [`AuthError::Backend`] if that cannot be found out now.
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError>;

    /// The same, for a write that is about to take place: whoever keeps answers, or hands the
    /// question on, overrides it, so that nothing but what counts at this moment is answered.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    async fn authenticate_anew(
        &self,
        credential: &Credential,
    ) -> Result<Arc<Principal>, AuthError> {
        self.authenticate(credential).await
    }

    /// The user or group of this login, as an owner of crates; `None` if there is none.
    ///
    /// # Errors
    /// [`AuthError::Backend`] if that cannot be found out now.
    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError>;
}

/// Decides whether a caller may do something.
#[async_trait]
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Allows or forbids `action`. `owners` are those of the crate it is about, as they are in the
    /// record that will be replaced: empty for a crate that does not exist, and for reads.
    ///
    /// A crate that may not be read does not exist for the caller, and what they may do to it is
    /// not asked.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] if not, [`AuthError::Backend`] if that cannot be found out now.
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError>;

    /// The same decision, if it can be taken at once: nobody has to be asked for it. `None` says
    /// nothing. Default: `None`.
    ///
    /// Asked first, so that a read takes no future of its own.
    fn try_authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Option<Result<(), AuthError>> {
        let _ = (caller, action, owners);
        None
    }

    /// Whether [`Action::Read`] of some crate may be forbidden to somebody, now or later. Whoever
    /// forbids it without saying so here leaks: answers are for shared caches then, and a search
    /// shows every crate.
    ///
    /// Asked at every request, so it answers at once, and the same each time.
    fn hides_crates(&self) -> bool;

    /// Whether nothing is read without a credential at this moment, as in a registry that is
    /// configured so. Then `config.json` tells cargo to send its token.
    ///
    /// Asked at every request, so it answers at once.
    fn needs_credential(&self) -> bool;
}

/// A shared authorizer, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Authorizer + ?Sized> Authorizer for Arc<A> {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        (**self).authorize(caller, action, owners).await
    }

    fn try_authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Option<Result<(), AuthError>> {
        (**self).try_authorize(caller, action, owners)
    }

    fn hides_crates(&self) -> bool {
        (**self).hides_crates()
    }

    fn needs_credential(&self) -> bool {
        (**self).needs_credential()
    }
}

/// Why somebody may not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// There is no credential, and one is needed.
    #[error("this action requires authentication")]
    Missing,
    /// The credential does not count.
    #[error("authentication failed")]
    Rejected,
    /// The caller is known, and may not do it.
    #[error("{reason}")]
    Forbidden {
        /// A sentence for the caller.
        reason: String,
    },
    /// Too much was asked for in too short a time.
    #[error("{reason}")]
    TooMany {
        /// A sentence for the caller.
        reason: String,
        /// After how many seconds it is worth asking again, at least 1.
        retry_after: u32,
    },
    /// It cannot be found out now.
    #[error("authentication backend failed")]
    Backend(#[source] BoxError),
}

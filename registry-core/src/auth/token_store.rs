use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Scopes, TokenDigest, TokenHash, TokenId, Vouched};
use crate::{
    BoxError,
    owner::{Login, Owner},
    record::Timestamp,
};

/// A token as a store knows it: all but the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What it is named by.
    pub id: TokenId,
    /// Whose it is.
    pub user: Owner,
    /// What its user calls it.
    pub name: String,
    /// Who asked for it.
    pub kind: TokenKind,
    /// What it may be used for.
    pub scopes: Scopes,
    /// What others said of whoever made it, at that time.
    #[serde(skip_serializing_if = "Vouched::is_nothing", default)]
    pub vouched: Vouched,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it does not count; `None`: it counts until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// A minute within which it was used, written some time later; `None`: never, as far as is
    /// known.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked. Such tokens are kept, so that the audit trail can be understood.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRecord {
    /// What is known of a new token that is stored as `hash`.
    pub fn new(hash: &TokenHash, user: Owner, new: &NewToken) -> Self {
        Self {
            id: TokenId::of(hash),
            user,
            name: new.name.clone(),
            kind: new.kind,
            scopes: new.scopes.clone(),
            vouched: new.vouched.clone(),
            created_at: new.created_at,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        }
    }

    /// Whether the token stands for its user at this time: neither revoked nor expired.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// Who asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenKind {
    /// A user, or an administrator for one.
    User,
    /// A CI run, for what an identity provider says of it.
    TrustedPublisher,
}

impl TokenKind {
    /// As stores and the command line spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::TrustedPublisher => "trusted-publisher",
        }
    }

    /// The kind that is spelled so; `None` if there is none.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::User, Self::TrustedPublisher].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A token to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whose it is.
    pub login: Login,
    /// The digest of the token.
    pub digest: TokenDigest,
    /// What its user calls it.
    pub name: String,
    /// Who asked for it.
    pub kind: TokenKind,
    /// What it may be used for.
    pub scopes: Scopes,
    /// What others say of whoever makes it.
    pub vouched: Vouched,
    /// The time now.
    pub created_at: Timestamp,
    /// From when on it does not count; `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl NewToken {
    /// A token for all but the rights of an administrator, which has no name and does not expire.
    pub fn new(login: &Login, digest: &TokenDigest, created_at: Timestamp) -> Self {
        Self {
            login: login.clone(),
            digest: *digest,
            name: String::new(),
            kind: TokenKind::User,
            scopes: Scopes::all_but_admin(),
            vouched: Vouched::default(),
            created_at,
            expires_at: None,
        }
    }
}

/// Which tokens are revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// One.
    Token(TokenId),
    /// All that a user has.
    User(Login),
}

/// Keeps users and what is known of their tokens. The tokens themselves are nowhere: what is kept of
/// one is a [`TokenHash`](super::TokenHash).
///
/// The source of [`MemoryTokens`](crate::memory::MemoryTokens) is a complete one.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Remembers a token of `login`, who becomes a user with an id of their own if they are none.
    /// Durable, and found by every process on the same data, when this returns. A token that its
    /// user has already stays as it is, as after an answer that was lost.
    ///
    /// # Errors
    /// [`AuthStoreError`] if the store fails; with [`TokenRefusal`] as its source if there may be no
    /// such token.
    async fn create(&self, token: &NewToken) -> Result<TokenRecord, AuthStoreError>;

    /// What is known of this token; `None` if nothing is. Found also if it is expired or revoked:
    /// [`TokenRecord::counts_at`] says whether it counts.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError>;

    /// The tokens of one user, or all there are, expired and revoked ones, too: in the order in
    /// which they were made, those of one second by id.
    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError>;

    /// Revokes tokens at the time given, and tells them, in the order of [`list`](Self::list): all
    /// it is about, also those that were revoked before, which keep the time at which they were.
    /// None if there is no such token or user. Durable, and seen by every process on the same data,
    /// when this returns.
    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError>;

    /// Remembers when tokens were used, unless something later is known. Tokens that are not there
    /// are passed over. Need not be durable when this returns.
    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError>;

    /// The user of this login; `None` if there is none.
    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    async fn create(&self, token: &NewToken) -> Result<TokenRecord, AuthStoreError> {
        (**self).create(token).await
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError> {
        (**self).find(digest).await
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError> {
        (**self).list(login).await
    }

    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError> {
        (**self).revoke(revocation, at).await
    }

    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError> {
        (**self).used(uses).await
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        (**self).user(login).await
    }
}

/// Why a store does not take a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// Nobody logs in as a group.
    #[error("`{login}` is a group: only users have tokens")]
    Group {
        /// The login.
        login: Login,
    },
    /// The user has as many as they may have.
    #[error("`{login}` has {} tokens that count, and may not have more", TokenRefusal::MOST)]
    TooMany {
        /// The user.
        login: Login,
    },
    /// It is the token of somebody else.
    #[error("the token is another user's")]
    Taken,
}

impl TokenRefusal {
    /// Most tokens that count of one user: whoever makes more does so by mistake. Tokens of CI runs
    /// are as many as there are runs. Source: crates.io.
    pub const MOST: usize = 500;

    /// What is wrong with the login.
    ///
    /// # Errors
    /// [`TokenRefusal::Group`] if it is that of a group.
    pub fn check_login(login: &Login) -> Result<(), Self> {
        match login.is_group() {
            true => Err(Self::Group { login: login.clone() }),
            false => Ok(()),
        }
    }

    /// Whether a user who has `counting` tokens of their own that count may have `new`.
    ///
    /// # Errors
    /// [`TokenRefusal::TooMany`] if not.
    pub fn check_number(new: &NewToken, counting: usize) -> Result<(), Self> {
        match new.kind {
            TokenKind::User if counting >= Self::MOST => {
                Err(Self::TooMany { login: new.login.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// A store of what authentication or authorization goes by failed.
#[derive(Debug, thiserror::Error)]
#[error("token store {backend} failed")]
pub struct AuthStoreError {
    /// The kind of store.
    pub backend: &'static str,
    /// What the store said.
    #[source]
    pub source: BoxError,
}

impl AuthStoreError {
    /// Why the store does not take a token, if it has not failed otherwise.
    pub fn refusal(&self) -> Option<&TokenRefusal> {
        self.source.downcast_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_until_it_is_revoked_or_expires() {
        let user = Owner { id: 1, login: Login::new("alice").unwrap(), name: None };
        let token = TokenRecord {
            id: TokenId::from_number(1).unwrap(),
            user,
            name: "laptop".into(),
            kind: TokenKind::User,
            scopes: Scopes::all(),
            vouched: Vouched::default(),
            created_at: Timestamp(10),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        let expires = TokenRecord { expires_at: Some(Timestamp(20)), ..token.clone() };
        let revoked = TokenRecord { revoked_at: Some(Timestamp(30)), ..token.clone() };
        for (token, now, counts) in [
            (&token, u64::MAX, true),
            (&expires, 19, true),
            (&expires, 20, false),
            // Whatever the clock of this process says.
            (&revoked, 29, false),
            (&revoked, 30, false),
        ] {
            assert_eq!(token.counts_at(Timestamp(now)), counts, "{now}");
        }
    }
}

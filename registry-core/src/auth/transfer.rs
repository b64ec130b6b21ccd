use std::sync::Arc;

use async_trait::async_trait;

use super::{AuthStoreError, TokenHash, TokenKey, TokenRecord, TokenStore};
use crate::owner::{Login, Owner};

/// A user with their tokens, as one store hands them to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTokens {
    /// The user, with the id that the owners of crates are known by.
    pub user: Owner,
    /// In ascending order of what is stored of them.
    pub tokens: Vec<StoredToken>,
}

/// A token with what a store keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// What it is found by, under a key of the store.
    pub hash: TokenHash,
    /// What is known of it.
    pub token: TokenRecord,
}

impl TokenRecord {
    /// Takes over what has become of this token elsewhere since it was copied.
    pub fn follow(&mut self, there: &Self) {
        self.revoked_at = self.revoked_at.or(there.revoked_at);
        self.last_used_at = self.last_used_at.max(there.last_used_at);
    }
}

/// A [`TokenStore`] whose users can be brought over to another one as they are.
///
/// The source of [`MemoryTokens`](crate::memory::MemoryTokens) is a complete one.
#[async_trait]
pub trait TokenTransfer: TokenStore {
    /// The keys that the store keeps beside its tokens: not one from outside, which whoever brings
    /// tokens over has to give to the other store, too.
    async fn keys(&self) -> Result<Vec<TokenKey>, AuthStoreError>;

    /// Looks for tokens under these keys, too, from now on, in every process on the same data.
    /// Durable when this returns. The key for new tokens stays, if there is one.
    async fn add_keys(&self, keys: &[TokenKey]) -> Result<(), AuthStoreError>;

    /// All users in the order of their ids, with their tokens.
    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError>;

    /// Adds the user as they are, unless they are there, and the tokens that are not there yet; one
    /// that is there [follows](TokenRecord::follow). Durable, and found by every process on the same
    /// data, when this returns. Users that are made later have other ids.
    ///
    /// # Errors
    /// [`AuthStoreError`] if the store fails; with [`AdoptionError`] as its source if the login has
    /// another id here, the id is another user's, or a token is.
    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenTransfer + ?Sized> TokenTransfer for Arc<S> {
    async fn keys(&self) -> Result<Vec<TokenKey>, AuthStoreError> {
        (**self).keys().await
    }

    async fn add_keys(&self, keys: &[TokenKey]) -> Result<(), AuthStoreError> {
        (**self).add_keys(keys).await
    }

    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError> {
        (**self).export().await
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError> {
        (**self).adopt(user).await
    }
}

/// Why a user cannot be in this store as they are in the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptionError {
    /// The login has another id here.
    #[error("user `{login}` has the id {here} here, and {there} there")]
    OtherId {
        /// The login.
        login: Login,
        /// The id here.
        here: u32,
        /// The id in the store that the user comes from.
        there: u32,
    },
    /// The id is another user's here.
    #[error("the id {id} is that of `{here}` here, and of `{there}` there")]
    IdTaken {
        /// The id.
        id: u32,
        /// Whose it is here.
        here: Login,
        /// Whose it is in the store that the user comes from.
        there: Login,
    },
    /// A token is another user's here.
    #[error("a token of `{login}` is another user's here")]
    TokenTaken {
        /// Whose it is in the store that the user comes from.
        login: Login,
    },
}

impl AdoptionError {
    /// Whether `user` may be adopted, where `same_login` and `same_id` are the users found here.
    /// Answers whether they are here already.
    ///
    /// # Errors
    /// If they may not.
    pub fn check(
        user: &Owner,
        same_login: Option<&Owner>,
        same_id: Option<&Owner>,
    ) -> Result<bool, Self> {
        match (same_login, same_id) {
            (Some(here), _) if here.id != user.id => {
                Err(Self::OtherId { login: user.login.clone(), here: here.id, there: user.id })
            }
            (Some(_), _) => Ok(true),
            (None, Some(here)) => Err(Self::IdTaken {
                id: user.id,
                here: here.login.clone(),
                there: user.login.clone(),
            }),
            (None, None) => Ok(false),
        }
    }
}

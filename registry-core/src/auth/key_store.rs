use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{AuthStoreError, KeyId, PublicKey, Vouched};
use crate::{
    owner::{Login, Owner},
    record::Timestamp,
};

/// A key that somebody has registered to sign tokens with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// What it is named by.
    pub id: KeyId,
    /// The key.
    pub key: PublicKey,
    /// Who signs with it.
    pub user: Owner,
    /// What its user calls it.
    pub name: String,
    /// What tokens have to name as their subject; `None`: none. Source: RFC 3231.
    pub subject: Option<String>,
    /// What others said of the user when they registered it.
    pub vouched: Vouched,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was revoked. Such keys are kept, so that the audit trail can be understood.
    pub revoked_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Most characters of a subject. Source: ours.
    pub const MAX_SUBJECT_CHARS: usize = 256;

    /// Whether a text can be a subject: visible ASCII characters, 1 to
    /// [`MAX_SUBJECT_CHARS`](Self::MAX_SUBJECT_CHARS). Source: RFC 3231; the limit is ours.
    pub fn is_subject(text: &str) -> bool {
        (1..=Self::MAX_SUBJECT_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Whether the key is registered as `self` if somebody registers `new`: it may be repeated, as
    /// after an answer that was lost.
    ///
    /// # Errors
    /// [`KeyRefusal::Taken`] if it is registered otherwise.
    pub fn is_repeated_by(&self, new: &Self) -> Result<(), KeyRefusal> {
        // Not by id: whoever comes from an identity provider has another than the store gave them.
        let same = self.user.login == new.user.login
            && self.subject == new.subject
            && self.revoked_at.is_some() == new.revoked_at.is_some();
        if same { Ok(()) } else { Err(KeyRefusal::Taken) }
    }
}

/// Keeps the keys that users sign tokens with.
///
/// The source of [`MemoryKeys`](crate::memory::MemoryKeys) is a complete one.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// Registers a key. Durable, and found by every process on the same data, when this returns. One
    /// that is there already, of the same user and with the same subject, stays as it is.
    ///
    /// A user is known by the login. A store that keeps users makes one whom it does not know, such
    /// as one of an identity provider, with an id of its own; a key that is refused makes nobody.
    ///
    /// # Errors
    /// [`AuthStoreError`] if the store fails; with [`KeyRefusal`] as its source if it does not take
    /// the key.
    async fn add(&self, key: &KeyRecord) -> Result<(), AuthStoreError>;

    /// The key of this name, revoked or not; `None` if there is none.
    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, AuthStoreError>;

    /// The keys of one user, or all there are, revoked ones, too: in the order in which they were
    /// registered, those of one second by id.
    async fn list(&self, login: Option<&Login>) -> Result<Vec<KeyRecord>, AuthStoreError>;

    /// Revokes a key at the time given, and tells it; one that was revoked before keeps the time at
    /// which it was. `None` if there is no such key. Durable, and seen by every process on the same
    /// data, when this returns.
    async fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<Option<KeyRecord>, AuthStoreError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    async fn add(&self, key: &KeyRecord) -> Result<(), AuthStoreError> {
        (**self).add(key).await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, AuthStoreError> {
        (**self).find(id).await
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<KeyRecord>, AuthStoreError> {
        (**self).list(login).await
    }

    async fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<Option<KeyRecord>, AuthStoreError> {
        (**self).revoke(id, at).await
    }
}

/// Why a key is not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefusal {
    /// Somebody has registered it before, or it was revoked: a key is one user's, and once.
    #[error("the key was registered before")]
    Taken,
    /// There is no such user, such as if it is a group.
    #[error("there is no user `{login}`")]
    UnknownUser {
        /// The login.
        login: Login,
    },
    /// The user has as many as they may have.
    #[error("`{login}` has {} keys, and may not have more", KeyRefusal::MOST)]
    TooMany {
        /// The user.
        login: Login,
    },
    /// The coordinate is not that of a point.
    #[error("the public key is not a point of the curve P-384")]
    NotOnCurve,
    /// The subject is one that cargo cannot name.
    #[error("a subject consists of 1 to {} visible ASCII characters", KeyRecord::MAX_SUBJECT_CHARS)]
    Subject,
    /// The name is too long, or has characters that cannot be seen.
    #[error(
        "the name of a key has at most {} characters, and no control characters",
        KeyRefusal::MAX_NAME_CHARS
    )]
    Name,
}

impl KeyRefusal {
    /// Most keys of one user that are not revoked. Source: ours.
    pub const MOST: usize = 100;
    /// Most characters of a name. Source: ours.
    pub const MAX_NAME_CHARS: usize = 100;

    /// Whether a user of this login may have keys.
    ///
    /// # Errors
    /// [`KeyRefusal::UnknownUser`] if it is that of a group: nobody signs as one.
    pub fn check_login(login: &Login) -> Result<(), Self> {
        match login.is_group() {
            true => Err(Self::UnknownUser { login: login.clone() }),
            false => Ok(()),
        }
    }
}

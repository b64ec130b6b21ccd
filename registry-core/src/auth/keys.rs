use std::{sync::Arc, time::SystemTime};

use super::{
    AuthStoreError, KeyId, KeyRecord, KeyRefusal, KeyStore, Principal, PublicKey, Vouched,
};
use crate::{
    owner::{Login, Owner},
    record::Timestamp,
};

/// A key that is to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The key.
    pub key: PublicKey,
    /// What its user calls it: at most [`KeyRefusal::MAX_NAME_CHARS`] characters, none of them a
    /// control character.
    pub name: String,
    /// What tokens will have to name as their subject; `None`: none. See [`KeyRecord::is_subject`].
    pub subject: Option<String>,
}

/// Registers, lists and revokes the keys that users sign tokens with, by the same rules wherever
/// that is asked for. Clones share the store.
#[derive(Clone, Debug)]
pub struct Keys(Arc<dyn KeyStore>);

impl Keys {
    /// Those in `store`.
    pub fn new(store: impl KeyStore) -> Self {
        Self(Arc::new(store))
    }

    /// The keys of somebody who looks after them by themselves.
    ///
    /// # Errors
    /// [`KeyError::NoPerson`] if they come by a token: one that leaks must not make a key that stays
    /// when the token is revoked.
    pub fn of<'a>(&'a self, principal: &'a Principal) -> Result<OwnKeys<'a>, KeyError> {
        match principal.credential.is_person() && principal.claim.is_none() {
            true => Ok(OwnKeys { keys: self, principal }),
            false => Err(KeyError::NoPerson),
        }
    }

    /// Registers a key of a user, for an operator. It counts when this returns.
    ///
    /// # Errors
    /// [`KeyError::Refused`] says why there may be no such key.
    pub async fn register(
        &self,
        user: &Owner,
        request: &KeyRequest,
    ) -> Result<KeyRecord, KeyError> {
        self.add(user, Vouched::default(), request).await
    }

    async fn add(
        &self,
        user: &Owner,
        vouched: Vouched,
        request: &KeyRequest,
    ) -> Result<KeyRecord, KeyError> {
        let KeyRequest { key, name, subject } = request;
        KeyRefusal::check_login(&user.login)?;
        if name.chars().count() > KeyRefusal::MAX_NAME_CHARS || name.contains(char::is_control) {
            return Err(KeyRefusal::Name.into());
        }
        if subject.as_deref().is_some_and(|subject| !KeyRecord::is_subject(subject)) {
            return Err(KeyRefusal::Subject.into());
        }
        #[cfg(feature = "paseto")]
        key.check().map_err(|_| KeyRefusal::NotOnCurve)?;
        let theirs = self.0.list(Some(&user.login)).await?;
        let counting = theirs.iter().filter(|it| it.revoked_at.is_none() && it.key != *key);
        if counting.count() >= KeyRefusal::MOST {
            return Err(KeyRefusal::TooMany { login: user.login.clone() }.into());
        }
        let record = KeyRecord {
            id: key.id(),
            key: *key,
            user: user.clone(),
            name: name.clone(),
            subject: subject.clone(),
            vouched,
            created_at: SystemTime::now().into(),
            revoked_at: None,
        };
        self.0.add(&record).await.map_err(|error| match error.source.downcast::<KeyRefusal>() {
            Ok(refusal) => KeyError::Refused(*refusal),
            Err(source) => KeyError::Store(AuthStoreError { backend: error.backend, source }),
        })?;
        // One that was there already has kept its name.
        Ok(self.0.find(&record.id).await?.unwrap_or(record))
    }

    /// The keys of a user, or those of all, revoked ones, too.
    ///
    /// # Errors
    /// [`KeyError::Store`] if that cannot be found out now.
    pub async fn list(&self, login: Option<&Login>) -> Result<Vec<KeyRecord>, KeyError> {
        Ok(self.0.list(login).await?)
    }

    /// Revokes a key, and tells it; `None` if there is none of this name. From when this returns on,
    /// no process that asks the store counts a token that is signed with it, and before each write
    /// it is asked. For reads, a [`CachedAuthenticator`](super::CachedAuthenticator) asks again within
    /// [its age](super::CachedAuthenticator::MAX_AGE).
    ///
    /// # Errors
    /// [`KeyError::Store`] if the store fails.
    pub async fn revoke(&self, id: &KeyId) -> Result<Option<KeyRecord>, KeyError> {
        Ok(self.0.revoke(id, Timestamp::from(SystemTime::now())).await?)
    }
}

/// The keys of one user, who looks after them: nobody else's are there.
#[derive(Clone, Copy, Debug)]
pub struct OwnKeys<'a> {
    keys: &'a Keys,
    principal: &'a Principal,
}

impl OwnKeys<'_> {
    /// As [`Keys::register`], with what others say of the user.
    ///
    /// # Errors
    /// The same.
    pub async fn register(&self, request: &KeyRequest) -> Result<KeyRecord, KeyError> {
        let Principal { user, vouched, .. } = self.principal;
        self.keys.add(user, vouched.clone(), request).await
    }

    /// As [`Keys::list`].
    ///
    /// # Errors
    /// The same.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, KeyError> {
        self.keys.list(Some(&self.principal.user.login)).await
    }

    /// As [`Keys::revoke`].
    ///
    /// # Errors
    /// The same.
    pub async fn revoke(&self, id: &KeyId) -> Result<Option<KeyRecord>, KeyError> {
        match self.list().await?.iter().any(|key| key.id == *id) {
            true => self.keys.revoke(id).await,
            false => Ok(None),
        }
    }
}

/// Why nothing was done about keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Who asks has a token, and not somebody's password or the word of an identity provider.
    #[error("cannot use an API token to look after keys")]
    NoPerson,
    /// There may be no such key.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] AuthStoreError),
}

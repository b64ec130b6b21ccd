use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{BACKEND, lock};
use crate::{
    auth::{AuthStoreError, KeyId, KeyRecord, KeyRefusal, KeyStore},
    owner::Login,
    record::Timestamp,
};

/// A [`KeyStore`] that lasts as long as its last clone, and takes every user for one.
#[derive(Clone, Debug, Default)]
pub struct MemoryKeys(Arc<Mutex<BTreeMap<KeyId, KeyRecord>>>);

impl MemoryKeys {
    /// A store without keys.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl KeyStore for MemoryKeys {
    async fn add(&self, key: &KeyRecord) -> Result<(), AuthStoreError> {
        let refused =
            |source: KeyRefusal| AuthStoreError { backend: BACKEND, source: source.into() };
        KeyRefusal::check_login(&key.user.login).map_err(refused)?;
        let mut keys = lock(&self.0);
        match keys.get(&key.id) {
            Some(here) => here.is_repeated_by(key).map_err(refused),
            None => {
                keys.insert(key.id.clone(), key.clone());
                Ok(())
            }
        }
    }

    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, AuthStoreError> {
        Ok(lock(&self.0).get(id).cloned())
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<KeyRecord>, AuthStoreError> {
        let keys = lock(&self.0);
        let of_user = |key: &&KeyRecord| login.is_none_or(|login| key.user.login == *login);
        let mut found: Vec<_> = keys.values().filter(of_user).cloned().collect();
        found.sort_by_key(|key| key.created_at);
        Ok(found)
    }

    async fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<Option<KeyRecord>, AuthStoreError> {
        let mut keys = lock(&self.0);
        let Some(key) = keys.get_mut(id) else { return Ok(None) };
        key.revoked_at.get_or_insert(at);
        Ok(Some(key.clone()))
    }
}

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::lock;
use crate::{
    auth::{ApprovedName, ApprovedNames, AuthStoreError},
    name::CanonicalName,
};

/// [`ApprovedNames`] that last as long as their last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryApprovedNames(Arc<Mutex<BTreeMap<CanonicalName, ApprovedName>>>);

impl MemoryApprovedNames {
    /// A store without approvals.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl ApprovedNames for MemoryApprovedNames {
    async fn approve(&self, approved: &ApprovedName) -> Result<(), AuthStoreError> {
        lock(&self.0).insert(approved.name.clone(), approved.clone());
        Ok(())
    }

    async fn revoke(&self, name: &CanonicalName) -> Result<bool, AuthStoreError> {
        Ok(lock(&self.0).remove(name).is_some())
    }

    async fn find(&self, name: &CanonicalName) -> Result<Option<ApprovedName>, AuthStoreError> {
        Ok(lock(&self.0).get(name).cloned())
    }

    async fn list(&self) -> Result<Vec<ApprovedName>, AuthStoreError> {
        Ok(lock(&self.0).values().cloned().collect())
    }
}

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::lock;
use crate::{
    auth::{AuthStoreError, SINGLE_USE_MARGIN, SingleUse},
    checksum::Checksum,
    record::Timestamp,
};

/// A [`SingleUse`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemorySingleUse(Arc<Mutex<BTreeMap<Checksum, Timestamp>>>);

impl MemorySingleUse {
    /// A store in which nothing is claimed.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SingleUse for MemorySingleUse {
    async fn claim(
        &self,
        digest: &Checksum,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, AuthStoreError> {
        let mut claimed = lock(&self.0);
        claimed.retain(|_, until| until.0.saturating_add(SINGLE_USE_MARGIN) >= now.0);
        match claimed.contains_key(digest) {
            true => Ok(false),
            false => {
                claimed.insert(*digest, until);
                Ok(true)
            }
        }
    }
}

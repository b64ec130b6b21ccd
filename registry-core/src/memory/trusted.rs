use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::lock;
use crate::{
    auth::{
        AuthStoreError,
        trusted::{TrustedPublisher, TrustedPublisherRecord, TrustedPublisherStore},
    },
    name::CanonicalName,
    owner::Login,
    record::Timestamp,
};

/// A [`TrustedPublisherStore`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryTrustedPublishers(Arc<Mutex<Publishers>>);

#[derive(Debug, Default)]
struct Publishers {
    records: Vec<TrustedPublisherRecord>,
    last_id: u64,
}

impl MemoryTrustedPublishers {
    /// A store in which no crate has a publisher.
    pub fn new() -> Self {
        Self::default()
    }

    fn select(
        &self,
        is_wanted: impl Fn(&TrustedPublisherRecord) -> bool,
    ) -> Vec<TrustedPublisherRecord> {
        lock(&self.0).records.iter().filter(|record| is_wanted(record)).cloned().collect()
    }
}

#[async_trait]
impl TrustedPublisherStore for MemoryTrustedPublishers {
    async fn add(
        &self,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
        at: Timestamp,
        by: &Login,
    ) -> Result<TrustedPublisherRecord, AuthStoreError> {
        let mut publishers = lock(&self.0);
        let same = |it: &&TrustedPublisherRecord| it.name == *name && it.publisher == *publisher;
        if let Some(record) = publishers.records.iter().find(same) {
            return Ok(record.clone());
        }
        publishers.last_id += 1;
        let record = TrustedPublisherRecord {
            id: publishers.last_id,
            name: name.clone(),
            publisher: publisher.clone(),
            created_at: at,
            created_by: by.clone(),
        };
        publishers.records.push(record.clone());
        Ok(record)
    }

    async fn list(
        &self,
        name: Option<&CanonicalName>,
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        Ok(self.select(|record| name.is_none_or(|name| record.name == *name)))
    }

    async fn find(
        &self,
        sources: &[String],
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        Ok(self.select(|record| sources.contains(&record.publisher.source())))
    }

    async fn remove(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        let records = &mut lock(&self.0).records;
        let at = records.iter().position(|record| record.id == id);
        Ok(at.map(|at| records.remove(at)))
    }

    async fn get(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        Ok(self.select(|record| record.id == id).pop())
    }
}

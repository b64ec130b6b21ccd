use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::TrustedPublisher;
use crate::{auth::AuthStoreError, name::CanonicalName, owner::Login, record::Timestamp};

/// A publisher of a crate, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedPublisherRecord {
    /// A number of its own, below 2^53, in all registries with the same tokens; those that are added
    /// later have greater ones.
    pub id: u64,
    /// The crate.
    pub name: CanonicalName,
    /// Whose runs may publish it.
    pub publisher: TrustedPublisher,
    /// When it was added.
    pub created_at: Timestamp,
    /// Who has added it.
    pub created_by: Login,
}

/// Keeps the trusted publishers of one registry.
///
/// What has changed is durable, and seen by every process on the same data, when a method returns.
/// The source of [`MemoryTrustedPublishers`](crate::memory::MemoryTrustedPublishers) is a complete
/// one.
#[async_trait]
pub trait TrustedPublisherStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a publisher of a crate, whether there is that crate or not. One that is there already
    /// stays as it is.
    async fn add(
        &self,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
        at: Timestamp,
        by: &Login,
    ) -> Result<TrustedPublisherRecord, AuthStoreError>;

    /// The publishers of a crate, or all, by id.
    async fn list(
        &self,
        name: Option<&CanonicalName>,
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError>;

    /// Those that have one of these [sources](TrustedPublisher::source), by id.
    async fn find(&self, sources: &[String])
    -> Result<Vec<TrustedPublisherRecord>, AuthStoreError>;

    /// Removes the one of this id, and gives it; `None` if there is none.
    async fn remove(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError>;

    /// The one of this id; `None` if there is none.
    async fn get(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TrustedPublisherStore + ?Sized> TrustedPublisherStore for Arc<S> {
    async fn add(
        &self,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
        at: Timestamp,
        by: &Login,
    ) -> Result<TrustedPublisherRecord, AuthStoreError> {
        (**self).add(name, publisher, at, by).await
    }

    async fn list(
        &self,
        name: Option<&CanonicalName>,
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        (**self).list(name).await
    }

    async fn find(
        &self,
        sources: &[String],
    ) -> Result<Vec<TrustedPublisherRecord>, AuthStoreError> {
        (**self).find(sources).await
    }

    async fn remove(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        (**self).remove(id).await
    }

    async fn get(&self, id: u64) -> Result<Option<TrustedPublisherRecord>, AuthStoreError> {
        (**self).get(id).await
    }
}

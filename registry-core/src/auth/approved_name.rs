use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::AuthStoreError;
use crate::{name::CanonicalName, owner::Login, record::Timestamp};

/// A new name that an administrator has agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedName {
    /// The name.
    pub name: CanonicalName,
    /// The user or group who may create it; `None`: everybody who may publish.
    pub login: Option<Login>,
    /// When it was agreed to.
    pub at: Timestamp,
    /// Who agreed, in words.
    pub by: String,
}

/// Keeps the [`ApprovedName`]s of a registry.
///
/// [`MemoryApprovedNames`](crate::memory::MemoryApprovedNames) is a complete one.
#[async_trait]
pub trait ApprovedNames: fmt::Debug + Send + Sync + 'static {
    /// Remembers an approval in place of any other of that name. Durable, and found by every process
    /// on the same data, when this returns.
    async fn approve(&self, approved: &ApprovedName) -> Result<(), AuthStoreError>;

    /// Forgets the approval of a name; answers whether there was one. Durable when this returns.
    async fn revoke(&self, name: &CanonicalName) -> Result<bool, AuthStoreError>;

    /// The approval of a name; `None` if there is none.
    async fn find(&self, name: &CanonicalName) -> Result<Option<ApprovedName>, AuthStoreError>;

    /// All approvals in the order of their names.
    async fn list(&self) -> Result<Vec<ApprovedName>, AuthStoreError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ApprovedNames + ?Sized> ApprovedNames for Arc<S> {
    async fn approve(&self, approved: &ApprovedName) -> Result<(), AuthStoreError> {
        (**self).approve(approved).await
    }

    async fn revoke(&self, name: &CanonicalName) -> Result<bool, AuthStoreError> {
        (**self).revoke(name).await
    }

    async fn find(&self, name: &CanonicalName) -> Result<Option<ApprovedName>, AuthStoreError> {
        (**self).find(name).await
    }

    async fn list(&self) -> Result<Vec<ApprovedName>, AuthStoreError> {
        (**self).list().await
    }
}

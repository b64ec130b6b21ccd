use std::sync::Arc;

use async_trait::async_trait;

use super::{Inline, Offload, Parts, Registry, queue::WriteQueues};
use crate::{
    auth::{AuthError, Authenticator, Authorizer, Credential, OwnersMayWrite, Principal},
    config::RegistryConfig,
    index::Index,
    observer::Observer,
    owner::{Login, Owner},
    policy::PublishPolicy,
    publish::ValidationRules,
    search::{NameSearch, Search},
    store::CrateStore,
};

/// Puts a [`Registry`] together.
#[derive(Debug)]
pub struct RegistryBuilder(Parts);

impl RegistryBuilder {
    pub(super) fn new(
        config: RegistryConfig,
        index: Arc<dyn Index>,
        crates: Arc<dyn CrateStore>,
    ) -> Self {
        Self(Parts {
            config_json: config.to_json(),
            config,
            search: Arc::new(NameSearch::new(index.clone())),
            index,
            crates,
            authenticator: Arc::new(NobodyKnown),
            authorizer: Arc::new(OwnersMayWrite),
            rules: Arc::new(ValidationRules::private()),
            policies: Vec::new(),
            observers: Vec::new(),
            offload: Arc::new(Inline),
            writers: WriteQueues::default(),
        })
    }

    /// Who makes principals of credentials. Default: every credential is rejected.
    #[must_use]
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.0.authenticator = Arc::new(authenticator);
        self
    }

    /// Who decides what a caller may do. Default: [`OwnersMayWrite`].
    #[must_use]
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.0.authorizer = Arc::new(authorizer);
        self
    }

    /// What may be published at all. Default: [`ValidationRules::private`].
    #[must_use]
    pub fn rules(mut self, rules: ValidationRules) -> Self {
        self.0.rules = Arc::new(rules);
        self
    }

    /// Adds a rule of the house, asked after those before it.
    #[must_use]
    pub fn policy(mut self, policy: impl PublishPolicy) -> Self {
        self.0.policies.push(Arc::new(policy));
        self
    }

    /// Adds somebody to be told of every change.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.0.observers.push(Arc::new(observer));
        self
    }

    /// Who finds crates by words. Default: [`NameSearch`], by name alone.
    #[must_use]
    pub fn search(mut self, search: impl Search) -> Self {
        self.0.search = Arc::new(search);
        self
    }

    /// Where long computations run. Default: [`Inline`].
    #[must_use]
    pub fn offload(mut self, offload: impl Offload) -> Self {
        self.0.offload = Arc::new(offload);
        self
    }

    /// The registry.
    pub fn build(self) -> Registry {
        Registry { parts: Arc::new(self.0) }
    }
}

/// Rejects every credential.
#[derive(Debug)]
struct NobodyKnown;

#[async_trait]
impl Authenticator for NobodyKnown {
    async fn authenticate(&self, _: &Credential) -> Result<Principal, AuthError> {
        Err(AuthError::Rejected)
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

//! The registry itself: the [`Registry`] service, and why each thing it does may fail.
//!
//! It decides nothing of its own: rules are in [`publish`](crate::publish), rights with the
//! [`Authorizer`], and what a crate may become in [`record`](crate::record). Here they are asked in
//! the right order, over the backends.

mod audit;
mod budget;
mod builder;
mod clock;
mod download;
mod hidden;
mod import;
mod limit;
mod list;
mod new_files;
mod owners;
mod publish;
mod queue;
mod read;
pub(crate) mod runtime;
mod throttle;
mod trusted;
mod uploads;
mod verify;
mod write;
mod yank;

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use self::{
    audit::Trail, budget::Budget, clock::Clock, hidden::Decoys, limit::Limiter, queue::WriteQueues,
    throttle::Throttle,
};
pub use self::{
    builder::RegistryBuilder,
    download::Download,
    import::{Import, ImportError, Imported},
    publish::{Publish, PublishError, Published},
    read::ReadError,
    runtime::{Inline, Runtime, run},
    trusted::TrustedPublishingError,
    uploads::Uploads,
    verify::{Problem, VerifyError},
    write::WriteError,
};
use crate::{
    auth::{
        Action, AuthError, Authenticator, Authorizer, Caller, Credential, Keys, RequestId, Tokens,
        trusted::TrustedPublishing,
    },
    config::RegistryConfig,
    index::Index,
    observer::Observer,
    owner::Owners,
    policy::PublishPolicy,
    publish::ValidationRules,
    search::Search,
    store::CrateStore,
};

/// A Cargo registry over backends of your choice. Clones are cheap and are the same registry.
#[derive(Clone, Debug)]
pub struct Registry {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    config: RegistryConfig,
    config_json: bytes::Bytes,
    private_config_json: bytes::Bytes,
    index: Arc<dyn Index>,
    crates: Arc<dyn CrateStore>,
    shares_crates: bool,
    authenticator: Arc<dyn Authenticator>,
    authorizer: Box<dyn Authorizer>,
    tokens: Option<Tokens>,
    trusted_publishing: Option<TrustedPublishing>,
    rules: Arc<ValidationRules>,
    policies: Vec<Arc<dyn PublishPolicy>>,
    observers: Vec<Arc<dyn Observer>>,
    audit: Option<Trail>,
    search: Arc<dyn Search>,
    keys: Option<Keys>,
    runtime: Arc<dyn Runtime>,
    uploads: Uploads,
    budget: Arc<Budget>,
    writers: WriteQueues,
    decoys: Decoys,
    limiter: Arc<Limiter>,
    throttle: Arc<Throttle>,
    file_age_limit: Duration,
    clock: Clock,
}

impl Registry {
    /// Begins a registry with the parts it cannot do without.
    ///
    /// Unless told otherwise it knows no token, lets owners write and everybody read, takes what
    /// [`ValidationRules::private`] takes, and searches by name.
    pub fn builder(
        config: RegistryConfig,
        index: impl Index,
        crates: impl CrateStore,
    ) -> RegistryBuilder {
        RegistryBuilder::new(config, Arc::new(index), Arc::new(crates))
    }

    /// Where clients find this registry, and what they must bring.
    pub fn config(&self) -> &RegistryConfig {
        &self.parts.config
    }

    /// The tokens that clients may look after themselves, if they may.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.parts.tokens.as_ref()
    }

    /// By what CI runs exchange their identity tokens, if they can.
    pub fn trusted_publishing(&self) -> Option<&TrustedPublishing> {
        self.parts.trusted_publishing.as_ref()
    }

    /// The keys that users look after by themselves, if they do.
    pub fn keys(&self) -> Option<&Keys> {
        self.parts.keys.as_ref()
    }

    /// Finds out who is asking; nobody, if there is no credential. `request` is the id under which
    /// the request is logged, `address` that of the client, if it is known.
    ///
    /// # Errors
    /// [`AuthError::Rejected`] for a credential that does not count, [`AuthError::TooMany`] if too
    /// many that do not count came from this address, [`AuthError::Backend`] if that cannot be found
    /// out now.
    pub async fn caller(
        &self,
        credential: Option<Credential>,
        request: Option<RequestId>,
        address: Option<IpAddr>,
    ) -> Result<Caller, AuthError> {
        let principal = match &credential {
            Some(credential) => Some(self.authenticate(credential, address).await?),
            None => None,
        };
        Ok(Caller { principal, credential, request, address })
    }

    /// The caller, if their credential counts at this moment, by what it is for at this moment.
    ///
    /// Much may have happened since they were found out: what said so may have been remembered, and
    /// a body may have taken its time. The registry asks before each write, and so does a service
    /// around it that gives or takes access by itself. A caller without a credential, whom a host or a
    /// proxy vouches for, is taken as they are.
    ///
    /// # Errors
    /// [`AuthError::Rejected`] if it does not count any more, [`AuthError::Backend`] if that cannot
    /// be found out now.
    pub async fn confirmed<'a>(&self, caller: &'a Caller) -> Result<Cow<'a, Caller>, AuthError> {
        let (Some(then), Some(credential)) = (&caller.principal, &caller.credential) else {
            return Ok(Cow::Borrowed(caller));
        };
        let now = self.parts.authenticator.authenticate_anew(credential).await?;
        // What was said in the name of one is not done in that of another.
        if now.user.login != then.user.login {
            return Err(AuthError::Rejected);
        }
        Ok(Cow::Owned(Caller { principal: Some(now), ..caller.clone() }))
    }

    /// Succeeds if index and crate store can be read and written.
    ///
    /// # Errors
    /// What the first backend that is not ready says.
    pub async fn ready(&self) -> Result<(), ReadError> {
        self.parts.index.ready().await?;
        Ok(self.parts.crates.ready().await?)
    }

    /// The one place where a right is checked: what the credential is for, by whose leave a CI run
    /// publishes, then the authorizer.
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        let needs_somebody = !action.is_read() || self.auth_required();
        let usable = caller
            .principal()
            .and_then(|principal| principal.may_be_used_for(action, owners.is_empty()));
        // So that whoever hides a crate cannot forget its owners.
        let action = match action {
            Action::ListOwners(name) => &Action::Read(name),
            action => action,
        };
        match usable {
            Ok(()) => {
                self.check_run(caller, action).await?;
                self.decide(caller, action, owners).await
            }
            Err(error) if needs_somebody => Err(error),
            // What everybody may read may be read with a credential that is for something else.
            Err(_) => self.decide(&caller.as_nobody(), action, owners).await,
        }
    }

    /// What the authorizer alone says.
    async fn decide(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        match self.parts.authorizer.try_authorize(caller, action, owners) {
            Some(decided) => decided,
            None => self.parts.authorizer.authorize(caller, action, owners).await,
        }
    }
}

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    Inline, Parts, Registry, Runtime, Uploads, audit::Trail, budget::Budget, clock::Clock,
    hidden::Decoys, limit::Limiter, queue::WriteQueues,
};
use crate::{
    audit::AuditLog,
    auth::{
        AuthError, Authenticator, Authorizer, Credential, Keys, OwnersMayWrite, Principal, Tokens,
        trusted::TrustedPublishing,
    },
    config::RegistryConfig,
    index::Index,
    limits::RateLimits,
    observer::Observer,
    owner::{Login, Owner},
    policy::PublishPolicy,
    publish::ValidationRules,
    search::{NameSearch, Search},
    store::CrateStore,
};

/// Puts a [`Registry`] together.
#[derive(Debug)]
pub struct RegistryBuilder(
    Parts,
    /// That of another registry, in place of one of its own.
    Option<Arc<Budget>>,
);

impl RegistryBuilder {
    /// What [`RegistryBuilder::file_age_limit`] is if nothing else is said: 30 minutes, half the
    /// least that a garbage collection should be given.
    pub const FILE_AGE_LIMIT: Duration = Duration::from_secs(30 * 60);

    pub(super) fn new(
        config: RegistryConfig,
        index: Arc<dyn Index>,
        crates: Arc<dyn CrateStore>,
    ) -> Self {
        let parts = Parts {
            config_json: config.to_json(),
            private_config_json: config.clone().with_auth_required(true).to_json(),
            config,
            search: Arc::new(NameSearch::new(index.clone())),
            keys: None,
            index,
            crates,
            shares_crates: false,
            authenticator: Arc::new(NobodyKnown),
            authorizer: Box::new(OwnersMayWrite),
            tokens: None,
            trusted_publishing: None,
            rules: Arc::new(ValidationRules::private()),
            policies: Vec::new(),
            observers: Vec::new(),
            audit: None,
            runtime: Arc::new(Inline),
            uploads: Uploads::default(),
            budget: Arc::new(Budget::new(0, 0)),
            writers: WriteQueues::default(),
            decoys: Decoys::default(),
            limiter: Arc::default(),
            throttle: Arc::default(),
            file_age_limit: Self::FILE_AGE_LIMIT,
            clock: Clock::default(),
        };
        Self(parts, None)
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
        self.0.authorizer = Box::new(authorizer);
        self
    }

    /// Whose tokens clients may look after. Default: they look after none.
    #[must_use]
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.0.tokens = Some(tokens);
        self
    }

    /// Lets CI runs exchange their identity tokens for tokens of this registry. Default: none can.
    #[must_use]
    pub fn trusted_publishing(mut self, trusted: TrustedPublishing) -> Self {
        self.0.trusted_publishing = Some(trusted);
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

    /// Where refusals, and access given and taken, are noted. Default: nowhere. Of the refusals of
    /// one user, and of all who are nobody, [so many](crate::audit) are.
    ///
    /// Changes of crates are the index's to note, in what commits them: name the trail of the same
    /// database here, as `database.audit("main")` for `database.index("main")`.
    #[must_use]
    pub fn audit(mut self, audit: impl AuditLog) -> Self {
        self.0.audit = Some(Trail::new(audit));
        self
    }

    /// Adds somebody to be told of every change and every refusal.
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

    /// Where users look after the keys they sign tokens with. Default: nowhere. For
    /// an authenticator to know them, it has to have the same store.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.0.keys = Some(keys);
        self
    }

    /// What runs long work, and waits. Default: [`Inline`].
    #[must_use]
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.0.runtime = Arc::new(runtime);
        self
    }

    /// How much of uploads is held at a time, and where. Default: [`Uploads::default`].
    #[must_use]
    pub fn uploads(mut self, uploads: Uploads) -> Self {
        self.0.uploads = uploads;
        self.1 = None;
        self
    }

    /// Says that other registries keep files in the same crate store. Default: none does.
    ///
    /// Then a file is read only where a release of this registry has it: who knows the checksum of a
    /// file, from a lockfile say, does not get it here because it is in a private registry beside this
    /// one. So each download looks at the index file of its crate.
    #[must_use]
    pub fn shares_crates(mut self) -> Self {
        self.0.shares_crates = true;
        self
    }

    /// Has the uploads and the rates of another registry, and counts together with it: for several in
    /// one process. In place of [`uploads`](Self::uploads) and [`rate_limits`](Self::rate_limits).
    #[must_use]
    pub fn beside(mut self, other: &Registry) -> Self {
        let other = &other.parts;
        self.0.uploads = other.uploads.clone();
        self.0.limiter = other.limiter.clone();
        self.0.throttle = other.throttle.clone();
        self.1 = Some(other.budget.clone());
        self
    }

    /// How long after a file was stored a line that names it may be committed. Default:
    /// [`RegistryBuilder::FILE_AGE_LIMIT`].
    ///
    /// A file that is older than a third of that when its line is about to be committed is stored
    /// again first. A garbage collection over the same store has to be told twice that much, or
    /// more: [`gc`](crate::gc) says why. Source: ours.
    #[must_use]
    pub fn file_age_limit(mut self, limit: Duration) -> Self {
        self.0.file_age_limit = limit;
        self
    }

    /// How often one user, or one address, may ask for what. Default: [`RateLimits::none`].
    ///
    /// A publish is counted once its metadata are read, also if it is refused then or later, and
    /// once however often it is tried. Publishes that the caller has no right to are counted with
    /// those of further versions. Reads are counted by what serves them: see [`Registry::admit`].
    ///
    /// Credentials that do not count are counted by the address, an IPv6 address by its first 64
    /// bits, and nothing is looked at for as long as too many came from there, or are being looked
    /// at, but for tokens of 32 bytes or more that have counted within the last hour: guessing does
    /// not find those, and whoever shares the address works on. A credential that fails again within
    /// a minute is not counted again, unless it is a password: those are counted by the name of the
    /// user, too, where the user has not logged in from the same address within the last hour. What
    /// is not known of a caller is not counted. Source: ours.
    #[must_use]
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.0.limiter = Arc::new(Limiter::new(limits));
        self
    }

    #[cfg(test)]
    pub(super) fn clock(mut self, clock: Clock) -> Self {
        self.0.clock = clock;
        self
    }

    /// The registry.
    ///
    /// What one limit allows, no other makes impossible: of a crate file as many bytes may come out
    /// as may go in, and whatever may be published finds room, if need be alone.
    pub fn build(mut self) -> Registry {
        self.0.budget = self.1.unwrap_or_else(|| {
            let bytes = self.0.uploads.in_flight_bytes(&self.0.rules);
            Arc::new(Budget::new(bytes, self.0.uploads.at_a_time.max(1)))
        });
        Registry { parts: Arc::new(self.0) }
    }
}

/// Rejects every credential.
#[derive(Debug)]
struct NobodyKnown;

#[async_trait]
impl Authenticator for NobodyKnown {
    async fn authenticate(&self, _: &Credential) -> Result<Arc<Principal>, AuthError> {
        Err(AuthError::Rejected)
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

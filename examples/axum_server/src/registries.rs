//! The registries of a server: `main`, and those in the list of its database.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use registry_core::{
    BoxError, CrateStore, Index, Registry, RegistryConfig, RegistryName, ValidationRules,
    auth::{
        CredentialForms, TokenAuthenticator, TokenRules, TokenTransfer, Tokens,
        oidc::{OidcAuthenticator, Verifier},
        trusted::TrustedPublishing,
    },
    config::DlTemplate,
    observer::{Event, Observer},
    registries::{RegistryRecord, RegistrySettings, RegistryStore},
    registry::RegistryBuilder,
};
use registry_http::{
    Compression, ProxyUserHeaders, RegistryPlace, RegistryService, ResolveRegistry, TrustedProxies,
};

use crate::{
    access::Accounts,
    audit::AuditLines,
    backends::{OpenIndex, ServedIndex},
    error::{Error, causes},
    key::KeyStores,
    policy::Rules,
    routes::REGISTRY,
    runtime::TokioRuntime,
};

/// For how long what the list says of a registry is remembered. Twice as long, while somebody asks
/// again, one that was changed or deleted elsewhere may go on as it was; longer only while the list
/// cannot be asked, and no longer than index files are answered from memory then.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Most registries beside `main` that stay in memory though nobody asks for them.
const MOST_IDLE: usize = 64;
/// What is kept in memory of the index of one of them.
const CACHE_BYTES: u64 = 4 << 20;
/// What is kept of compressed index files and lists, of all of them together.
const COMPRESSED_BYTES: u64 = 16 << 20;

/// What all registries of a server have in common.
pub(crate) struct Common {
    pub(crate) opened: OpenIndex,
    pub(crate) crates: Arc<dyn CrateStore>,
    pub(crate) public_url: String,
    /// What counts for all, whatever one's own settings say.
    pub(crate) settings: RegistrySettings,
    pub(crate) dl: Option<DlTemplate>,
    pub(crate) max_staleness: Duration,
    pub(crate) accounts: Accounts,
    pub(crate) tokens: TokenAuthenticator,
    pub(crate) stored_tokens: Arc<dyn TokenTransfer>,
    pub(crate) token_rules: TokenRules,
    pub(crate) keys: Option<KeyStores>,
    pub(crate) users: Option<OidcAuthenticator>,
    pub(crate) ci: Option<Verifier>,
    pub(crate) rules: ValidationRules,
    pub(crate) policy: Rules,
    pub(crate) runtime: TokioRuntime,
    pub(crate) compression: Compression,
    pub(crate) forms: CredentialForms,
    pub(crate) proxy_users: Option<ProxyUserHeaders>,
    /// Who says under which URL clients come, if nobody has said it beforehand.
    pub(crate) forwarded_url: Option<TrustedProxies>,
    pub(crate) caches: Caches,
}

/// What each registry remembers of credentials: access that is given or taken in one counts in all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caches(Arc<Mutex<Vec<Weak<dyn Observer>>>>);

impl Caches {
    /// Tells all of them, and is told for as long as it is there.
    fn with(&self, cache: impl Observer) -> TellAll {
        let own: Arc<dyn Observer> = Arc::new(cache);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|cache| cache.strong_count() > 0);
        all.push(Arc::downgrade(&own));
        TellAll { _own: own, all: self.clone() }
    }
}

#[derive(Debug)]
struct TellAll {
    _own: Arc<dyn Observer>,
    all: Caches,
}

impl Observer for TellAll {
    fn observe(&self, event: &Event<'_>) {
        let all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.iter().filter_map(Weak::upgrade).for_each(|cache| cache.observe(event));
    }
}

/// Compresses on threads of its own, so that no reader waits for the checking of an upload.
pub(crate) fn compression() -> Compression {
    Compression::new(COMPRESSED_BYTES).with_runtime(TokioRuntime::new())
}

impl Common {
    /// What clients are told of a registry.
    pub(crate) fn config(
        &self,
        name: &str,
        settings: &RegistrySettings,
    ) -> Result<RegistryConfig, Error> {
        let base_url = format!("{}/{name}", self.public_url.trim_end_matches('/'));
        let mut config = RegistryConfig::new(&base_url)?
            .with_auth_required(self.settings.private || settings.private)
            .with_read_only(self.settings.read_only || settings.read_only);
        if let Some(dl) = &self.dl {
            config = config.with_dl(dl.clone());
        }
        Ok(config)
    }

    /// A registry over its part of the database, which is `opened`, but for what it takes in and how
    /// often.
    pub(crate) fn registry(
        &self,
        config: RegistryConfig,
        opened: &OpenIndex,
        index: Arc<dyn Index>,
    ) -> Result<RegistryBuilder, Error> {
        let (users, keys) = (self.users.clone(), self.keys.as_ref());
        let authenticator = self.accounts.authenticator(self.tokens.clone(), keys, users, &config);
        let tokens = Tokens::new(self.stored_tokens.clone()).with_rules(self.token_rules);
        let mut registry = Registry::builder(config, index.clone(), self.crates.clone())
            .search(opened.search(index))
            .authenticator(authenticator.clone())
            .authorizer(self.policy.authorizer(opened))
            .tokens(tokens)
            .rules(self.rules.clone())
            .runtime(self.runtime.clone())
            .observer(self.caches.with(authenticator));
        if opened.registries().is_some() {
            registry = registry.shares_crates();
        }
        if let Some(keys) = keys {
            registry = registry.keys(keys.keys());
        }
        if let Some(ci) = &self.ci {
            registry = registry.trusted_publishing(TrustedPublishing::new(
                ci.clone(),
                opened.trusted_publishers()?,
                opened.single_use()?,
                self.stored_tokens.clone(),
            ));
        }
        if let Some(trail) = opened.audit() {
            registry = registry.audit(trail);
        }
        Ok(registry)
    }

    fn service(&self, name: &str, registry: Registry) -> Result<RegistryService, BoxError> {
        let mut service = RegistryService::new(registry)
            .with_name(name)?
            .with_prefix(name)
            .with_credential_forms(self.forms)
            .with_compression(self.compression.clone());
        if let Some(headers) = &self.proxy_users {
            service = service.with_proxy_users(headers.clone());
        }
        if let Some(proxies) = &self.forwarded_url {
            service = service.with_forwarded_url(proxies.clone());
        }
        Ok(service)
    }
}

/// Finds `main`, and whatever is in the list at the time.
pub(crate) struct LiveRegistries {
    common: Common,
    main: RegistryService,
    list: Option<Arc<dyn RegistryStore>>,
    known: RwLock<HashMap<RegistryName, Known>>,
}

/// One of the list, as it was a moment ago.
struct Known {
    record: RegistryRecord,
    service: RegistryService,
    /// When the list last said so.
    said_at: Instant,
    /// When somebody last went to ask; until they are back, this one goes on as it was.
    asked_at: Instant,
    /// Has the cache be told of what others write.
    _served: ServedIndex,
}

impl LiveRegistries {
    /// Uploads and rates are those of `main`, and counted together.
    pub(crate) fn new(common: Common, main: Registry) -> Result<Self, BoxError> {
        let main = common.service(REGISTRY, main)?;
        let list = common.opened.registries();
        Ok(Self { common, main, list, known: RwLock::default() })
    }

    fn build(&self, record: RegistryRecord, asked_at: Instant) -> Result<Known, BoxError> {
        let common = &self.common;
        let config = common.config(record.name.as_str(), &record.settings)?;
        let opened = common.opened.with_key(&record.key);
        let served = opened.served(common.max_staleness, CACHE_BYTES);
        let lines = AuditLines { registry: Some(record.name.clone()) };
        let registry = common.registry(config, &opened, served.index.clone())?.observer(lines);
        let registry = registry.beside(self.main.registry()).build();
        let service = common.service(record.name.as_str(), registry)?;
        Ok(Known { record, service, said_at: asked_at, asked_at, _served: served })
    }

    /// Whether nobody has to ask.
    fn is_fresh(&self, known: &Known) -> bool {
        known.asked_at.elapsed() < MAX_AGE && self.may_go_on(known, 2 * MAX_AGE)
    }

    fn may_go_on(&self, known: &Known, at_least: Duration) -> bool {
        known.said_at.elapsed() < self.common.max_staleness.max(at_least)
    }

    fn known(&self) -> RwLockReadGuard<'_, HashMap<RegistryName, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, HashMap<RegistryName, Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ResolveRegistry for LiveRegistries {
    async fn resolve(&self, place: &RegistryPlace) -> Result<Option<RegistryService>, BoxError> {
        let RegistryPlace::Name(name) = place else { return Ok(None) };
        if name.as_str() == REGISTRY {
            return Ok(Some(self.main.clone()));
        }
        let Some(list) = &self.list else { return Ok(None) };
        let asked_at = Instant::now();
        if let Some(known) = self.known_mut().get_mut(name) {
            if self.is_fresh(known) {
                return Ok(Some(known.service.clone()));
            }
            known.asked_at = asked_at;
        }
        let record = match list.find(name).await {
            Ok(record) => record,
            Err(error) => {
                let known = self.known();
                let known = known.get(name).filter(|known| self.may_go_on(known, Duration::ZERO));
                let Some(known) = known else { return Err(error.into()) };
                let error = causes(&error);
                tracing::warn!(error, registry = %name, "the list of registries cannot be asked");
                return Ok(Some(known.service.clone()));
            }
        };
        let known = &mut *self.known_mut();
        let Some(record) = record else {
            known.remove(name);
            return Ok(None);
        };
        if let Some(known) = known.get_mut(name)
            && known.record == record
        {
            known.said_at = known.said_at.max(asked_at);
            return Ok(Some(known.service.clone()));
        }
        if known.len() >= MOST_IDLE {
            known.retain(|_, known| known.asked_at.elapsed() < MAX_AGE);
        }
        let built = self.build(record, asked_at)?;
        let service = built.service.clone();
        known.insert(name.clone(), built);
        Ok(Some(service))
    }

    fn try_resolve(&self, place: &RegistryPlace) -> Option<RegistryService> {
        let RegistryPlace::Name(name) = place else { return None };
        if name.as_str() == REGISTRY {
            return Some(self.main.clone());
        }
        let known = self.known();
        known.get(name).filter(|known| self.is_fresh(known)).map(|known| known.service.clone())
    }
}

impl fmt::Debug for LiveRegistries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRegistries").field("main", &self.main).finish_non_exhaustive()
    }
}

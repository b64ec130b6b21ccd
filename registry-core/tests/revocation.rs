//! No write rests on a credential that was taken away meanwhile. Runs with the feature
//! `conformance`.
#![cfg(feature = "conformance")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use registry_core::{
    CanonicalName, Index, Login, Owner, Registry, RegistryConfig,
    auth::{
        AuthError, Authenticator, CachedAuthenticator, Caller, Credential, CredentialForms,
        Lifetime, Principal, Scopes, TokenAuthenticator, TokenCaller, TokenExpiry, TokenId,
        TokenRequest, Tokens, WallClock,
        oidc::{JwtError, Verified, VerifyError, VerifyIdentity},
        trusted::{TrustedPublisher, TrustedPublishing},
    },
    conformance::fixture::publish_body,
    memory::{
        MemoryCrateStore, MemoryIndex, MemorySingleUse, MemoryTokens, MemoryTrustedPublishers,
    },
    record::Timestamp,
    registry::{PublishError, TrustedPublishingError, WriteError},
};
use semver::Version;

#[derive(Debug)]
struct Nobody;

#[async_trait::async_trait]
impl VerifyIdentity for Nobody {
    async fn verify(&self, _: &str, _: Timestamp) -> Result<Verified, VerifyError> {
        Err(VerifyError::Invalid(JwtError::Malformed))
    }
}

/// What the servers of one registry share, and their clock.
struct Setting {
    index: MemoryIndex,
    crates: MemoryCrateStore,
    store: MemoryTokens,
    seconds: Arc<AtomicU64>,
}

impl Setting {
    fn new() -> Self {
        let (index, crates, store) =
            (MemoryIndex::new(), MemoryCrateStore::new(), MemoryTokens::new());
        Self { index, crates, store, seconds: Arc::default() }
    }

    fn clock(&self) -> WallClock {
        let seconds = self.seconds.clone();
        WallClock::new(move || Timestamp(seconds.load(Ordering::Relaxed)))
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(self.store.clone()).with_clock(self.clock())
    }

    /// A server, which remembers for itself whose token it is.
    fn server(&self) -> Registry {
        let tokens = TokenAuthenticator::new(self.store.clone()).with_clock(self.clock());
        let publishers = MemoryTrustedPublishers::new();
        let (used, store) = (MemorySingleUse::new(), self.store.clone());
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        Registry::builder(config, self.index.clone(), self.crates.clone())
            .authenticator(CachedAuthenticator::new(tokens))
            .trusted_publishing(TrustedPublishing::new(Nobody, publishers, used, store))
            .build()
    }

    async fn token(&self) -> (Credential, TokenId) {
        let request = TokenRequest::new(&Login::new("alice").unwrap())
            .with_expiry(TokenExpiry::After(Lifetime::Seconds(60)));
        let issued = self.tokens().issue(TokenCaller::Operator, &request).await.unwrap();
        let secret = issued.token.expose().as_bytes();
        let credential = Credential::from_header(secret, CredentialForms::default()).unwrap();
        (credential, issued.record.id)
    }

    async fn revoke(&self, id: TokenId) {
        let revoked = self.tokens().revoke(TokenCaller::Operator, &id.into()).await.unwrap();
        assert_eq!(revoked.len(), 1);
    }
}

async fn caller(server: &Registry, credential: &Credential) -> Caller {
    server.caller(Some(credential.clone()), None, None).await.unwrap()
}

async fn publish(server: &Registry, caller: Caller, version: &str) -> Result<(), PublishError> {
    let mut publish = server.begin_publish(caller, None).await?;
    publish.write(&publish_body("foo", version)).await?;
    publish.finish().await.map(drop)
}

fn foo() -> CanonicalName {
    CanonicalName::new("foo").unwrap()
}

fn is_rejected(error: &WriteError) -> bool {
    matches!(error, WriteError::Auth(AuthError::Rejected))
}

#[tokio::test]
async fn a_token_that_was_revoked_elsewhere_writes_nothing_from_then_on() {
    let setting = Setting::new();
    let (token, id) = setting.token().await;
    let server = setting.server();
    publish(&server, caller(&server, &token).await, "1.0.0").await.unwrap();
    let before = setting.index.load(&foo(), None).await.unwrap().found().unwrap();
    // The server has just been told whose it is, and remembers it.
    let alice = caller(&server, &token).await;
    setting.revoke(id).await;

    let (name, version, bob) = (foo(), Version::new(1, 0, 0), [Login::new("alice").unwrap()]);
    let refused = publish(&server, alice.clone(), "1.0.1").await.unwrap_err();
    assert!(matches!(&refused, PublishError::Write(error) if is_rejected(error)), "{refused:?}");
    for yanked in [true, false] {
        let refused = server.set_yanked(&alice, &name, &version, yanked).await.unwrap_err();
        assert!(is_rejected(&refused), "{refused:?}");
    }
    for refused in [
        server.add_owners(&alice, &name, &bob).await.unwrap_err(),
        server.remove_owners(&alice, &name, &bob).await.unwrap_err(),
    ] {
        assert!(is_rejected(&refused), "{refused:?}");
    }
    let publisher = TrustedPublisher::Buildkite {
        issuer: TrustedPublisher::BUILDKITE.into(),
        organization: "a".into(),
        pipeline: "b".into(),
        organization_id: None,
    };
    for refused in [
        server.add_trusted_publisher(&alice, &name, &publisher).await.map(drop).unwrap_err(),
        server.remove_trusted_publisher(&alice, 1).await.map(drop).unwrap_err(),
        server.revoke_exchanged_token(&alice).await.unwrap_err(),
    ] {
        let is_rejected =
            matches!(&refused, TrustedPublishingError::Write(error) if is_rejected(error));
        assert!(is_rejected, "{refused:?}");
    }
    assert_eq!(setting.index.load(&foo(), None).await.unwrap().found(), Some(before));
    // Nor does it read any more, now that the server has heard of it.
    let rejected = server.caller(Some(token), None, None).await;
    assert!(matches!(rejected, Err(AuthError::Rejected)), "{rejected:?}");
}

#[tokio::test]
async fn a_publish_under_way_ends_with_its_token() {
    let body = publish_body("foo", "1.0.0");
    for expires in [false, true] {
        let setting = Setting::new();
        let (token, id) = setting.token().await;
        let server = setting.server();
        let mut publish = server.begin_publish(caller(&server, &token).await, None).await.unwrap();
        let (first, rest) = body.split_at(body.len() - 10);
        publish.write(first).await.unwrap();
        match expires {
            true => setting.seconds.store(60, Ordering::Relaxed),
            false => setting.revoke(id).await,
        }
        publish.write(rest).await.unwrap();
        let refused = publish.finish().await.unwrap_err();
        let is_rejected = matches!(&refused, PublishError::Write(error) if is_rejected(error));
        assert!(is_rejected, "{refused:?}");
        assert!(setting.index.load(&foo(), None).await.unwrap().found().is_none());
    }
}

#[tokio::test]
async fn of_whom_the_host_vouches_for_nobody_is_asked() {
    let setting = Setting::new();
    let (token, _) = setting.token().await;
    let server = setting.server();
    let alice = caller(&server, &token).await;
    let vouched = Caller { credential: None, ..alice.clone() };
    setting.seconds.store(60, Ordering::Relaxed);
    publish(&server, vouched, "1.0.0").await.unwrap();
    let refused = publish(&server, alice, "1.0.1").await.unwrap_err();
    assert!(matches!(&refused, PublishError::Write(error) if is_rejected(error)), "{refused:?}");
}

/// Answers with a principal that is changed meanwhile.
#[derive(Clone, Debug)]
struct Changing(Arc<Mutex<Principal>>);

#[async_trait::async_trait]
impl Authenticator for Changing {
    async fn authenticate(&self, _: &Credential) -> Result<Arc<Principal>, AuthError> {
        Ok(Arc::new(self.0.lock().unwrap().clone()))
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_write_goes_by_what_its_credential_is_for_when_it_takes_place() {
    let user = |login: &str| Owner { id: 1, login: Login::new(login).unwrap(), name: None };
    let changing = Changing(Arc::new(Mutex::new(user("alice").into())));
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let server = Registry::builder(config, MemoryIndex::new(), MemoryCrateStore::new())
        .authenticator(changing.clone())
        .build();
    let credential = Credential::from_header(b"a", CredentialForms::default()).unwrap();
    let alice = caller(&server, &credential).await;
    publish(&server, alice.clone(), "1.0.0").await.unwrap();
    let (name, version) = (foo(), Version::new(1, 0, 0));

    // It is for less now; then it is somebody else's.
    changing.0.lock().unwrap().scopes = Scopes::read_only();
    let refused = server.set_yanked(&alice, &name, &version, true).await.unwrap_err();
    let is_forbidden = matches!(refused, WriteError::Auth(AuthError::Forbidden { .. }));
    assert!(is_forbidden, "{refused:?}");
    *changing.0.lock().unwrap() = user("bob").into();
    let refused = server.set_yanked(&alice, &name, &version, true).await.unwrap_err();
    assert!(is_rejected(&refused), "{refused:?}");
    *changing.0.lock().unwrap() = user("alice").into();
    server.set_yanked(&alice, &name, &version, true).await.unwrap();
}

/// Everybody is who they say, and is counted.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicU64>);

#[async_trait::async_trait]
impl Authenticator for Counting {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let login = Login::new(credential.expose()).unwrap();
        Ok(Arc::new(Owner { id: 1, login, name: None }.into()))
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

#[tokio::test]
async fn those_who_may_not_write_are_not_looked_at_while_others_wait() {
    let counting = Counting::default();
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let server = Registry::builder(config, MemoryIndex::new(), MemoryCrateStore::new())
        .authenticator(counting.clone())
        .build();
    let credential =
        |text: &[u8]| Credential::from_header(text, CredentialForms::default()).unwrap();
    let [alice, bob] =
        [caller(&server, &credential(b"alice")).await, caller(&server, &credential(b"bob")).await];
    publish(&server, alice.clone(), "1.0.0").await.unwrap();
    let (name, version) = (foo(), Version::new(1, 0, 0));
    for (caller, is_asked) in [(&bob, 0), (&alice, 1)] {
        counting.0.store(0, Ordering::Relaxed);
        let answer = server.set_yanked(caller, &name, &version, true).await;
        assert_eq!(answer.is_ok(), is_asked == 1, "{answer:?}");
        assert_eq!(counting.0.load(Ordering::Relaxed), is_asked);
    }
}

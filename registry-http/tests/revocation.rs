//! What was taken away counts no more from the answer on.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::Fixture;
use http::Method;
use registry_core::{
    CanonicalName, Index as _, Login, Owner,
    auth::{
        AuthError, Authenticator, CachedAuthenticator, Credential, CredentialId, FirstOf, Keys,
        Principal, TokenAuthenticator, Tokens,
        oidc::{JwtError, Verified, VerifyError, VerifyIdentity},
        trusted::TrustedPublishing,
    },
    conformance::fixture::publish_body,
    memory::{MemoryKeys, MemorySingleUse, MemoryTokens, MemoryTrustedPublishers},
    record::Timestamp,
};
use serde_json::json;

/// Knows carol by her password, until she is disabled: of that it hears only when asked anew.
#[derive(Clone, Debug, Default)]
struct Password {
    is_disabled: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Authenticator for Password {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        if (credential.user(), credential.expose()) != (Some("carol"), "password") {
            return Err(AuthError::Rejected);
        }
        let user = Owner { id: 3, login: Login::new("carol").unwrap(), name: None };
        Ok(Arc::new(Principal { credential: CredentialId::Password, ..user.into() }))
    }

    async fn authenticate_anew(
        &self,
        credential: &Credential,
    ) -> Result<Arc<Principal>, AuthError> {
        match self.is_disabled.load(Ordering::Relaxed) {
            true => Err(AuthError::Rejected),
            false => self.authenticate(credential).await,
        }
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

#[derive(Debug)]
struct NoRuns;

#[async_trait::async_trait]
impl VerifyIdentity for NoRuns {
    async fn verify(&self, _: &str, _: Timestamp) -> Result<Verified, VerifyError> {
        Err(VerifyError::Invalid(JwtError::Malformed))
    }
}

/// The public key of RFC 3231.
const PUBLIC: &str = "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
/// Its path.
const KEY: &str = "/api/v1/me/keys/k3.pid.QB3WNBP-5j-0XQV2MOuvuOcLlJ8uz-pmqtIZus1x3YTu";

struct Setting {
    registry: Fixture,
    password: Password,
    carol: String,
}

impl Setting {
    async fn new() -> Self {
        Self::with(MemoryTokens::new(), MemoryKeys::new(), false).await
    }

    async fn with(store: MemoryTokens, keys: MemoryKeys, read_only: bool) -> Self {
        let password = Password::default();
        let chain = FirstOf::new().or(TokenAuthenticator::new(store.clone())).or(password.clone());
        let cached = CachedAuthenticator::new(chain);
        let (publishers, used) = (MemoryTrustedPublishers::new(), MemorySingleUse::new());
        let trusted = TrustedPublishing::new(NoRuns, publishers, used, store.clone());
        let registry = Fixture::with(
            |config| config.with_auth_required(true).with_read_only(read_only),
            |builder| {
                let builder = builder.authenticator(cached.clone()).observer(cached);
                let builder = builder.tokens(Tokens::new(store)).keys(Keys::new(keys));
                builder.trusted_publishing(trusted)
            },
        );
        let carol = format!("Basic {}", BASE64_STANDARD.encode("carol:password"));
        Self { registry: registry.await, password, carol }
    }

    /// A token of carol's, and its id.
    async fn token(&self) -> (String, String) {
        let put = self.registry.request(Method::PUT, "/api/v1/me/tokens").token(&self.carol);
        let made = put.body(json!({"api_token": {"name": "ci"}}).to_string()).await.json();
        let made = &made["api_token"];
        (made["token"].as_str().unwrap().to_owned(), made["id"].to_string())
    }

    async fn status(&self, token: &str) -> u16 {
        self.registry.get("/index/config.json").token(token).await.status.as_u16()
    }
}

#[tokio::test]
async fn a_token_counts_no_more_when_its_revocation_is_answered() {
    let setting = Setting::new().await;
    let (first, id) = setting.token().await;
    let (second, _) = setting.token().await;
    for (token, path, by) in [
        (&first, format!("/api/v1/me/tokens/{id}"), &setting.carol),
        (&second, "/api/v1/tokens/current".to_owned(), &second),
    ] {
        // Remembered by now.
        assert_eq!(setting.status(token).await, 200);
        let revoked = setting.registry.request(Method::DELETE, &path).token(by).await;
        assert!(revoked.status.is_success(), "{revoked:?}");
        assert_eq!(setting.status(token).await, 401);
        let publish = setting.registry.request(Method::PUT, "/api/v1/crates/new").token(token);
        let refused = publish.body(publish_body("foo", "1.0.0")).await;
        refused.assert_refused(401, "authentication failed");
    }
}

#[tokio::test]
async fn nothing_is_written_by_what_is_only_remembered() {
    let setting = Setting::new().await;
    let (token, id) = setting.token().await;
    let send = |method, path: &str| setting.registry.request(method, path).token(&setting.carol);
    let publish = |version| {
        let put = send(Method::PUT, "/api/v1/crates/new");
        put.body(publish_body("foo", version))
    };
    assert_eq!(publish("1.0.0").await.status, 200);
    let foo = CanonicalName::new("foo").unwrap();
    let stored = async || setting.registry.index.load(&foo, None).await.unwrap().found();
    let before = stored().await;
    setting.password.is_disabled.store(true, Ordering::Relaxed);

    let owners = json!({"users": ["carol"]}).to_string();
    let new_token = json!({"api_token": {"name": "more"}}).to_string();
    let key = json!({"key": {"public_key": PUBLIC}}).to_string();
    let run = json!({"github_config": {
        "crate": "foo",
        "repository_owner": "carol",
        "repository_owner_id": 1,
        "repository_name": "foo",
        "workflow_filename": "release.yml",
    }});
    let configs = "/api/v1/trusted_publishing/github_configs";
    for (method, path, body) in [
        (Method::DELETE, "/api/v1/crates/foo/1.0.0/yank", String::new()),
        (Method::PUT, "/api/v1/crates/foo/1.0.0/unyank", String::new()),
        (Method::PUT, "/api/v1/crates/foo/owners", owners.clone()),
        (Method::DELETE, "/api/v1/crates/foo/owners", owners),
        (Method::PUT, "/api/v1/me/tokens", new_token),
        (Method::DELETE, &*format!("/api/v1/me/tokens/{id}"), String::new()),
        (Method::DELETE, "/api/v1/tokens/current", String::new()),
        (Method::PUT, "/api/v1/me/keys", key),
        (Method::DELETE, KEY, String::new()),
        (Method::POST, configs, run.to_string()),
        (Method::DELETE, &*format!("{configs}/1"), String::new()),
        (Method::DELETE, "/api/v1/trusted_publishing/tokens", String::new()),
    ] {
        let refused = send(method, path).body(body).await;
        refused.assert_refused(401, "authentication failed");
    }
    publish("1.0.1").await.assert_refused(401, "authentication failed");
    assert_eq!(stored().await, before);
    assert_eq!(setting.status(&token).await, 200);
    let tokens = send(Method::GET, "/api/v1/me/tokens").await.json();
    assert_eq!(tokens["api_tokens"].as_array().unwrap().len(), 1);
    assert_eq!(send(Method::GET, "/api/v1/me/keys").await.json(), json!({"keys": []}));
}

#[tokio::test]
async fn a_read_only_registry_gives_no_access_and_takes_it() {
    let (store, keys) = (MemoryTokens::new(), MemoryKeys::new());
    let before = Setting::with(store.clone(), keys.clone(), false).await;
    let (token, id) = before.token().await;
    let key = json!({"key": {"public_key": PUBLIC}}).to_string();
    let put = before.registry.request(Method::PUT, "/api/v1/me/keys").token(&before.carol);
    assert_eq!(put.body(key.clone()).await.status, 200);

    let setting = Setting::with(store, keys, true).await;
    let send = |method, path: &str| setting.registry.request(method, path).token(&setting.carol);
    let run = json!({"jwt": "a.b.c"}).to_string();
    let configs = "/api/v1/trusted_publishing/github_configs";
    let config = json!({"github_config": {
        "crate": "foo",
        "repository_owner": "carol",
        "repository_owner_id": 1,
        "repository_name": "foo",
        "workflow_filename": "release.yml",
    }});
    for (method, path, body) in [
        (Method::PUT, "/api/v1/me/tokens", json!({"api_token": {"name": "more"}}).to_string()),
        (Method::PUT, "/api/v1/me/keys", key),
        (Method::POST, "/api/v1/trusted_publishing/tokens", run),
        (Method::POST, configs, config.to_string()),
        (Method::DELETE, &*format!("{configs}/1"), String::new()),
    ] {
        let refused = send(method, path).body(body).await;
        refused.assert_refused(403, "this registry is read-only");
    }
    assert_eq!(setting.status(&token).await, 200);
    assert_eq!(send(Method::DELETE, &format!("/api/v1/me/tokens/{id}")).await.status, 200);
    assert_eq!(setting.status(&token).await, 401);
    assert!(send(Method::DELETE, KEY).await.json()["key"]["revoked_at"].is_string());
}

//! Users look after the keys they sign tokens with.

mod common;

use std::sync::Arc;

use common::{Call, Fixture};
use http::{Method, StatusCode};
use registry_core::{
    Login, Owner,
    auth::{AuthError, Authenticator, Credential, CredentialId, Keys, Principal, TokenId},
    memory::MemoryKeys,
};
use serde_json::{Value, json};

/// The keys of RFC 3231: these are no secret.
const SECRET: &str = "k3.secret.fNYVuMvBgOlljt9TDohnaYLblghqaHoQquVZwgR6X12cBFHZLFsaU3q7X3k1Zn36";
const PUBLIC: &str = "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
const ID: &str = "k3.pid.QB3WNBP-5j-0XQV2MOuvuOcLlJ8uz-pmqtIZus1x3YTu";
const PATH: &str = "/api/v1/me/keys";

/// Believes everybody that they are who they say, by a password or, with `token-`, by a token.
#[derive(Debug)]
struct AtTheirWord;

#[async_trait::async_trait]
impl Authenticator for AtTheirWord {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        let (login, credential) = match credential.expose().strip_prefix("token-") {
            Some(login) => (login, CredentialId::Token(TokenId::from_number(1).unwrap())),
            None => (credential.expose(), CredentialId::Password),
        };
        let id = if login == "alice" { 1 } else { 2 };
        let user = Owner { id, login: Login::new(login).unwrap(), name: None };
        Ok(Arc::new(Principal { credential, ..user.into() }))
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

async fn registry() -> Fixture {
    let keys = Keys::new(MemoryKeys::new());
    Fixture::with(|config| config, |builder| builder.authenticator(AtTheirWord).keys(keys)).await
}

fn register(registry: &Fixture, body: &Value) -> Call {
    registry.request(Method::PUT, PATH).token("alice").body(body.to_string())
}

#[tokio::test]
async fn a_key_is_registered_listed_and_revoked() {
    let registry = registry().await;
    let list = async |user: &str| registry.get(PATH).token(user).await.json();
    assert_eq!(list("alice").await, json!({ "keys": [] }));
    let request = json!({ "key": { "public_key": PUBLIC, "name": "laptop", "subject": "ci" } });
    let mut registered = register(&registry, &request).await.json();
    assert!(registered["key"]["created_at"].take().is_string());
    let expected = json!({
        "id": ID, "public_key": PUBLIC, "name": "laptop", "subject": "ci",
        "created_at": null, "revoked_at": null,
    });
    assert_eq!(registered, json!({ "key": expected }));
    let mut listed = list("alice").await;
    listed["keys"][0]["created_at"].take();
    assert_eq!(listed, json!({ "keys": [expected] }));

    // There is none of that name for others.
    assert_eq!(list("bob").await, json!({ "keys": [] }));
    let revoke = |user: &str| registry.request(Method::DELETE, &format!("{PATH}/{ID}")).token(user);
    revoke("bob").await.assert_refused(404, &format!("you have no key `{ID}`"));
    assert_eq!(list("alice").await["keys"][0]["revoked_at"], Value::Null);
    assert!(revoke("alice").await.json()["key"]["revoked_at"].is_string());
    assert!(list("alice").await["keys"][0]["revoked_at"].is_string());
    register(&registry, &request).await.assert_refused(409, "the key was registered before");
}

#[tokio::test]
async fn a_token_that_leaks_makes_no_key() {
    let registry = registry().await;
    let reason = "cannot use an API token to look after keys";
    for (method, path) in [
        (Method::GET, PATH.to_owned()),
        (Method::PUT, PATH.to_owned()),
        (Method::DELETE, format!("{PATH}/{ID}")),
    ] {
        let call = || registry.request(method.clone(), &path).body("{}");
        call().await.assert_refused(401, "this action requires authentication");
        call().token("token-alice").await.assert_refused(403, reason);
    }
}

#[tokio::test]
async fn what_cannot_be_a_key_is_refused_and_not_repeated() {
    let registry = registry().await;
    let invalid = "invalid request to register a key";
    let no_key = "a public key is `k3.public.` and 66 letters, digits, `-` and `_`";
    let subject = "a subject consists of 1 to 256 visible ASCII characters";
    let name = "the name of a key has at most 100 characters, and no control characters";
    let key = |name: &str, subject: Option<&str>| json!({ "key": { "public_key": PUBLIC, "name": name, "subject": subject } });
    for (request, detail) in [
        (json!({}), invalid),
        (json!({ "key": PUBLIC }), invalid),
        (json!({ "key": { "public_key": SECRET } }), no_key),
        (key("", Some("")), subject),
        (key("", Some("a b")), subject),
        (key("", Some(&"x".repeat(257))), subject),
        (key("a\u{1b}", None), name),
        (key(&"ä".repeat(101), None), name),
    ] {
        register(&registry, &request).await.assert_refused(400, detail);
    }
    let packed = register(&registry, &key("", None)).header("content-encoding", "gzip").await;
    packed.assert_refused(415, "Content-Encoding is not supported");
    let longest = key(&"ä".repeat(100), Some(&"x".repeat(256)));
    assert_eq!(register(&registry, &longest).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_registry_without_keys_has_no_such_path() {
    let registry = Fixture::with(|c| c, |builder| builder.authenticator(AtTheirWord)).await;
    let answer = registry.get(PATH).token("alice").await;
    answer.assert_refused(404, "there is nothing under this path");
}

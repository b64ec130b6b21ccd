//! The tokens that users make, list and revoke by themselves.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::{Answer, Fixture};
use http::Method;
use registry_core::{
    Login, Owner,
    auth::{
        AuthError, Authenticator, Credential, CredentialId, FirstOf, Lifetime, Principal, Token,
        TokenAuthenticator, TokenRules, Tokens, WallClock,
    },
    conformance::fixture::publish_body,
    memory::MemoryTokens,
    record::Timestamp,
};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

/// Everybody's password is their login and an exclamation mark.
#[derive(Debug)]
struct Passwords;

#[async_trait::async_trait]
impl Authenticator for Passwords {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        let login = credential.user().ok_or(AuthError::Rejected)?;
        if credential.expose() != format!("{login}!") {
            return Err(AuthError::Rejected);
        }
        let id = u32::try_from(login.len()).unwrap();
        let user = Owner { id, login: Login::new(login).unwrap(), name: None };
        Ok(Arc::new(Principal { credential: CredentialId::Password, ..user.into() }))
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

/// A registry in which passwords make tokens, and the time that it goes by.
async fn registry() -> (Fixture, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(NOW));
    let clock = {
        let time = time.clone();
        WallClock::new(move || Timestamp(time.load(Ordering::Relaxed)))
    };
    let store = MemoryTokens::new();
    let rules = TokenRules { max_lifetime: Lifetime::Seconds(12 * 3600), ..Default::default() };
    let tokens = Tokens::new(store.clone()).with_rules(rules).with_clock(clock.clone());
    let by_token = TokenAuthenticator::new(store).with_clock(clock);
    let registry = Fixture::with(
        |config| config.with_auth_required(true),
        |builder| builder.authenticator(FirstOf::new().or(by_token).or(Passwords)).tokens(tokens),
    );
    (registry.await, time)
}

fn password(user: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{user}!")))
}

async fn send(registry: &Fixture, method: Method, path: &str, credential: &str) -> Answer {
    registry.request(method, &format!("/api/v1{path}")).token(credential).await
}

async fn put(registry: &Fixture, credential: &str, body: &Value) -> Answer {
    let put = registry.request(Method::PUT, "/api/v1/me/tokens").token(credential);
    put.body(body.to_string()).await
}

fn parsed(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_token_is_made_shown_once_listed_and_revoked() {
    let (registry, _) = registry().await;
    let carol = password("carol");
    let asked = json!({"api_token": {
        "name": "ci",
        "crate_scopes": ["ui-*", "core"],
        "endpoint_scopes": ["publish-update", "read"],
        "expired_at": "2026-01-01T03:00:00+02:00",
    }});
    let mut made = parsed(&put(&registry, &carol, &asked).await);
    let token = made["api_token"].as_object_mut().unwrap().remove("token").unwrap();
    let token = token.as_str().unwrap().to_owned();
    assert!(Token::is_well_formed(&token));
    let id = made["api_token"]["id"].as_u64().unwrap();
    let expected = json!({"api_token": {
        "id": id,
        "name": "ci",
        "created_at": "2026-01-01T00:00:00Z",
        "last_used_at": null,
        "crate_scopes": ["ui-*", "core"],
        "endpoint_scopes": ["read", "publish-update"],
        "expired_at": "2026-01-01T01:00:00Z",
    }});
    assert_eq!(made, expected);

    let path = format!("/me/tokens/{id}");
    assert_eq!(parsed(&send(&registry, Method::GET, &path, &carol).await), expected);
    let list = parsed(&send(&registry, Method::GET, "/me/tokens", &carol).await);
    assert_eq!(list, json!({"api_tokens": [expected["api_token"]]}));
    let me_of = async |credential: &str| send(&registry, Method::GET, "/me", credential).await;
    assert_eq!(parsed(&me_of(&token).await)["user"]["login"], "carol");

    // Not by anybody else, who is not told that it is there.
    let dave = password("dave");
    let of_dave = send(&registry, Method::GET, &path, &dave).await;
    of_dave.assert_refused(404, "there is nothing under this path");
    assert_eq!(parsed(&send(&registry, Method::DELETE, &path, &dave).await), json!({}));
    assert_eq!(me_of(&token).await.status, 200);

    assert_eq!(parsed(&send(&registry, Method::DELETE, &path, &carol).await), json!({}));
    me_of(&token).await.assert_refused(401, "authentication failed");
    let gone = send(&registry, Method::GET, &path, &carol).await;
    gone.assert_refused(404, "there is nothing under this path");
    let list = parsed(&send(&registry, Method::GET, "/me/tokens", &carol).await);
    assert_eq!(list, json!({"api_tokens": []}));
}

#[tokio::test]
async fn a_token_makes_shows_and_revokes_no_tokens_but_itself() {
    let (registry, _) = registry().await;
    let carol = password("carol");
    let asked = json!({"api_token": {"name": "ci"}});
    let made = parsed(&put(&registry, &carol, &asked).await);
    let token = made["api_token"]["token"].as_str().unwrap();
    let path = format!("/me/tokens/{}", made["api_token"]["id"]);
    let refusal = "cannot use an API token to create a new API token";
    for form in [token.to_owned(), format!("Bearer {token}"), basic_token(token)] {
        put(&registry, &form, &asked).await.assert_refused(403, refusal);
        // Whatever the body is.
        put(&registry, &form, &json!(1)).await.assert_refused(403, refusal);
        for (method, path) in
            [(Method::GET, "/me/tokens"), (Method::GET, &*path), (Method::DELETE, &*path)]
        {
            send(&registry, method, path, &form).await.assert_refused(403, refusal);
        }
    }
    let current = async |credential: &str| {
        send(&registry, Method::DELETE, "/tokens/current", credential).await
    };
    current(&carol).await.assert_refused(400, "token not provided");
    let revoked = current(token).await;
    assert_eq!((revoked.status.as_u16(), revoked.text()), (204, ""));
    current(token).await.assert_refused(401, "authentication failed");
    let missing = registry.request(Method::DELETE, "/api/v1/tokens/current").await;
    missing.assert_refused(401, "this action requires authentication");
}

fn basic_token(token: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("carol:{token}")))
}

#[tokio::test]
async fn a_token_expires_as_it_was_asked_to_and_as_the_rules_allow() {
    let (registry, time) = registry().await;
    let carol = password("carol");
    let status = async |token: &str| send(&registry, Method::GET, "/me", token).await.status;
    let asked = |expiry: Value| {
        let mut asked = json!({"api_token": {"name": "ci"}});
        asked["api_token"].as_object_mut().unwrap().extend(expiry.as_object().unwrap().clone());
        asked
    };
    for (expiry, expired_at) in [
        // The most that there is, if nothing is said.
        (json!({}), "2026-01-01T12:00:00Z"),
        (json!({"expired_at": null}), "2026-01-01T12:00:00Z"),
        (json!({"expires_in": "90m"}), "2026-01-01T01:30:00Z"),
        (json!({"expired_at": "2026-01-01T00:00:02Z"}), "2026-01-01T00:00:02Z"),
    ] {
        let made = parsed(&put(&registry, &carol, &asked(expiry)).await);
        assert_eq!(made["api_token"]["expired_at"], expired_at);
        let token = made["api_token"]["token"].as_str().unwrap();
        assert_eq!(status(token).await, 200);
        let expires = Timestamp::from_rfc3339(expired_at).unwrap();
        time.store(expires.0 - 1, Ordering::Relaxed);
        assert_eq!(status(token).await, 200);
        time.store(expires.0, Ordering::Relaxed);
        assert_eq!(status(token).await, 401);
        time.store(NOW, Ordering::Relaxed);
    }
    let too_long =
        |asked: &str| format!("tokens expire after 12h at most, and `{asked}` was asked for");
    for (expiry, detail) in [
        (json!({"expires_in": "13h"}), too_long("13h")),
        (json!({"expires_in": "never"}), too_long("never")),
        (json!({"expired_at": "2026-01-01T13:00:00Z"}), too_long("13h")),
        (
            json!({"expired_at": "2026-01-01T00:00:00Z"}),
            "the token would have expired already".into(),
        ),
        (
            json!({"expired_at": "2026-01-01T00:00:01Z", "expires_in": "1h"}),
            "`expired_at` and `expires_in` say the same thing".into(),
        ),
        (json!({"expired_at": "tomorrow"}), "`expired_at` is not a time of RFC 3339".into()),
    ] {
        put(&registry, &carol, &asked(expiry)).await.assert_refused(400, &detail);
    }
}

#[tokio::test]
async fn a_token_is_for_its_scopes_alone() {
    let (registry, _) = registry().await;
    let carol = password("carol");
    let token = async |scopes: Value| {
        let mut asked = json!({"api_token": {"name": "ci", "endpoint_scopes": scopes}});
        if scopes == json!(null) {
            asked["api_token"]["crate_scopes"] = json!([]);
        }
        let made = parsed(&put(&registry, &carol, &asked).await);
        made["api_token"]["token"].as_str().unwrap().to_owned()
    };
    let publish = async |token: &str| {
        let publish = registry.request(Method::PUT, "/api/v1/crates/new").token(token);
        publish.body(publish_body("foo", "1.0.0")).await
    };
    let lacks = "this token does not have the required permissions to perform this action: ";
    let reader = token(json!(["read"])).await;
    assert_eq!(registry.get("/index/config.json").token(&reader).await.status, 200);
    let missing = format!("{lacks}it lacks the scope `publish-new`");
    publish(&reader).await.assert_refused(403, &missing);
    let nothing = token(json!([])).await;
    assert_eq!(registry.get("/index/config.json").token(&nothing).await.status, 403);
    publish(&nothing).await.assert_refused(403, &missing);
    let no_crate = token(json!(null)).await;
    let missing = format!("{lacks}it is not for the crate `foo`");
    publish(&no_crate).await.assert_refused(403, &missing);
    assert_eq!(publish(&token(json!(["publish-new"])).await).await.status, 200);
}

#[tokio::test]
async fn what_is_no_request_for_a_token_is_told_what_is_wrong() {
    let (registry, _) = registry().await;
    let carol = password("carol");
    let pasted = format!("{}*b", registry.alice);
    for (body, detail) in [
        (json!({"api_token": {"name": ""}}), "name must have a value"),
        (
            json!({"api_token": {"name": "ci", "crate_scopes": [pasted]}}),
            "invalid new token request: a wrong value at line 1 column 88",
        ),
        (
            json!({"api_token": {"name": "a\nb"}}),
            "the name of a token has at most 100 characters, none of them a control character",
        ),
        (
            json!({"api_token": {}}),
            "invalid new token request: missing field `name` at line 1 column 15",
        ),
        (
            json!({"api_token": {"name": "ci", "crate_scopes": ["a*b"]}}),
            "invalid new token request: a wrong value at line 1 column 36",
        ),
    ] {
        put(&registry, &carol, &body).await.assert_refused(400, detail);
    }
    let put = registry.request(Method::PUT, "/api/v1/me/tokens").token(&carol);
    let large = put.body(vec![b' '; 64 * 1024 + 1]).await;
    large.assert_refused(413, "max request size is: 65536");
}

#[tokio::test]
async fn there_are_no_such_paths_where_clients_look_after_no_tokens() {
    let registry = Fixture::public().await;
    for (method, path) in [
        (Method::GET, "/me/tokens"),
        (Method::PUT, "/me/tokens"),
        (Method::DELETE, "/me/tokens/1"),
        (Method::DELETE, "/tokens/current"),
    ] {
        let answer = send(&registry, method.clone(), path, &registry.alice).await;
        answer.assert_refused(404, "there is nothing under this path");
        let nobody = registry.request(method, &format!("/api/v1{path}")).await;
        nobody.assert_refused(401, "this action requires authentication");
    }
    let me = send(&registry, Method::GET, "/me", &registry.alice).await;
    assert_eq!(parsed(&me), json!({"user": {"id": 1, "login": "alice", "name": null}}));
}

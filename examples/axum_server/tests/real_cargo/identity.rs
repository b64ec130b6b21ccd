//! Users of an identity provider come with its tokens.

use registry_core::auth::oidc::Algorithm;
use serde_json::json;

use crate::common::{AUDIENCE, Cargo, IdentityServer, Server};

fn cargo_with(server: &Server, token: &str) -> Cargo {
    Cargo::anonymous(server).with("CARGO_REGISTRIES_MAIN_TOKEN", token)
}

#[test]
fn users_of_an_identity_provider_log_in_with_its_tokens() {
    let id = IdentityServer::start(Algorithm::Es256);
    let more = "prefix = \"corp:\"\nlogin-claim = \"name\"\n";
    let server = Server::start_with(&["--private", "--oidc", &id.file("login", more)]);
    let alice = || cargo_with(&server, &id.token(&json!({"name": "alice"})));
    alice().publish_library("hello", "1.0.0");
    let list = alice().run(["owner", "--registry", "main", "--list", "hello"]).success();
    assert_eq!(list, "corp:alice (alice)\n");
    // A user of that name here is another one.
    let local = Cargo::of(&server, "alice");
    let refused = local.publish(&local.library("hello", "1.1.0")).failure();
    assert!(refused.contains("don't seem to be an owner"), "{refused}");
    let expired = id.token(&json!({"name": "alice", "exp": 1}));
    let refused = cargo_with(&server, &expired).publish(&local.library("hello", "1.1.0")).failure();
    assert!(refused.contains("authentication failed"), "{refused}");
    assert!(!server.log().contains(&expired));
}

#[test]
fn a_token_that_is_for_somebody_else_or_by_somebody_else_is_none() {
    let (id, other) =
        (IdentityServer::start(Algorithm::Rs256), IdentityServer::start(Algorithm::Rs256));
    let server =
        Server::start_with(&["--private", "--oidc", &id.file("login", "prefix = \"corp:\"")]);
    let status = |token: &str| {
        server.client().with_token(&format!("Bearer {token}")).get("/main/index/config.json").status
    };
    assert_eq!(status(&id.token(&json!({}))), 200);
    assert_eq!(status(&id.token(&json!({"aud": [AUDIENCE]}))), 200);
    for token in [
        id.token(&json!({"aud": "another"})),
        id.token(&json!({"aud": [AUDIENCE, "another"]})),
        id.token(&json!({"iss": other.url()})),
        id.token(&json!({"exp": 1})),
        id.token(&json!({"nbf": u32::MAX})),
        id.token(&json!({"sub": "a/b"})),
        other.token(&json!({})),
        other.token(&json!({"iss": id.url()})),
    ] {
        assert_eq!(status(&token), 401, "{token}");
    }
    // Another key, once tokens of the first one have been seen: within a minute it is not asked for.
    let old = id.token(&json!({}));
    id.rotate();
    assert_eq!((status(&id.token(&json!({}))), status(&old)), (401, 200));
}

#[test]
fn a_server_does_not_start_with_a_file_that_believes_too_much() {
    let id = IdentityServer::start(Algorithm::Rs256);
    let file = id.file("login", "prefix = \"group:\"");
    let output = crate::common::axum_server().args(["serve", "--oidc", &file]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("`group:` is not the prefix"), "{stderr}");
}

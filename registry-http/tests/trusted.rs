//! Owners say whose CI runs may publish their crates.

mod common;

use common::{Fixture, PUBLISHED};
use http::Method;
use registry_core::{
    auth::{
        oidc::{Verified, VerifyError, VerifyIdentity},
        trusted::TrustedPublishing,
    },
    memory::{MemorySingleUse, MemoryTokens, MemoryTrustedPublishers},
    record::Timestamp,
};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/trusted_publishing";

/// No identity token is exchanged here.
#[derive(Debug)]
struct NoProvider;

#[async_trait::async_trait]
impl VerifyIdentity for NoProvider {
    async fn verify(&self, _: &str, _: Timestamp) -> Result<Verified, VerifyError> {
        unreachable!("no test exchanges one")
    }
}

#[tokio::test]
async fn what_is_no_configuration_is_told_what_is_wrong_and_not_repeated() {
    let trusted = TrustedPublishing::new(
        NoProvider,
        MemoryTrustedPublishers::new(),
        MemorySingleUse::new(),
        MemoryTokens::new(),
    );
    let registry =
        Fixture::with(|config| config, |builder| builder.trusted_publishing(trusted)).await;
    registry.publish("hello", "1.0.0").await.assert_ok(PUBLISHED);
    let add = |configs: &str, body: &Value| {
        let call = registry.request(Method::POST, &format!("{PATH}/{configs}"));
        call.token(&registry.alice).body(body.to_string())
    };
    let github = |field: &str, value: Value| {
        let mut config = json!({
            "crate": "hello", "repository_owner": "acme", "repository_owner_id": 7,
            "repository_name": "ui", "workflow_filename": "release.yml",
        });
        config[field] = value;
        json!({ "github_config": config })
    };
    let invalid = "invalid trusted publishing request";
    // What somebody has pasted into the wrong field.
    let secret = "crg_0123456789/";
    for (body, detail) in [
        (github("crate", json!(secret)), "`crate` is not the name of a crate".into()),
        (
            github("repository_owner", json!(secret)),
            "`repository_owner` is not that of a trusted publisher".into(),
        ),
        (
            json!({ "github_config": { "repository_owner_id": secret } }),
            format!("{invalid}: a wrong value at line 1 column 57"),
        ),
        (json!(secret), format!("{invalid}: a wrong value at line 1 column 17")),
        (json!({}), format!("{invalid}: missing field `github_config` at line 1 column 2")),
    ] {
        add("github_configs", &body).await.assert_refused(400, &detail);
    }
    let gitlab = json!({ "gitlab_config": secret });
    let detail = format!("{invalid}: a wrong value at line 1 column 34");
    add("gitlab_configs", &gitlab).await.assert_refused(400, &detail);
    let text = registry.request(Method::POST, &format!("{PATH}/github_configs"));
    let text = text.token(&registry.alice).body(secret).await;
    text.assert_refused(400, &format!("{invalid}: not JSON at line 1 column 1"));
    let taken = add("github_configs", &github("repository_name", json!("ui"))).await.json();
    assert_eq!(taken["github_config"]["repository_owner"], "acme");
}

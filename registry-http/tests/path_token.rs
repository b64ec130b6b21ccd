//! A token in the path, for clients that send no header.

mod common;

use common::{BASE, Fixture, PUBLISHED};
use http::{Method, StatusCode};
use registry_core::{
    Checksum,
    auth::CredentialForms,
    conformance::fixture::{crate_file, publish_body},
};

/// Mounted below `/main` by its own prefix, and taking tokens in the path.
async fn mounted(mut registry: Fixture) -> Fixture {
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    let forms = CredentialForms { path: true, ..CredentialForms::default() };
    registry.service = registry.service.with_prefix("/main").with_credential_forms(forms);
    registry
}

#[tokio::test]
async fn a_private_registry_is_used_by_a_token_in_the_path_alone() {
    let registry = mounted(Fixture::private().await).await;
    let base = format!("/t/{}/main", registry.alice);
    let config = registry.get(&format!("{base}/index/config.json")).await;
    let url = format!("http://registry.test{base}");
    // Nothing is said of a token that cargo would have to know.
    let expected =
        format!(r#"{{"dl":"{url}/dl/{{crate}}/{{version}}/{{sha256-checksum}}","api":"{url}"}}"#);
    assert_eq!((config.status, config.text()), (StatusCode::OK, &*expected));
    assert_eq!(config.header("cache-control"), "private, no-cache");

    let file = crate_file("foo", "1.0.0", "");
    let download = registry.get(&format!("{base}/dl/foo/1.0.0/{}", Checksum::of(&file))).await;
    assert_eq!(download.body, file);
    let forever = "private, max-age=31536000, immutable";
    assert_eq!(download.header("cache-control"), forever);
    assert_eq!(registry.get(&format!("{base}/index/3/f/foo")).await.status, StatusCode::OK);
    let body = publish_body("foo", "2.0.0");
    let new = format!("{base}/api/v1/crates/new");
    registry.request(Method::PUT, &new).body(body).await.assert_ok(PUBLISHED);
}

#[tokio::test]
async fn a_wrong_token_in_the_path_is_a_wrong_token() {
    let registry = mounted(Fixture::private().await).await;
    let answer = registry.get("/t/wrong/main/index/3/f/foo").await;
    answer.assert_plain(401, "authentication failed");
    let challenge = format!("Cargo login_url=\"{BASE}/me\"");
    assert_eq!(answer.header("www-authenticate"), challenge);
    registry.get("/t/wrong/main/api/v1/crates").await.assert_refused(401, "authentication failed");
}

#[tokio::test]
async fn no_shared_cache_keeps_what_has_a_token_in_its_address() {
    let registry = mounted(Fixture::public().await).await;
    let download = format!("dl/foo/1.0.0/{}", Checksum::of(crate_file("foo", "1.0.0", "")));
    for token in [&*registry.alice, "wrong"] {
        let said = async |path: &str| {
            let answer = registry.get(&format!("/t/{token}/main/{path}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            answer.header("cache-control").to_owned()
        };
        assert_eq!(said("index/config.json").await, "private, no-cache");
        assert_eq!(said("index/3/f/foo").await, "private, no-cache");
        assert_eq!(said(&download).await, "private, max-age=31536000, immutable");
        assert_eq!(said("me").await, "private, no-cache");
        assert_eq!(said("api/v1/crates").await, "no-store");
    }
}

#[tokio::test]
async fn a_token_in_the_path_and_a_header_are_one_credential_too_many() {
    let registry = mounted(Fixture::public().await).await;
    for header in [&*registry.alice, "wrong"] {
        let path = format!("/t/{}/main/index/3/f/foo", registry.alice);
        let detail =
            "Invalid `Authorization` header: expected none, for there is a token in the path";
        registry.get(&path).token(header).await.assert_plain(401, detail);
    }
}

#[tokio::test]
async fn a_token_in_the_path_leads_nowhere_unless_that_is_switched_on() {
    let mut registry = mounted(Fixture::public().await).await;
    let path = format!("/t/{}/main/index/3/f/foo", registry.alice);
    assert_eq!(registry.get(&path).await.status, StatusCode::OK);
    registry.service = registry.service.with_credential_forms(CredentialForms::default());
    registry.get(&path).await.assert_refused(404, "there is nothing under this path");
}

#[tokio::test]
async fn a_framework_that_strips_the_mount_point_has_the_token_behind_it() {
    let mut registry = Fixture::private().await;
    let forms = CredentialForms { path: true, ..CredentialForms::default() };
    registry.service = registry.service.with_credential_forms(forms);
    let alice = &registry.alice;
    let config = registry.get(&format!("/t/{alice}/index/config.json")).await;
    assert!(config.text().contains(&format!(r#""api":"{BASE}/t/{alice}""#)), "{}", config.text());
}

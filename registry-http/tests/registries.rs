//! Several registries in one service.

mod common;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use common::{Answer, Fixture, PUBLISHED};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use registry_core::{
    BoxError, RegistryConfig, RegistryName,
    auth::{CredentialForms, RequestId},
    conformance::fixture,
};
use registry_http::{HostName, Peer, Registries, RegistryPlace, RegistryService, ResolveRegistry};
use tower_service::Service as _;

/// Registries that come and go, and one that cannot be looked up.
#[derive(Clone, Debug, Default)]
struct Live(Arc<Mutex<HashMap<RegistryPlace, RegistryService>>>, Arc<AtomicBool>);

#[async_trait]
impl ResolveRegistry for Live {
    async fn resolve(&self, place: &RegistryPlace) -> Result<Option<RegistryService>, BoxError> {
        match self.1.load(Relaxed) {
            true => Err("the database is down".into()),
            false => Ok(self.0.lock().unwrap().get(place).cloned()),
        }
    }
}

fn name(text: &str) -> RegistryName {
    RegistryName::new(text).unwrap()
}

async fn at(url: &str) -> Fixture {
    Fixture::with(|_| RegistryConfig::new(url).unwrap(), |builder| builder).await
}

/// A request as the target of its first line has it.
async fn ask(registries: &Registries, request: http::request::Builder, body: &[u8]) -> Answer {
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    let (parts, body) = registries.clone().call(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(registries: &Registries, path: &str) -> Answer {
    ask(registries, Request::get(path), b"").await
}

async fn publish(registries: &Registries, at: &str, token: &str, krate: &str) -> Answer {
    let put = Request::put(format!("{at}/api/v1/crates/new")).header("authorization", token);
    ask(registries, put, &fixture::publish_body(krate, "1.0.0")).await
}

fn dl(url: &str) -> String {
    format!(r#"{{"dl":"{url}/dl/{{crate}}/{{version}}/{{sha256-checksum}}","api":"{url}"}}"#)
}

#[tokio::test]
async fn each_name_is_a_registry_of_its_own() {
    let (a, b) = (at("http://registry.test/a").await, at("http://registry.test/b").await);
    let map = [(name("a").into(), a.service.clone()), (name("b").into(), b.service.clone())];
    let registries = Registries::by_name(HashMap::from(map));
    for at in ["a", "b"] {
        let config = get(&registries, &format!("/{at}/index/config.json")).await;
        assert_eq!(config.text(), dl(&format!("http://registry.test/{at}")));
        assert_eq!(config.header("x-content-type-options"), "nosniff");
    }
    publish(&registries, "/a", &a.alice, "foo").await.assert_ok(PUBLISHED);
    assert_eq!(get(&registries, "/a/index/3/f/foo").await.status, StatusCode::OK);
    get(&registries, "/b/index/3/f/foo").await.assert_refused(404, "crate `foo` does not exist");
    // The token of one is not known in the other: these have stores of their own.
    let refused = publish(&registries, "/b", &a.alice, "foo").await;
    refused.assert_refused(401, "authentication failed");
    // As in the other: an owner of their own.
    publish(&registries, "/b", &b.bob, "foo").await.assert_ok(PUBLISHED);
    for (at, owner) in [("a", "alice"), ("b", "bob")] {
        let path = format!("/{at}/api/v1/crates/foo/owners");
        let get =
            Request::get(path).header("authorization", if at == "a" { &a.alice } else { &b.bob });
        let owners = ask(&registries, get, b"").await.json();
        assert_eq!(owners["users"][0]["login"], owner);
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_told_in_the_shape_that_cargo_shows() {
    let a = at("http://registry.test/a").await;
    let registries = Registries::by_name(HashMap::from([(name("a").into(), a.service)]));
    let none = "there is no registry `b`";
    for path in ["/b/dl/foo/1.0.0/0", "//b//dl"] {
        get(&registries, path).await.assert_plain(404, none);
    }
    for path in ["/b/index/config.json", "//b//index/3/f/foo"] {
        get(&registries, path).await.assert_refused(404, none);
    }
    for path in ["/b", "/b/", "/b/api/v1/crates", "/t/token/b/me", "/b?index"] {
        get(&registries, path).await.assert_refused(404, none);
    }
    let answer = ask(&registries, Request::get("/b/me").header("x-request-id", "mine"), b"").await;
    assert_eq!(answer.header("x-request-id"), "mine");
    // What comes behind is not read.
    let refused = publish(&registries, "/b", "token", "foo").await;
    refused.assert_refused(404, none);
    assert_eq!(refused.header("connection"), "close");
    let head = ask(&registries, Request::head("/b/index/config.json"), b"").await;
    assert_eq!((head.status, &*head.body), (StatusCode::NOT_FOUND, &b""[..]));
    let body = r#"{"errors":[{"detail":"there is no registry `b`"}]}"#;
    assert_eq!(head.header("content-length"), body.len().to_string());
}

#[tokio::test]
async fn an_id_that_the_host_has_given_counts_before_that_of_the_client() {
    let a = at("http://registry.test/a").await;
    let registries = Registries::by_name(HashMap::from([(name("a").into(), a.service)]));
    for path in ["/a/index/config.json", "/b/index/config.json"] {
        let request = Request::get(path).header("x-request-id", "theirs");
        let peer = Peer { request_id: RequestId::new("ours"), ..Peer::default() };
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let answer = registries.handle_from(peer, request).await;
        assert_eq!(answer.headers()["x-request-id"], "ours", "{path}");
    }
}

#[tokio::test]
async fn a_host_refuses_requests_in_the_same_shape_and_under_their_ids() {
    let registries = Registries::by_name(HashMap::new());
    let refuse = async |request: http::request::Builder| {
        let request = request.body(()).unwrap();
        let id = registries.request_id(request.headers());
        let (status, detail) = (StatusCode::URI_TOO_LONG, "too \"long\"");
        let refusal = registries.refuse(request.method(), &id, status, detail);
        let (parts, body) = refusal.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    };
    let refused = refuse(Request::get("/main").header("x-request-id", "mine")).await;
    refused.assert_refused(414, "too \"long\"");
    assert_eq!(refused.header("x-request-id"), "mine");
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(refused.header("x-content-type-options"), "nosniff");
    let head = refuse(Request::head("/main")).await;
    assert_eq!((head.status, &*head.body), (StatusCode::URI_TOO_LONG, &b""[..]));
    // A new one for each.
    let ids =
        [refuse(Request::get("/")).await, head].map(|it| it.header("x-request-id").to_owned());
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn what_cannot_be_a_name_is_not_looked_up() {
    let live = Live::default();
    let registries = Registries::by_name(live.clone());
    // Whatever is looked up fails.
    live.1.store(true, Relaxed);
    for path in [
        "/",
        "//",
        "/a.git/index/config.json",
        "/a.GIT/index/config.json",
        "/a%2egit/index/config.json",
        "/a%2Egit/index/config.json",
        "/.git/config",
        "/../index/config.json",
        "/./me",
        "/%61/me",
        "/%2e%2e/me",
        "/%2E%2e/me",
        "/..%2fa/me",
        "/%252e%252e/me",
        "/..",
        "/.../me",
        "/a\\\\b/me",
        "/%61pi/v1/crates",
        "/a%2fb/me",
        "/a%00/me",
        "/A/me",
        "/index/config.json",
        "/api/v1/crates",
        "/me",
        "/t/token/me",
        "/healthz",
        "/dl/foo/1.0.0/0",
        "/-a/me",
        "/a~/me",
        "/%C3%A4/me",
        // A letter of another script that looks like an `a`.
        "/%D0%B0/me",
    ] {
        get(&registries, path).await.assert_refused(404, "there is nothing under this path");
    }
    let answer =
        ask(&registries, Request::get("/a/index/config.json").header("x-request-id", "it"), b"");
    let answer = answer.await;
    answer.assert_plain(503, "internal error (request it)");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn registries_come_and_go_while_it_runs() {
    let live = Live::default();
    let registries = Registries::by_name(live.clone());
    assert_eq!(get(&registries, "/a/me").await.status, StatusCode::NOT_FOUND);
    let a = at("http://registry.test/a").await;
    live.0.lock().unwrap().insert(name("a").into(), a.service);
    assert_eq!(get(&registries, "/a/me").await.status, StatusCode::OK);
    live.0.lock().unwrap().clear();
    assert_eq!(get(&registries, "/a/me").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn slashes_that_are_repeated_count_as_one_and_one_that_lacks_is_missed() {
    let a = at("http://registry.test/a").await;
    a.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    let registries = Registries::by_name(HashMap::from([(name("a").into(), a.service)]));
    for path in ["/a/index/3/f/foo", "//a/index/3/f/foo", "/a//index//3/f/foo?x=/"] {
        assert_eq!(get(&registries, path).await.status, StatusCode::OK, "{path}");
    }
    let found = get(&registries, "//a//api/v1/crates?q=foo&per_page=1").await.json();
    assert_eq!(found["meta"]["total"], 1);
    for path in ["/a", "/a/", "/a/index"] {
        assert_eq!(get(&registries, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_token_in_the_path_stands_before_the_name() {
    let a = at("http://registry.test/crates/a").await;
    a.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    let forms = CredentialForms { path: true, ..CredentialForms::default() };
    let service = a.service.clone().with_credential_forms(forms);
    let map = [(name("a").into(), service), (name("b").into(), a.service.clone())];
    let registries = Registries::by_name(HashMap::from(map)).with_prefix("crates/");
    let config = get(&registries, &format!("/t/{}/crates/a/index/config.json", a.alice)).await;
    assert_eq!(config.text(), dl(&format!("http://registry.test/t/{}/crates/a", a.alice)));
    let doubled = get(&registries, &format!("/t/{}/crates//a/index/3/f/foo", a.alice)).await;
    assert_eq!(doubled.status, StatusCode::OK);
    // Where none are taken, there is nothing.
    let refused = get(&registries, &format!("/t/{}/crates/b/api/v1/crates", a.alice)).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    get(&registries, "/a/me").await.assert_refused(404, "there is nothing under this path");
}

#[tokio::test]
async fn an_owner_may_have_several() {
    let one = at("http://registry.test/team/one").await;
    let place = RegistryPlace::from((name("team"), name("one")));
    let registries =
        Registries::by_owner_and_name(HashMap::from([(place, one.service)])).with_prefix("/");
    let config = get(&registries, "/team//one/index/config.json").await;
    assert_eq!(config.text(), dl("http://registry.test/team/one"));
    let snippet = get(&registries, "/team/one/me?format=toml").await;
    let index = "sparse+http://registry.test/team/one/index/";
    assert_eq!(snippet.text(), format!("[registries.team-one]\nindex = \"{index}\"\n"));
    get(&registries, "/team/two/index/x")
        .await
        .assert_refused(404, "there is no registry `team/two`");
    get(&registries, "/team").await.assert_refused(404, "there is nothing under this path");
    let own = "/team/index/config.json";
    get(&registries, own).await.assert_refused(404, "there is nothing under this path");
}

#[tokio::test]
async fn neither_an_owner_nor_their_registry_has_another_name_than_one() {
    let live = Live::default();
    let registries = Registries::by_owner_and_name(live.clone());
    // Whatever is looked up fails.
    live.1.store(true, Relaxed);
    for place in [
        "a",
        "a/",
        "/a",
        "a/b.git",
        "a.git/b",
        "a/b%2egit",
        "a/..",
        "../a",
        "a/%2e%2e",
        "a/.",
        "A/b",
        "a/B",
        "a%2fb",
        "a%2fb/c",
        "t/a",
        "a/index",
        "a/api",
        "a/-b",
        "a/%62",
        "a/b~",
        "a/%C3%A4",
        "a/b\\\\c",
    ] {
        let answer = get(&registries, &format!("/{place}/me")).await;
        answer.assert_refused(404, "there is nothing under this path");
    }
    assert_eq!(get(&registries, "/a/b/me").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_host_may_have_one_and_a_forged_one_has_none() {
    let a = at("http://a.test/main").await;
    let a = a.service.with_prefix("/main");
    let map = [(HostName::new("A.test").unwrap().into(), a)];
    let registries = Registries::by_host(HashMap::from(map));
    let path = "/main/index/config.json";
    let to =
        async |host: &str| ask(&registries, Request::get(path).header("host", host), b"").await;
    for host in ["a.test", "a.test:8080", "A.TEST."] {
        // Nothing of what came in.
        assert_eq!(to(host).await.text(), dl("http://a.test/main"));
    }
    to("evil.test").await.assert_refused(404, "there is no registry `evil.test`");
    for host in ["", "a.test/main", "a b"] {
        assert_eq!(to(host).await.status, StatusCode::NOT_FOUND, "{host}");
    }
    let request = Request::builder().method(Method::GET).uri(format!("http://a.test{path}"));
    assert_eq!(ask(&registries, request, b"").await.status, StatusCode::OK);
    assert_eq!(get(&registries, path).await.status, StatusCode::NOT_FOUND);
}

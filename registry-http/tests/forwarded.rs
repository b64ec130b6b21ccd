//! Under which URL a client has come: whose word is taken for it, and what follows from it.

mod common;

use std::collections::HashMap;

use bytes::Bytes;
use common::{Answer, BASE, Call, Fixture};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use registry_core::{RegistryName, auth::CredentialForms};
use registry_http::{ForwardedBy, FromTrustedProxy, Peer, Registries, TrustedProxies};

/// A registry that takes the word of proxies.
fn behind_proxies(mut fixture: Fixture, header: ForwardedBy) -> Fixture {
    let listed = ["10.0.0.0/8".parse().unwrap()];
    fixture.service = fixture.service.with_forwarded_url(TrustedProxies::new(listed, header));
    fixture
}

/// As whoever accepts connections from a proxy of theirs has it.
fn by_proxy(call: Call) -> Call {
    call.extension(FromTrustedProxy)
}

fn config(base: &str, private: bool) -> String {
    let required = if private { r#","auth-required":true"# } else { "" };
    format!(
        r#"{{"dl":"{base}/dl/{{crate}}/{{version}}/{{sha256-checksum}}","api":"{base}"{required}}}"#
    )
}

const FORGED: [(&str, &str); 8] = [
    ("host", "evil.test"),
    ("forwarded", "for=10.0.0.1;host=evil.test;proto=https"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "4711"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-original-host", "evil.test"),
];

fn with(call: Call, headers: &[(&str, &str)]) -> Call {
    headers.iter().fold(call, |call, (name, value)| call.header(name, value))
}

/// All answers of a registry in which there is an address.
async fn answers(registry: &Fixture, ask: impl Fn(Call) -> Call) -> Vec<Answer> {
    let mut answers = Vec::new();
    for path in ["/index/config.json", "/me", "/me?format=toml", "/me?format=json"] {
        answers.push(ask(registry.get(path).token(&registry.alice)).await);
    }
    answers.push(ask(registry.get("/me").header("accept", "text/html")).await);
    // The challenge of a private registry.
    answers.push(ask(registry.request(Method::PUT, "/api/v1/crates/new")).await);
    answers
}

#[tokio::test]
async fn what_nobody_vouches_for_changes_no_answer() {
    for header in [ForwardedBy::XForwardedFor, ForwardedBy::Forwarded] {
        let listed = behind_proxies(Fixture::private().await, header);
        let unlisted = Fixture::private().await;
        for answer in answers(&listed, |call| with(call, &FORGED)).await {
            let told = format!("{:?}{}", answer.headers, answer.text());
            assert!(told.contains(BASE) && !told.contains("evil"), "{told}");
            assert_eq!(answer.header("cache-control"), "no-store", "{told}");
        }
        // Of a registry that was told of no proxy, not even a proxy changes it.
        for answer in answers(&unlisted, |call| by_proxy(with(call, &FORGED))).await {
            let told = format!("{:?}{}", answer.headers, answer.text());
            assert!(told.contains(BASE) && !told.contains("evil"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_host_that_a_proxy_hands_on_is_the_clients_and_counts_for_nothing() {
    for header in [ForwardedBy::XForwardedFor, ForwardedBy::Forwarded] {
        let registry = behind_proxies(Fixture::public().await, header);
        for headers in [
            &[("host", "evil.test")][..],
            &[("host", "evil.test"), ("x-forwarded-proto", "https")],
            &[("host", "evil.test"), ("forwarded", "for=192.0.2.1;proto=https")],
            // In the header that they do not write.
            match header {
                ForwardedBy::XForwardedFor => &FORGED[..2],
                ForwardedBy::Forwarded => &FORGED[2..],
            },
        ] {
            let answer = by_proxy(with(registry.get("/index/config.json"), headers)).await;
            assert_eq!(answer.text(), config(BASE, false), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn what_a_listed_proxy_says_is_in_all_answers_with_addresses() {
    let forwarded = "host=evil.test, for=192.0.2.1;host=\"[2001:db8::1]:8443\";proto=https";
    for (header, headers, root) in [
        (
            ForwardedBy::XForwardedFor,
            &[
                ("host", "evil.test"),
                ("x-forwarded-host", "evil.test, crates.test:8443"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-prefix", "/a//b/"),
            ][..],
            "https://crates.test:8443/a/b",
        ),
        (ForwardedBy::Forwarded, &[("forwarded", forwarded)], "https://[2001:db8::1]:8443"),
    ] {
        let registry = behind_proxies(Fixture::private().await, header);
        let base = format!("{root}/main");
        for answer in answers(&registry, |call| by_proxy(with(call, headers))).await {
            let told = format!("{:?}{}", answer.headers, answer.text());
            assert!(told.contains(&base), "{told}");
            assert!(!told.contains("evil") && !told.contains("registry.test"), "{told}");
            assert_eq!(answer.header("cache-control"), "no-store", "{told}");
        }
        let answer = registry.get("/index/config.json").token(&registry.alice);
        assert_eq!(by_proxy(with(answer, headers)).await.text(), config(&base, true));
        let answer = by_proxy(with(registry.get("/me?format=toml"), headers)).await;
        assert_eq!(
            answer.text(),
            format!(
                "[registries.main]\nindex = \"sparse+{base}/index/\"\n\
                 credential-provider = \"cargo:token\"\n"
            )
        );
        let answer = by_proxy(with(registry.request(Method::PUT, "/api/v1/crates/new"), headers));
        let challenge = format!("Cargo login_url=\"{base}/me\"");
        assert_eq!(answer.await.header("www-authenticate"), challenge);
        // The next one comes another way.
        let direct = registry.get("/index/config.json").token(&registry.alice).await;
        assert_eq!(direct.text(), config(BASE, true));
    }
}

#[tokio::test]
async fn a_token_in_the_path_stays_behind_what_a_proxy_strips() {
    let mut registry = behind_proxies(Fixture::private().await, ForwardedBy::XForwardedFor);
    let forms = CredentialForms { path: true, ..CredentialForms::default() };
    registry.service = registry.service.with_prefix("/main").with_credential_forms(forms);
    let path = format!("/t/{}/main/index/config.json", registry.alice);
    let headers = [("x-forwarded-host", "crates.test"), ("x-forwarded-prefix", "/a/b")];
    let answer = by_proxy(with(registry.get(&path), &headers)).await;
    let base = format!("http://crates.test/a/b/t/{}/main", registry.alice);
    assert_eq!(answer.text(), config(&base, false));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_page_of_the_registrys_own_is_not_that_of_a_url_by_which_a_client_came() {
    use registry_core::{auth::ProxyUsers, memory::MemoryAccounts};
    use registry_http::ProxyUserHeaders;

    let mut registry = behind_proxies(Fixture::public().await, ForwardedBy::XForwardedFor);
    let users = ProxyUsers::made(MemoryAccounts::new());
    let headers = ProxyUserHeaders::new("x-user".parse().unwrap(), users);
    registry.service = registry.service.with_proxy_users(headers);
    let headers = [("x-user", "carol"), ("x-forwarded-host", "crates.test")];
    for (origin, status) in [("http://crates.test", 403), ("http://registry.test", 404)] {
        let path = "/api/v1/crates/foo/1.0.0/yank";
        let call = with(registry.request(Method::DELETE, path), &headers);
        let answer = by_proxy(call.header("origin", origin)).await;
        assert_eq!(answer.status, status, "{origin}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_is_said_beside_a_request_counts_and_its_extensions_do_not() {
    let registry = behind_proxies(Fixture::public().await, ForwardedBy::XForwardedFor);
    let service = registry.service.with_prefix("main");
    let place = RegistryName::new("main").unwrap().into();
    let registries = Registries::by_name(HashMap::from([(place, service.clone())]));
    for from_trusted_proxy in [false, true] {
        let peer = || Peer { from_trusted_proxy, ..Peer::default() };
        let ask = || {
            let request = Request::get("/main/index/config.json")
                .header("x-forwarded-host", "crates.test")
                .header("x-forwarded-proto", "https");
            // Says the opposite.
            let request = match from_trusted_proxy {
                true => request,
                false => request.extension(FromTrustedProxy),
            };
            request.body(Full::<Bytes>::default()).unwrap()
        };
        let base = if from_trusted_proxy { "https://crates.test/main" } else { BASE };
        let answers =
            [service.handle_from(peer(), ask()).await, registries.handle_from(peer(), ask()).await];
        for answer in answers {
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, config(base, false), "{from_trusted_proxy}");
        }
    }
}

//! Which paths and methods there are, and that nothing else is answered.

mod common;

use common::Fixture;
use http::Method;
use registry_core::{Checksum, CrateName, auth::TokenId};
use registry_http::route::{Needs, NoRoute, PublisherKind, Route, parse};
use semver::Version;

const CKSUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const KEY: &str = "k3.pid.QB3WNBP-5j-0XQV2MOuvuOcLlJ8uz-pmqtIZus1x3YTu";

fn name(name: &str) -> CrateName {
    CrateName::new(name).unwrap()
}

fn version() -> Version {
    Version::parse("1.0.0-rc.1+b").unwrap()
}

/// Every route there is: method, path, what it is, what it needs.
fn table() -> Vec<(Method, String, Route, Needs)> {
    let (spelled, v) = (|| name("Foo-Bar"), version);
    let get = || Method::GET;
    let api = |rest: &str| format!("/api/v1/crates{rest}");
    let dl = format!("/dl/Foo-Bar/1.0.0-rc.1+b/{CKSUM}");
    let download = Route::Download(spelled(), v(), Checksum::of("abc"));
    let token = TokenId::from_number(7).unwrap();
    let mut routes = vec![
        (get(), "/index/config.json".into(), Route::Config, Needs::ReadRegistry),
        (get(), "/index/fo/o-/foo-bar".into(), Route::IndexFile(name("foo-bar")), Needs::Read),
        (get(), dl, download, Needs::Read),
        (get(), api(""), Route::Search, Needs::ReadRegistry),
        (Method::PUT, api("/new"), Route::Publish, Needs::Publish),
        (
            Method::DELETE,
            api("/Foo-Bar/1.0.0-rc.1+b/yank"),
            Route::Yank(spelled(), v()),
            Needs::Yank,
        ),
        (
            Method::PUT,
            api("/Foo-Bar/1.0.0-rc.1+b/unyank"),
            Route::Unyank(spelled(), v()),
            Needs::Unyank,
        ),
        (
            get(),
            api("/Foo-Bar/1.0.0-rc.1+b/download"),
            Route::DownloadByVersion(spelled(), v()),
            Needs::Read,
        ),
        (get(), api("/Foo-Bar/versions"), Route::Versions(spelled()), Needs::Read),
        (get(), api("/Foo-Bar/owners"), Route::Owners(spelled()), Needs::ListOwners),
        (Method::PUT, api("/Foo-Bar/owners"), Route::AddOwners(spelled()), Needs::ChangeOwners),
        (
            Method::DELETE,
            api("/Foo-Bar/owners"),
            Route::RemoveOwners(spelled()),
            Needs::ChangeOwners,
        ),
        (get(), "/me".into(), Route::Me, Needs::Nothing),
        (get(), "/api/v1/me/keys".into(), Route::Keys, Needs::Person),
        (Method::PUT, "/api/v1/me/keys".into(), Route::AddKey, Needs::Person),
        (
            Method::DELETE,
            format!("/api/v1/me/keys/{KEY}"),
            Route::RevokeKey(KEY.parse().unwrap()),
            Needs::Person,
        ),
        (get(), "/api/v1/me".into(), Route::User, Needs::Somebody),
        (get(), "/api/v1/me/tokens".into(), Route::Tokens, Needs::Person),
        (Method::PUT, "/api/v1/me/tokens".into(), Route::NewToken, Needs::Person),
        (get(), "/api/v1/me/tokens/7".into(), Route::Token(token), Needs::Person),
        (Method::DELETE, "/api/v1/me/tokens/7".into(), Route::RevokeToken(token), Needs::Person),
        (
            Method::DELETE,
            "/api/v1/tokens/current".into(),
            Route::RevokeCurrentToken,
            Needs::Somebody,
        ),
    ];
    routes.extend(trusted_publishing());
    routes
}

/// Those of trusted publishing.
fn trusted_publishing() -> impl Iterator<Item = (Method, String, Route, Needs)> {
    let configure = Needs::ConfigureTrustedPublishing;
    let (github, gitlab) = (PublisherKind::GitHub, PublisherKind::GitLab);
    [
        (Method::PUT, "/tokens", Route::ExchangeToken, Needs::Nothing),
        (Method::POST, "/tokens", Route::ExchangeToken, Needs::Nothing),
        (Method::DELETE, "/tokens", Route::RevokeExchangedToken, Needs::Somebody),
        (Method::GET, "/github_configs", Route::TrustedPublishers(github), configure),
        (Method::POST, "/github_configs", Route::AddTrustedPublisher(github), configure),
        (Method::DELETE, "/github_configs/7", Route::RemoveTrustedPublisher(7), configure),
        (Method::GET, "/gitlab_configs", Route::TrustedPublishers(gitlab), configure),
        (Method::POST, "/gitlab_configs", Route::AddTrustedPublisher(gitlab), configure),
        (Method::DELETE, "/gitlab_configs/7", Route::RemoveTrustedPublisher(7), configure),
    ]
    .into_iter()
    .map(|(method, path, route, needs)| {
        (method, format!("/api/v1/trusted_publishing{path}"), route, needs)
    })
}

/// The `Allow` header of each path in the table.
fn allow(path: &str) -> &'static str {
    if path.ends_with("/owners") {
        "GET, HEAD, PUT, DELETE"
    } else if path.ends_with("/trusted_publishing/tokens") {
        "PUT, POST, DELETE"
    } else if path.ends_with("_configs") {
        "GET, HEAD, POST"
    } else if path.ends_with("_configs/7") {
        "DELETE"
    } else if path.ends_with("/me/tokens") {
        "GET, HEAD, PUT"
    } else if path.ends_with("/me/tokens/7") {
        "GET, HEAD, DELETE"
    } else if path.ends_with("/yank") || path.ends_with("/current") {
        "DELETE"
    } else if path.ends_with("/new") || path.ends_with("/unyank") {
        "PUT"
    } else if path.ends_with("/me/keys") {
        "GET, HEAD, PUT"
    } else if path.ends_with(KEY) {
        "DELETE"
    } else {
        "GET, HEAD"
    }
}

#[test]
fn each_route_is_found_by_its_method_and_path_and_needs_its_right() {
    for (method, path, route, needs) in table() {
        assert_eq!(parse(&method, &path).as_ref(), Ok(&route), "{method} {path}");
        assert_eq!(route.needs(), needs, "{route:?}");
    }
}

#[test]
fn a_path_takes_the_methods_it_has_and_head_with_get() {
    let methods = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "BREW"];
    for (_, path, ..) in table() {
        for method in methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let found = parse(&method, &path);
            if allow(&path).split(", ").any(|allowed| allowed == method.as_str()) {
                assert!(found.is_ok(), "{method} {path}");
            } else {
                let refused = NoRoute::MethodNotAllowed { allow: allow(&path).into() };
                assert_eq!(found, Err(refused), "{method} {path}");
            }
        }
    }
}

#[test]
fn repeated_slashes_are_one_and_segments_are_decoded_once() {
    for (method, path, route, _) in table() {
        let doubled = path.replace('/', "//");
        let encoded = path.replace('o', "%6F").replace('-', "%2d").replace('+', "%2B");
        assert_eq!(parse(&method, &doubled).as_ref(), Ok(&route), "{doubled}");
        assert_eq!(parse(&method, &encoded).as_ref(), Ok(&route), "{encoded}");
    }
}

#[test]
fn nothing_else_has_a_path() {
    for path in [
        "",
        "/",
        "//",
        "*",
        "me",
        "/me/",
        "/me/x",
        "/index/",
        "/index/config.json/",
        "/index/Config.json",
        "/index/3/ab/abc",
        "/index/Fo/o-/Foo-bar",
        "/index/fo/o-/foo-bar/",
        "/index/fo/o-/foo-bar/x",
        "/index/fo/o-",
        "/index/x/fo/o-/foo-bar",
        "/dl/foo/1.0.0",
        "/dl/foo/1.0.0/download",
        &format!("/dl/foo/1.0.0/{}", CKSUM.to_uppercase()),
        &format!("/dl/foo/1.0.0/{CKSUM}/x"),
        "/api",
        "/api/v1",
        "/api/v2/crates",
        "/api/v1/crates/",
        "/api/v1/crates/foo",
        "/api/v1/crates/foo/1.0.0",
        "/api/v1/crates/foo/1.0.0/yank/x",
        "/api/v1/crates/foo/1.0.0/yank/x/y",
        "/api/v1/me/keys/",
        "/api/v1/me/keys/x",
        "/api/v1/me/tokens/x",
        "/api/v1/me/tokens/9007199254740992",
        "/api/v1/me/tokens/1/2",
        "/api/v1/tokens",
        "/.git/config",
    ] {
        assert_eq!(parse(&Method::GET, path), Err(NoRoute::NotFound), "{path:?}");
    }
    assert_eq!(parse(&Method::GET, "/index"), Err(NoRoute::NoSlash));
}

#[test]
fn no_path_leads_out_of_its_place() {
    for path in [
        "/index/../config.json",
        "/index/./config.json",
        "/index/%2e%2e/config.json",
        "/index/%2e/config.json",
        "/index/..%2fconfig.json",
        "/index%2Fconfig.json",
        "/%2F%2F../index/config.json",
        "/index/fo/o-/..%5cfoo-bar",
        "/index/fo/o-/foo-bar%00",
        "/index/fo/o-/foo%2dbar/%2e%2e",
        "/index/fo%2fo-/foo-bar",
        "/index/%ff/config.json",
        "/index/config.json%c0%af",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/api/v1/crates/a%2fb/owners",
        "/api/v1/crates/a%5cb/owners",
        "/api/v1/crates/%2e%2e/owners",
        "/api/v1/crates/foo%00/owners",
    ] {
        assert_eq!(parse(&Method::GET, path), Err(NoRoute::NotFound), "{path:?}");
    }
    // Decoded once: what is left is no crate name.
    let name = "%2e%2e".into();
    let path = "/api/v1/crates/%252e%252e/owners";
    assert_eq!(parse(&Method::GET, path), Err(NoRoute::NoCrate { name }));
}

#[test]
fn a_plus_is_a_plus() {
    let path = "/api/v1/crates/foo/1.0.0+a+b/yank";
    let version = "1.0.0+a+b".into();
    assert_eq!(
        parse(&Method::DELETE, path),
        Err(NoRoute::NoVersion { name: name("foo"), version })
    );
    assert_eq!(
        parse(&Method::DELETE, "/api/v1/crates/foo/1.0.0+a.b/yank"),
        Ok(Route::Yank(name("foo"), Version::parse("1.0.0+a.b").unwrap()))
    );
}

#[tokio::test]
async fn an_unknown_path_is_404_and_an_unknown_method_405_with_those_there_are() {
    let registry = Fixture::public().await;
    registry.get("/x").await.assert_refused(404, "there is nothing under this path");
    // Below the index nothing is taken for an index file.
    for path in
        ["/index/x", "/index/", "/index/config.json/", "/index/1/ab", "/index/%2e%2e/config"]
    {
        registry.get(path).await.assert_refused(404, "there is nothing under this path");
    }
    registry.get("/dl/x").await.assert_plain(404, "there is nothing under this path");
    for path in ["/index", "//index"] {
        registry.get(path).await.assert_refused(
            404,
            "this is not a whole index URL: cargo takes it with `sparse+` in front and a slash at \
             its end",
        );
    }
    for (method, path, ..) in table() {
        let answer = registry.request(Method::PATCH, &path).await;
        let detail = format!("this path accepts only the methods {}", allow(&path));
        if path.starts_with("/index") || path.starts_with("/dl") {
            answer.assert_plain(405, &detail);
        } else {
            answer.assert_refused(405, &detail);
        }
        assert_eq!(answer.header("allow"), allow(&path), "{method} {path}");
    }
}

#[tokio::test]
async fn override_headers_do_not_change_the_method() {
    let registry = Fixture::public().await;
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let path = "/api/v1/crates/new";
        let answer = registry.request(Method::POST, path).header(header, "PUT").await;
        assert_eq!(answer.status, 405, "{header}");
    }
}

#[tokio::test]
async fn names_and_versions_that_cannot_be_are_absent_not_errors() {
    let registry = Fixture::public().await;
    let cut = format!("crate `{}…` does not exist", "x".repeat(100));
    for (path, detail) in [
        ("/api/v1/crates/9x/owners", "crate `9x` does not exist"),
        ("/api/v1/crates/%1b%5b2J/owners", r"crate `\u{1b}[2J` does not exist"),
        (&format!("/api/v1/crates/{}/owners", "x".repeat(101)), &*cut),
        ("/api/v1/crates/foo/1.0/download", "crate `foo` does not have a version `1.0`"),
        ("/api/v1/crates/foo/v1.0.0/download", "crate `foo` does not have a version `v1.0.0`"),
    ] {
        registry.get(path).await.assert_refused(404, detail);
    }
}

#[tokio::test]
async fn a_prefix_is_where_the_service_is_and_elsewhere_is_nothing() {
    for prefix in ["/main", "main/", "/main/"] {
        let mut registry = Fixture::public().await;
        registry.service = registry.service.with_prefix(prefix);
        for (path, status) in [
            ("/main/index/config.json", 200),
            ("/main//index/config.json", 200),
            ("/main/me", 200),
            ("/index/config.json", 404),
            ("/mainx/index/config.json", 404),
            ("/mainindex/config.json", 404),
            ("/main", 404),
            ("/", 404),
        ] {
            assert_eq!(registry.get(path).await.status, status, "{prefix} {path}");
        }
    }
}

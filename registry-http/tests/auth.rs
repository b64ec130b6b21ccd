//! Who is let in where.

mod common;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::{Answer, Fixture, PUBLISHED};
use http::{Method, StatusCode};
use registry_core::{
    Checksum, Login, Owner, Owners,
    auth::{Action, AuthError, Authorizer, Caller, CredentialForms, Principal, Scopes},
    conformance::fixture::{crate_file, publish_body},
};
use registry_http::{
    HostPrincipal, PeerAddress,
    route::{Needs, parse},
};

const LACKS_PUBLISH_NEW: &str = "this token does not have the required permissions to perform this \
     action: it lacks the scope `publish-new`";
const CHALLENGE: &str = "Cargo login_url=\"http://registry.test/main/me\"";

/// Each endpoint but `/me` and those of tokens, about a crate `foo` 1.0.0, with a body it takes.
fn endpoints() -> Vec<(Method, String, Vec<u8>)> {
    let download = format!("/dl/foo/1.0.0/{}", Checksum::of(crate_file("foo", "1.0.0", "")));
    let api = |rest: &str| format!("/api/v1/crates{rest}");
    let bob = br#"{"users":["bob"]}"#.to_vec();
    let alice = br#"{"users":["alice"]}"#.to_vec();
    vec![
        (Method::GET, "/index/config.json".into(), vec![]),
        (Method::GET, "/index/3/f/foo".into(), vec![]),
        (Method::GET, download, vec![]),
        (Method::GET, api("/foo/1.0.0/download"), vec![]),
        (Method::GET, api("?q=foo"), vec![]),
        (Method::GET, api("/foo/owners"), vec![]),
        (Method::PUT, api("/new"), publish_body("foo", "2.0.0")),
        (Method::DELETE, api("/foo/1.0.0/yank"), vec![]),
        (Method::PUT, api("/foo/1.0.0/unyank"), vec![]),
        (Method::PUT, api("/foo/owners"), bob),
        (Method::DELETE, api("/foo/owners"), alice),
    ]
}

fn is_write(method: &Method) -> bool {
    *method != Method::GET
}

/// A refusal, in the form that its path has.
#[track_caller]
fn assert_refused(answer: &Answer, path: &str, status: u16, detail: &str) {
    if path.starts_with("/api") || (path.starts_with("/index") && status == 404) {
        answer.assert_refused(status, detail);
    } else {
        answer.assert_plain(status, detail);
    }
}

/// Somebody of whom the registry has never heard.
fn of_the_host(scopes: Scopes) -> HostPrincipal {
    let carol = Owner { id: 7, login: Login::new("carol").unwrap(), name: None };
    HostPrincipal(Arc::new(Principal { scopes, ..carol.into() }))
}

#[tokio::test]
async fn whom_the_host_knows_needs_no_credential_and_no_credential_counts_beside() {
    let registry = Fixture::private().await;
    let publish = |host: HostPrincipal| {
        let publish = registry.request(Method::PUT, "/api/v1/crates/new");
        publish.body(publish_body("foo", "1.0.0")).extension(host)
    };
    // What the host says a principal is for is all that it is for, whatever else comes along.
    publish(of_the_host(Scopes::read_only()))
        .token(&registry.alice)
        .await
        .assert_refused(403, LACKS_PUBLISH_NEW);
    for token in ["unknown", "Basic !", &registry.alice] {
        let file = registry.get("/index/3/f/foo").token(token);
        file.extension(of_the_host(Scopes::all()))
            .await
            .assert_refused(404, "crate `foo` does not exist");
    }
    publish(of_the_host(Scopes::all())).token("unknown").await.assert_ok(PUBLISHED);
    let owners = registry.get("/api/v1/crates/foo/owners").token(&registry.alice).await;
    assert_eq!(owners.json()["users"][0]["login"], "carol");
}

#[tokio::test]
async fn a_private_registry_answers_401_to_everything_without_a_token_that_counts() {
    let registry = Fixture::private().await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    for (method, path, body) in endpoints() {
        let call = || registry.request(method.clone(), &path).body(body.clone());
        let missing = call().await;
        assert_refused(&missing, &path, 401, "this action requires authentication");
        assert_eq!(missing.header("www-authenticate"), CHALLENGE, "{path}");
        let rejected = call().token("unknown").await;
        assert_refused(&rejected, &path, 401, "authentication failed");
        assert_eq!(rejected.header("www-authenticate"), CHALLENGE, "{path}");
    }
    for (method, path, body) in endpoints() {
        let call = registry.request(method.clone(), &path).body(body.clone());
        let answer = call.token(&format!("Bearer {} ", registry.alice)).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {}", answer.text());
    }
}

#[tokio::test]
async fn everybody_reads_a_public_registry_and_a_bad_token_does_not_hinder() {
    let registry = Fixture::public().await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    for (method, path, body) in endpoints() {
        let call = || registry.request(method.clone(), &path).body(body.clone());
        let (missing, rejected) = (call().await, call().token("unknown").await);
        if is_write(&method) {
            missing.assert_refused(401, "this action requires authentication");
            rejected.assert_refused(401, "authentication failed");
            assert_eq!(rejected.header("www-authenticate"), CHALLENGE, "{path}");
        } else {
            assert_eq!((missing.status, rejected.status), (StatusCode::OK, StatusCode::OK));
            assert_eq!(missing.body, rejected.body, "{path}");
        }
    }
}

#[tokio::test]
async fn there_is_one_authorization_header_and_it_holds_a_token() {
    let registry = Fixture::public().await;
    let file = "/index/no/th/nothing";
    for path in [file, "/api/v1/crates", "/api/v1/crates/foo/1.0.0/download"] {
        let twice = registry.get(path).token(&registry.alice).token(&registry.alice).await;
        let several = "Invalid `Authorization` header: expected one, found 2";
        assert_refused(&twice, path, 401, several);
        assert_eq!(twice.header("www-authenticate"), CHALLENGE);
        for (value, detail) in [
            (&b""[..], "it is empty"),
            (b"Digest dTpw", "a token is not accepted in this form"),
            (b"Basic dQ==", "`Basic` takes a user name and a password in base64"),
            (b"t\xffk", "a token consists of visible ASCII characters"),
            (&[b'x'; 4097], "it is longer than 4096 bytes"),
        ] {
            let answer = registry.get(path).header("authorization", value).await;
            let detail = format!("Invalid `Authorization` header: {detail}");
            assert_refused(&answer, path, 401, &detail);
        }
    }
}

/// Writes down from where each request is said to come.
#[derive(Clone, Debug, Default)]
struct Addresses(Arc<Mutex<Vec<Option<IpAddr>>>>);

#[async_trait::async_trait]
impl Authorizer for Addresses {
    async fn authorize(
        &self,
        caller: &Caller,
        _: &Action<'_>,
        _: &Owners,
    ) -> Result<(), AuthError> {
        self.0.lock().unwrap().push(caller.address);
        Ok(())
    }

    fn hides_crates(&self) -> bool {
        false
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_host_says_from_where_a_request_comes_and_no_header_does() {
    let addresses = Addresses::default();
    let authorizer = addresses.clone();
    let registry = Fixture::with(|config| config, |builder| builder.authorizer(authorizer)).await;
    let get = |token: &str| {
        let get = registry.get("/index/config.json").token(token);
        get.header("x-forwarded-for", "192.0.2.1").header("forwarded", "for=192.0.2.1")
    };
    let told = |address: &str| PeerAddress(address.parse().unwrap());
    get(&registry.alice).await;
    get(&registry.alice).extension(told("2001:db8::1")).await;
    // As a socket for both kinds of addresses has it, and with a token that does not count.
    get("unknown").extension(told("::ffff:198.51.100.1")).await;
    let expected = [None, Some("2001:db8::1"), Some("198.51.100.1")];
    let expected = expected.map(|address| address.map(|it| it.parse().unwrap()));
    assert_eq!(*addresses.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_token_is_not_looked_for_elsewhere() {
    let registry = Fixture::private().await;
    let token = &registry.alice;
    let by_query = registry.get(&format!("/api/v1/crates?token={token}&authorization={token}"));
    let by_cookie = registry.get("/api/v1/crates").header("cookie", format!("token={token}"));
    for call in [by_query, by_cookie] {
        call.await.assert_refused(401, "this action requires authentication");
    }
}

/// Once it is closed, forbids what is tried first, and writes that down.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<Mutex<Option<Vec<String>>>>);

#[async_trait::async_trait]
impl Authorizer for Gate {
    async fn authorize(
        &self,
        _: &Caller,
        action: &Action<'_>,
        _: &Owners,
    ) -> Result<(), AuthError> {
        let Some(tried) = &mut *self.0.lock().unwrap() else { return Ok(()) };
        tried.push(format!("{action:?}"));
        let reason = "this token does not have the required permissions to perform this action";
        Err(AuthError::Forbidden { reason: reason.into() })
    }

    fn hides_crates(&self) -> bool {
        false
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn every_endpoint_asks_for_the_right_it_declares() {
    let gate = Gate::default();
    let authorizer = gate.clone();
    let registry = Fixture::with(|config| config, |builder| builder.authorizer(authorizer)).await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    for (method, path, body) in endpoints() {
        *gate.0.lock().unwrap() = Some(vec![]);
        let call = registry.request(method.clone(), &path).token(&registry.alice);
        let answer = call.body(body).await;
        let tried = gate.0.lock().unwrap().take().unwrap();
        let (name, version) = ("CanonicalName(foo)", "Version { major: 1, minor: 0, patch: 0 }");
        let action = match parse(&method, path.split('?').next().unwrap()).unwrap().needs() {
            Needs::Nothing => panic!("{path} is open to all"),
            Needs::Somebody | Needs::Person => panic!("{path} is about no crate"),
            Needs::ReadRegistry => "ReadRegistry".to_owned(),
            Needs::Read => format!("Read({name})"),
            Needs::ListOwners => format!("Read({name})"),
            Needs::Publish => {
                format!("Publish({name}, {}, None)", version.replacen('1', "2", 1))
            }
            Needs::Yank => format!("Yank({name}, {version})"),
            Needs::Unyank => format!("Unyank({name}, {version})"),
            Needs::ChangeOwners => format!("ChangeOwners({name})"),
            Needs::ConfigureTrustedPublishing => panic!("{path} is of trusted publishing"),
        };
        assert_eq!(tried, [action.as_str()], "{method} {path}");
        if action.starts_with("Read(") {
            // Who may not see a crate is told that there is none.
            let of = if path.starts_with("/dl/") { "have a version `1.0.0`" } else { "exist" };
            assert_refused(&answer, &path, 404, &format!("crate `foo` does not {of}"));
        } else {
            let reason = "this token does not have the required permissions to perform this action";
            assert_refused(&answer, &path, 403, reason);
        }
    }
}

#[tokio::test]
async fn a_form_of_credential_that_is_switched_off_publishes_nothing() {
    let mut registry = Fixture::public().await;
    let forms = |token: &str| {
        let pair = BASE64_STANDARD.encode(format!("alice:{token}"));
        let behind = ["Bearer", "Token"].map(|word| format!("{word} {token}"));
        behind.into_iter().chain([token.to_owned(), format!("Basic {pair}")])
    };
    let all = CredentialForms::default();
    let settings = [
        CredentialForms { bearer: false, ..all },
        CredentialForms { token: false, ..all },
        CredentialForms { bare: false, ..all },
        CredentialForms { basic: false, ..all },
    ];
    let mut minor = 0;
    for (off, setting) in settings.into_iter().enumerate() {
        registry.service = registry.service.with_credential_forms(setting);
        for (form, header) in forms(&registry.alice).enumerate() {
            minor += 1;
            let answer = registry
                .request(Method::PUT, "/api/v1/crates/new")
                .token(&header)
                .body(publish_body("foo", &format!("1.{minor}.0")))
                .await;
            if form == off {
                let detail = "Invalid `Authorization` header: a token is not accepted in this form";
                answer.assert_refused(401, detail);
            } else {
                answer.assert_ok(PUBLISHED);
            }
        }
    }
}

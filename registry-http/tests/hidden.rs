//! A crate that a caller may not see is, in every answer, a crate that does not exist.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use async_trait::async_trait;
use common::{Answer, Fixture, PUBLISHED};
use http::{Method, StatusCode};
use registry_core::{
    Checksum, Owners,
    auth::{Action, AuthError, Authorizer, Caller},
    conformance::{
        faulty::{Faults, FaultyCrateStore, FaultyIndex},
        fixture::{crate_file, publish_body},
    },
};

/// Nobody but alice sees crates whose names begin with `secret`, until they are made public; the
/// rest is as in [`OwnersMayWrite`](registry_core::auth::OwnersMayWrite), with one owner.
#[derive(Clone, Debug, Default)]
struct Secrets {
    public: Arc<AtomicBool>,
}

#[async_trait]
impl Authorizer for Secrets {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        let who = caller.principal.as_ref().map(|principal| principal.user.login.as_str());
        let allowed = match action {
            Action::Read(name) if name.as_str().starts_with("secret") => {
                self.public.load(SeqCst) || who == Some("alice")
            }
            action if action.is_read() => true,
            _ => owners.is_empty() || who == Some("alice"),
        };
        allowed.then_some(()).ok_or_else(|| AuthError::Forbidden { reason: "not yours".into() })
    }

    fn hides_crates(&self) -> bool {
        true
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

/// With `secret1` and `open1`, both alice's, and what is asked of `secret1` and of a name like it.
async fn registry() -> (Fixture, Secrets) {
    let secrets = Secrets::default();
    let authorizer = secrets.clone();
    let registry = Fixture::with(|config| config, |builder| builder.authorizer(authorizer)).await;
    registry.publish("secret1", "1.0.0").await.assert_ok(PUBLISHED);
    registry.publish("open1", "1.0.0").await.assert_ok(PUBLISHED);
    (registry, secrets)
}

/// Method, path, a further header, and body.
type Asked = (Method, String, (&'static str, String), Vec<u8>);

/// Every request that is about one crate.
fn requests(name: &str) -> Vec<Asked> {
    let file = Checksum::of(crate_file(name, "1.0.0", ""));
    let index = format!("/index/{}/{}/{name}", &name[..2], &name[2..4]);
    let api = format!("/api/v1/crates/{name}");
    let dl = format!("/dl/{name}/1.0.0/{file}");
    let none = || ("accept", "*/*".to_owned());
    let owners = br#"{"users":["bob"]}"#.to_vec();
    let mut requests = vec![
        (Method::PUT, "/api/v1/crates/new".into(), none(), publish_body(name, "1.0.0")),
        (Method::PUT, "/api/v1/crates/new".into(), none(), publish_body(name, "2.0.0")),
        (Method::DELETE, format!("{api}/1.0.0/yank"), none(), vec![]),
        (Method::PUT, format!("{api}/1.0.0/unyank"), none(), vec![]),
        (Method::PUT, format!("{api}/owners"), none(), owners.clone()),
        (Method::DELETE, format!("{api}/owners"), none(), owners),
    ];
    for method in [Method::GET, Method::HEAD] {
        let versions = format!("{api}/versions");
        for path in [&index, &dl, &format!("{api}/1.0.0/download"), &versions] {
            for header in [
                none(),
                ("range", "bytes=0-3".into()),
                ("if-none-match", "*".into()),
                ("if-none-match", format!("\"{file}\"")),
                ("if-match", "\"another\"".into()),
            ] {
                requests.push((method.clone(), path.clone(), header, vec![]));
            }
        }
        requests.push((method.clone(), format!("{api}/owners"), none(), vec![]));
    }
    requests
}

/// What there is of an answer, with one name for another.
fn renamed(answer: &Answer, from: &str, to: &str) -> (StatusCode, http::HeaderMap, String) {
    (answer.status, answer.headers.clone(), answer.text().replace(from, to))
}

async fn send(
    registry: &Fixture,
    token: Option<&str>,
    (method, path, (header, value), body): Asked,
) -> Answer {
    let call = registry.request(method, &path).header("x-request-id", "1");
    let call = call.header(header, value).body(body);
    match token {
        Some(token) => call.token(token).await,
        None => call.await,
    }
}

#[tokio::test]
async fn hidden_and_absent_are_one_to_the_byte() {
    let (registry, _) = registry().await;
    // The tag that the hidden file really has.
    let path = "/index/se/cr/secret1";
    let tag = registry.get(path).token(&registry.alice).await.header("etag").to_owned();
    let held = |path: &str| (Method::GET, path.to_owned(), ("if-none-match", tag.clone()), vec![]);
    for token in [None, Some(&*registry.bob)] {
        let mut pairs: Vec<_> = requests("secret1").into_iter().zip(requests("secret2")).collect();
        pairs.push((held(path), held("/index/se/cr/secret2")));
        for (hidden, absent) in pairs {
            let what = format!("{} {} {:?}", hidden.0, hidden.1, hidden.2);
            let write = !matches!(hidden.0, Method::GET | Method::HEAD);
            let hidden = send(&registry, token, hidden).await;
            let absent = send(&registry, token, absent).await;
            let status = if write && token.is_none() { 401 } else { 404 };
            assert_eq!(hidden.status.as_u16(), status, "{what}");
            assert_eq!(
                renamed(&hidden, "secret1", "secret2"),
                renamed(&absent, "secret2", "secret2"),
                "{what}"
            );
        }
        // Nor does it look different from what anybody may look for.
        for (hidden, absent) in requests("secret1").into_iter().zip(requests("opener1")) {
            if matches!(hidden.0, Method::GET | Method::HEAD) {
                let hidden = send(&registry, token, hidden).await;
                let absent = send(&registry, token, absent).await;
                assert_eq!(
                    renamed(&hidden, "secret1", "opener1"),
                    renamed(&absent, "opener1", "opener1")
                );
            }
        }
    }
}

#[tokio::test]
async fn hidden_and_absent_take_the_same_work() {
    let (in_index, in_store) = (Faults::none(), Faults::none());
    let registry = Fixture::over_both(
        |config| config,
        |builder| builder.authorizer(Secrets::default()),
        |index| FaultyIndex::new(index, in_index.clone()),
        |crates| FaultyCrateStore::new(crates, in_store.clone()),
    )
    .await;
    registry.publish("secret1", "1.0.0").await.assert_ok(PUBLISHED);
    let work = async |token: Option<&str>, asked: Asked| {
        in_index.lift();
        in_store.lift();
        let answer = send(&registry, token, asked).await;
        (answer.status.as_u16(), in_index.calls(), in_store.calls())
    };
    let mut calls = 0;
    for token in [None, Some(&*registry.bob)] {
        // Of the second name, anybody might see the crate.
        for (absent, is_free) in [("secret2", false), ("opener1", true)] {
            for (hidden, absent) in requests("secret1").into_iter().zip(requests(absent)) {
                let what = format!("{} {} {:?}", absent.0, absent.1, absent.2);
                // A crate that anybody may create is created.
                if is_free && absent.1 == "/api/v1/crates/new" {
                    continue;
                }
                let of_hidden = work(token, hidden).await;
                assert_eq!(of_hidden, work(token, absent).await, "{what}");
                calls += of_hidden.1;
            }
        }
    }
    // It is counted at all.
    assert!(calls > 100, "{calls}");
}

#[tokio::test]
async fn a_file_that_is_elsewhere_is_nowhere_for_who_may_not_see_it() {
    let crates = |crates| common::Elsewhere(crates);
    let registry =
        Fixture::over(|config| config, |builder| builder.authorizer(Secrets::default()), crates)
            .await;
    registry.publish("secret1", "1.0.0").await.assert_ok(PUBLISHED);
    let path = |name| format!("/dl/{name}/1.0.0/{}", Checksum::of(crate_file(name, "1.0.0", "")));
    let of_alice = registry.get(&path("secret1")).token(&registry.alice).await;
    assert_eq!((of_alice.status, of_alice.header("location")), (StatusCode::FOUND, "http://s/"));
    for name in ["secret1", "secret2", "opener1"] {
        let of_bob = registry.get(&path(name)).token(&registry.bob).await;
        of_bob.assert_plain(404, &format!("crate `{name}` does not have a version `1.0.0`"));
    }
}

#[tokio::test]
async fn what_is_hidden_is_not_found_and_not_counted() {
    let (registry, secrets) = registry().await;
    for n in 2..5 {
        registry.publish(&format!("secret{n}"), "1.0.0").await.assert_ok(PUBLISHED);
        registry.publish(&format!("open{n}"), "1.0.0").await.assert_ok(PUBLISHED);
    }
    let found =
        |n: u32| format!(r#"{{"name":"open{n}","max_version":"1.0.0","description":null}}"#);
    let page = |crates: &[u32], total| {
        let crates: Vec<_> = crates.iter().map(|n| found(*n)).collect();
        format!(r#"{{"crates":[{}],"meta":{{"total":{total}}}}}"#, crates.join(","))
    };
    let search = async |query: &str| {
        registry.get(&format!("/api/v1/crates?{query}")).token(&registry.bob).await
    };
    search("q=").await.assert_ok(&page(&[1, 2, 3, 4], 4));
    search("q=&per_page=3").await.assert_ok(&page(&[1, 2, 3], 4));
    search("q=&per_page=3&page=2").await.assert_ok(&page(&[4], 4));
    search("q=&per_page=3&page=3").await.assert_ok(&page(&[], 4));
    search("q=secret1").await.assert_ok(&page(&[], 0));
    let list = search("per_page=2").await;
    assert!(
        list.text()
            .ends_with(r#""meta":{"total":4,"next_page":"?per_page=2&page=2","prev_page":null}}"#),
        "{}",
        list.text()
    );
    secrets.public.store(true, SeqCst);
    assert!(search("q=").await.text().ends_with(r#""meta":{"total":8}}"#));
}

#[tokio::test]
async fn visibility_that_flips_counts_from_the_next_request_on() {
    let (registry, secrets) = registry().await;
    let file = Checksum::of(crate_file("secret1", "1.0.0", ""));
    let paths = ["/index/se/cr/secret1".to_owned(), format!("/dl/secret1/1.0.0/{file}")];
    let mut tags = vec![String::new(); 2];
    for public in [false, true, false, true] {
        secrets.public.store(public, SeqCst);
        let status = if public { StatusCode::OK } else { StatusCode::NOT_FOUND };
        for (path, tag) in paths.iter().zip(&mut tags) {
            for token in [None, Some(&registry.bob)] {
                let call = |header, value: &str| {
                    let call = registry.get(path).header(header, value);
                    match token {
                        Some(token) => call.token(token),
                        None => call,
                    }
                };
                let answer = call("accept", "*/*").await;
                assert_eq!(answer.status, status, "{path}");
                if public {
                    // Even the answers to nobody: a shared cache would keep them past the flip.
                    assert!(answer.header("cache-control").starts_with("private, "));
                    assert_eq!(answer.header("vary"), "authorization");
                    *tag = answer.header("etag").to_owned();
                }
                // Nor does a client that has held it learn that it is still there.
                let held = call("if-none-match", tag).await.status;
                assert_eq!(held, if public { StatusCode::NOT_MODIFIED } else { status });
            }
        }
    }
}

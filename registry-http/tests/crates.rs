//! Yank, owners and search.

mod common;

use common::{Answer, Fixture, PUBLISHED};
use http::Method;
use registry_core::conformance::fixture::{crate_file, publish_body_of};

const OWNERS: &str = "/api/v1/crates/foo-bar/owners";
const NOT_AN_OWNER: &str = "this crate exists but you don't seem to be an owner; \
                            an owner can add you with `cargo owner --add`";

/// `Foo-Bar` 1.0.0 of alice's.
async fn published() -> Fixture {
    let registry = Fixture::public().await;
    registry.publish("Foo-Bar", "1.0.0").await.assert_ok(PUBLISHED);
    registry
}

async fn call(registry: &Fixture, method: Method, path: &str, token: &str, body: &str) -> Answer {
    registry.request(method, path).token(token).body(body.to_owned()).await
}

#[tokio::test]
async fn yanking_and_undoing_it_are_ok_however_often_and_in_any_spelling() {
    let registry = published().await;
    for (name, method, what, shown) in [
        ("foo_bar", Method::DELETE, "yank", true),
        ("Foo-Bar", Method::DELETE, "yank", true),
        ("FOO-bar", Method::PUT, "unyank", false),
        ("foo-bar", Method::PUT, "unyank", false),
    ] {
        let path = format!("/api/v1/crates/{name}/1.0.0/{what}");
        call(&registry, method, &path, &registry.alice, "").await.assert_ok(r#"{"ok":true}"#);
        let line = registry.get("/index/fo/o-/foo-bar").await;
        assert!(line.text().contains(&format!("\"yanked\":{shown}")), "{}", line.text());
    }
}

#[tokio::test]
async fn what_cannot_be_yanked_is_told_so() {
    let registry = published().await;
    let (alice, bob) = (&registry.alice, &registry.bob);
    for (token, path, status, detail) in [
        (alice, "nothing/1.0.0", 404, "crate `nothing` does not exist"),
        (alice, "foo-bar/2.0.0", 404, "crate `Foo-Bar` does not have a version `2.0.0`"),
        (bob, "foo-bar/1.0.0", 403, NOT_AN_OWNER),
    ] {
        let yank = format!("/api/v1/crates/{path}/yank");
        call(&registry, Method::DELETE, &yank, token, "").await.assert_refused(status, detail);
        let unyank = format!("/api/v1/crates/{path}/unyank");
        call(&registry, Method::PUT, &unyank, token, "").await.assert_refused(status, detail);
    }
}

#[tokio::test]
async fn owners_are_listed_added_and_removed() {
    let registry = published().await;
    let list = async || registry.get(OWNERS).await;
    let alice = r#"{"id":1,"login":"alice","name":null,"kind":"user"}"#;
    let bob = r#"{"id":2,"login":"bob","name":null,"kind":"user"}"#;
    list().await.assert_ok(&format!("{{\"users\":[{alice}]}}"));

    let added = r#"{"ok":true,"msg":"user bob has been added as an owner of crate foo-bar"}"#;
    for body in [r#"{"users":["bob"]}"#, r#"{"owners":["bob"]}"#] {
        let answer = call(&registry, Method::PUT, OWNERS, &registry.alice, body).await;
        answer.assert_ok(added);
        list().await.assert_ok(&format!("{{\"users\":[{alice},{bob}]}}"));
    }

    let answer =
        call(&registry, Method::DELETE, OWNERS, &registry.bob, r#"{"users":["alice"]}"#).await;
    answer.assert_ok(r#"{"ok":true,"msg":"owners successfully removed"}"#);
    list().await.assert_ok(&format!("{{\"users\":[{bob}]}}"));
}

#[tokio::test]
async fn a_change_of_owners_that_cannot_be_is_told_why() {
    let registry = published().await;
    let (alice, bob) = (&registry.alice, &registry.bob);
    let (add, remove) = (Method::PUT, Method::DELETE);
    let eleven = format!("{{\"users\":[{}]}}", ["\"bob\""; 11].join(","));
    for (method, token, body, status, detail) in [
        (
            &remove,
            alice,
            r#"{"users":["alice"]}"#,
            400,
            "cannot remove all individual owners of a crate",
        ),
        (&remove, alice, r#"{"users":["bob"]}"#, 400, "could not find owner with login `bob`"),
        (&add, alice, r#"{"users":["carol"]}"#, 400, "could not find user with login `carol`"),
        (&add, bob, r#"{"users":["bob"]}"#, 403, NOT_AN_OWNER),
        (&remove, bob, r#"{"users":["alice"]}"#, 403, NOT_AN_OWNER),
        (&add, alice, r#"{"users":[]}"#, 400, "the request names no user"),
        (&add, alice, &eleven, 400, "too many invites for this request - maximum 10"),
        (
            &add,
            alice,
            r#"{"users":["a\u001bb"]}"#,
            400,
            r"`a\u{1b}b` is not a login: use 1 to 64 ASCII letters, digits, `-`, `_`, `.`, `@` or `:`, beginning with a letter or digit",
        ),
        (&add, alice, "", 400, "invalid owners request: not JSON at line 1 column 0"),
        // Not repeated: what is in the wrong place may be a secret.
        (
            &add,
            alice,
            r#"{"users":"hunter2"}"#,
            400,
            "invalid owners request: a wrong value at line 1 column 18",
        ),
        (
            &add,
            alice,
            "{}",
            400,
            "invalid owners request: missing field `users` at line 1 column 2",
        ),
        (
            &add,
            alice,
            r#"{"users":["bob"],"owners":["bob"]}"#,
            400,
            "invalid owners request: duplicate field `users` at line 1 column 25",
        ),
    ] {
        let answer = call(&registry, method.clone(), OWNERS, token, body).await;
        answer.assert_refused(status, detail);
    }
    let path = "/api/v1/crates/nothing/owners";
    let missing = "crate `nothing` does not exist";
    registry.get(path).await.assert_refused(404, missing);
    for method in [add, remove] {
        let answer = call(&registry, method, path, alice, r#"{"users":["bob"]}"#).await;
        answer.assert_refused(404, missing);
    }
}

#[tokio::test]
async fn ten_logins_and_64_kib_are_the_most_of_one_request() {
    let registry = published().await;
    let ten = format!("{{\"users\":[{}]}}", ["\"bob\""; 10].join(","));
    let padded = |length: usize| format!("{ten}{}", " ".repeat(length - ten.len()));
    let put = async |body: String, announced: bool| {
        let call = registry.request(Method::PUT, OWNERS).token(&registry.alice);
        let length = body.len().to_string();
        let call = if announced { call.header("content-length", length) } else { call };
        call.body(body).await
    };
    for announced in [true, false] {
        assert_eq!(put(padded(65536), announced).await.status, 200);
        let answer = put(padded(65537), announced).await;
        answer.assert_refused(413, "max request size is: 65536");
    }
    let call = registry.request(Method::PUT, OWNERS).token(&registry.alice);
    let answer = call.header("content-encoding", "gzip").body(ten).await;
    answer.assert_refused(415, "Content-Encoding is not supported");
}

#[tokio::test]
async fn the_name_of_an_owner_is_shown_and_the_list_is_as_public_as_the_registry() {
    let registry = published().await;
    // Cargo sends its token here even to public registries.
    let answer = registry.get(OWNERS).token("unknown").await;
    answer.assert_ok(r#"{"users":[{"id":1,"login":"alice","name":null,"kind":"user"}]}"#);
}

#[tokio::test]
async fn search_finds_by_name_a_page_at_a_time() {
    let registry = published().await;
    for name in ["foo", "foo2", "other"] {
        registry.publish(name, "0.1.0").await.assert_ok(PUBLISHED);
    }
    registry.publish("foo", "0.2.0").await.assert_ok(PUBLISHED);
    let crate_ = |name: &str, version: &str| {
        format!(r#"{{"name":"{name}","max_version":"{version}","description":null}}"#)
    };
    let [foo, foo2, foo_bar, other] = [
        crate_("foo", "0.2.0"),
        crate_("foo2", "0.1.0"),
        crate_("Foo-Bar", "1.0.0"),
        crate_("other", "0.1.0"),
    ];
    for (query, crates, total) in [
        ("?q=foo&per_page=10", vec![&foo, &foo2, &foo_bar], 3),
        ("?q=FOO&per_page=2&page=1", vec![&foo, &foo2], 3),
        ("?q=foo&per_page=2&page=2", vec![&foo_bar], 3),
        ("?q=foo&page=200", vec![], 3),
        ("?q=%66oo2", vec![&foo2], 1),
        ("?q=+foo2%20", vec![&foo2], 1),
        ("?q=x&q=other", vec![&other], 1),
        ("?q=bar%20foo", vec![&foo_bar], 1),
        ("?q=oo", vec![], 0),
        ("?q=%25", vec![], 0),
        ("?q=no%2Fthing&sort=new&&x", vec![], 0),
        ("?q=&per_page=100", vec![&foo, &foo2, &foo_bar, &other], 4),
        ("?q", vec![&foo, &foo2, &foo_bar, &other], 4),
    ] {
        let crates: Vec<&str> = crates.into_iter().map(String::as_str).collect();
        let expected = format!(r#"{{"crates":[{}],"meta":{{"total":{total}}}}}"#, crates.join(","));
        registry.get(&format!("/api/v1/crates{query}")).await.assert_ok(&expected);
    }
}

#[tokio::test]
async fn search_shows_ten_crates_unless_told_otherwise_and_what_they_say_of_themselves() {
    let registry = Fixture::public().await;
    for number in 10..21 {
        registry.publish(&format!("a{number}"), "1.0.0").await.assert_ok(PUBLISHED);
    }
    let answer = registry.get("/api/v1/crates?q=a").await;
    assert_eq!(answer.text().matches("\"max_version\"").count(), 10);
    assert!(answer.text().ends_with(r#""meta":{"total":11}}"#), "{}", answer.text());

    let metadata =
        br#"{"name":"b","vers":"1.0.0","deps":[],"features":{},"description":"say \"b\""}"#;
    let file = crate_file("b", "1.0.0", "description = 'say \"b\"'\n");
    let body = publish_body_of(metadata, &file);
    let put = registry.request(Method::PUT, "/api/v1/crates/new").token(&registry.alice);
    put.body(body).await.assert_ok(PUBLISHED);
    registry.get("/api/v1/crates?q=b").await.assert_ok(
        r#"{"crates":[{"name":"b","max_version":"1.0.0","description":"say \"b\""}],"meta":{"total":1}}"#,
    );
}

#[tokio::test]
async fn a_search_beyond_the_limits_is_refused_with_the_limit() {
    let registry = Fixture::public().await;
    let long = "x".repeat(257);
    for (query, detail) in [
        ("per_page=101", "cannot request more than 100 items"),
        ("per_page=4294967295", "cannot request more than 100 items"),
        ("per_page=99999999999999999999999", "cannot request more than 100 items"),
        ("per_page=0", "cannot request 0 items"),
        ("page=0", "page indexing starts from 1, page 0 is invalid"),
        ("page=2002", "cannot request items behind the first 20000"),
        ("page=100000000000000000000", "cannot request items behind the first 20000"),
        ("per_page=", "`per_page` is not a number: "),
        ("page=-1", "`page` is not a number: -1"),
        ("page=1%1b", "`page` is not a number: 1%1b"),
        ("q=%ff", "the search text is not UTF-8: %ff"),
        (&format!("q={long}"), "the search text is 257 characters, limit 256"),
    ] {
        registry.get(&format!("/api/v1/crates?q&{query}")).await.assert_refused(400, detail);
    }
    for query in ["per_page=100&page=201", "page=2001", &format!("q={}", &long[1..])] {
        registry
            .get(&format!("/api/v1/crates?q&{query}"))
            .await
            .assert_ok(r#"{"crates":[],"meta":{"total":0}}"#);
    }
}

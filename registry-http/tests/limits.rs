//! Who asks too often is told when to come again.

mod common;

use common::{Answer, Fixture, PUBLISHED};
use http::{Method, StatusCode};
use registry_core::limits::RateLimits;

async fn with_limits(limits: &str) -> Fixture {
    let limits: RateLimits = limits.parse().unwrap();
    Fixture::with(|config| config, |builder| builder.rate_limits(limits)).await
}

/// When, as the answer says it in its text, and that it says it in its headers.
#[track_caller]
fn assert_too_many(answer: &Answer, before: &str, after: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    let before = format!("{before} in a short period of time. Please try again after ");
    let date = answer.text().strip_prefix(&*before).and_then(|text| text.strip_suffix(after));
    let is_date = |date: &str| date.ends_with(" GMT") && date.len() == 29;
    assert!(date.is_some_and(is_date), "{}", answer.text());
    // A second may have gone by since the first request.
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!((86_000..=86_400).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn reads_beyond_the_limit_are_refused_in_the_form_of_their_path() {
    let registry = with_limits("read=2/1d,search=1/1d").await;
    for path in ["/index/config.json", "/index/no/ne/none"] {
        // Cargo sends its token with each read, and each user has a limit of their own.
        for token in [&registry.alice, &registry.bob] {
            let answer = registry.get(path).token(token).await;
            assert!(matches!(answer.status.as_u16(), 200 | 404), "{}", answer.text());
        }
    }
    for path in ["/index/config.json", "/index/no/ne/none"] {
        let answer = registry.get(path).token(&registry.alice).await;
        assert_too_many(&answer, "You have sent too many requests", "\n");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    let answer = registry.get("/api/v1/crates/none/owners").token(&registry.alice).await;
    let before = "{\"errors\":[{\"detail\":\"You have sent too many requests";
    assert_too_many(&answer, before, "\"}]}");
    assert_eq!(answer.header("content-type"), "application/json");
    // Searches are counted apart.
    let search = || registry.get("/api/v1/crates?q=none").token(&registry.alice);
    assert_eq!(search().await.status, StatusCode::OK);
    let before = "{\"errors\":[{\"detail\":\"You have searched too many times";
    assert_too_many(&search().await, before, "\"}]}");
    // Where to get a token is told to everybody.
    assert_eq!(registry.get("/me").token(&registry.alice).await.status, StatusCode::OK);
}

#[tokio::test]
async fn writes_are_counted_by_what_they_do() {
    let registry = with_limits("publish-new=1/1d,publish-update=1/1d,yank=2/1d,owners=1/1d").await;
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    let refused = |what: &str| format!("{{\"errors\":[{{\"detail\":\"You have {what}");
    let new = refused("published too many new crates");
    assert_too_many(&registry.publish("bar", "1.0.0").await, &new, "\"}]}");
    registry.publish("foo", "1.1.0").await.assert_ok(PUBLISHED);
    let update = refused("published too many updates to existing crates");
    assert_too_many(&registry.publish("foo", "1.2.0").await, &update, "\"}]}");

    let call = |method: Method, rest: &str| {
        let path = format!("/api/v1/crates/foo{rest}");
        registry.request(method, &path).token(&registry.alice)
    };
    assert_eq!(call(Method::DELETE, "/1.0.0/yank").await.status, StatusCode::OK);
    assert_eq!(call(Method::PUT, "/1.0.0/unyank").await.status, StatusCode::OK);
    let yank = refused("yanked or unyanked too many versions");
    assert_too_many(&call(Method::DELETE, "/1.0.0/yank").await, &yank, "\"}]}");
    let owners = || call(Method::PUT, "/owners").body(&br#"{"users":["bob"]}"#[..]);
    assert_eq!(owners().await.status, StatusCode::OK);
    let changed = refused("changed too many owners");
    assert_too_many(&owners().await, &changed, "\"}]}");
    // Whoever may write no longer still reads.
    assert_eq!(call(Method::GET, "/owners").await.status, StatusCode::OK);
}

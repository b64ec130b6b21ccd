//! `config.json` and index files.

mod common;

use common::Fixture;
use http::{Method, StatusCode};

const FILE: &str = "/index/fo/o-/foo-bar";

async fn published() -> Fixture {
    let registry = Fixture::public().await;
    registry.publish("Foo-Bar", "1.0.0").await.assert_ok(common::PUBLISHED);
    registry
}

#[tokio::test]
async fn config_json_says_where_everything_is() {
    let answer = Fixture::public().await.get("/index/config.json").await;
    answer.assert_ok(concat!(
        r#"{"dl":"http://registry.test/main/dl/{crate}/{version}/{sha256-checksum}","#,
        r#""api":"http://registry.test/main"}"#
    ));
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("vary"), "");
}

#[tokio::test]
async fn config_json_of_a_private_registry_says_so_to_who_has_a_token() {
    let registry = Fixture::private().await;
    let answer = registry.get("/index/config.json").token(&registry.bob).await;
    answer.assert_ok(concat!(
        r#"{"dl":"http://registry.test/main/dl/{crate}/{version}/{sha256-checksum}","#,
        r#""api":"http://registry.test/main","auth-required":true}"#
    ));
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("vary"), "authorization");
}

#[tokio::test]
async fn config_json_is_never_304() {
    let registry = Fixture::public().await;
    let answer = registry.get("/index/config.json").header("if-none-match", "*").await;
    assert_eq!((answer.status, answer.header("etag")), (StatusCode::OK, ""));
}

#[tokio::test]
async fn addresses_come_from_the_configuration_whatever_a_request_says() {
    let registry = Fixture::public().await;
    let plain = registry.get("/index/config.json").await;
    let forged = registry
        .get("http://evil.test/index/config.json")
        .header("host", "evil.test")
        .header("x-forwarded-host", "evil.test")
        .header("forwarded", "host=evil.test")
        .await;
    assert_eq!(forged.text(), plain.text());
}

#[tokio::test]
async fn an_index_file_is_the_lines_of_the_crate() {
    let registry = published().await;
    let answer = registry.get(FILE).await;
    assert_eq!(answer.status, StatusCode::OK);
    let (line, end) = answer.text().split_once('\n').unwrap();
    assert!(line.starts_with(r#"{"name":"Foo-Bar","vers":"1.0.0","deps":[],"cksum":""#), "{line}");
    assert_eq!(end, "");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("vary"), "");
    let etag = answer.header("etag");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() == 34, "{etag}");
}

#[tokio::test]
async fn an_index_file_that_is_not_there_is_404() {
    let registry = published().await;
    for (path, name) in [
        ("/index/no/th/nothing", "nothing"),
        // Cargo asks for these when it misses a name; only one spelling has a file.
        ("/index/fo/o_/foo_bar", "foo_bar"),
    ] {
        let answer = registry.get(path).await;
        answer.assert_refused(404, &format!("crate `{name}` does not exist"));
    }
}

#[tokio::test]
async fn who_has_the_file_is_told_that_it_is_unchanged() {
    let registry = published().await;
    let etag = registry.get(FILE).await.header("etag").to_owned();
    let opaque = etag.trim_matches('"');
    for held in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        format!("{etag}, \"{}\"", "0".repeat(32)),
        format!("W/\"{opaque}-gzip\""),
        "*".into(),
    ] {
        let answer = registry.get(FILE).header("if-none-match", &held).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::NOT_MODIFIED, ""), "{held}");
        assert_eq!(answer.header("etag"), etag, "{held}");
        assert_eq!(answer.header("cache-control"), "no-cache", "{held}");
        assert_eq!(answer.header("content-type"), "", "{held}");
    }
    for held in ["", opaque, "\"\"", "\"x\"", &format!("\"{}\"", "0".repeat(32)), "W/"] {
        let answer = registry.get(FILE).header("if-none-match", held).await;
        assert_eq!(answer.status, StatusCode::OK, "{held}");
        assert_eq!(answer.header("etag"), etag, "{held}");
    }
    // A star stands for whatever there is, and here is nothing.
    let answer = registry.get("/index/no/th/nothing").header("if-none-match", "*").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn ten_thousand_tags_cost_no_more_than_the_first_of_them() {
    let registry = published().await;
    let etag = registry.get(FILE).await.header("etag").to_owned();
    let flood = format!("{}{etag}", "\"x\",".repeat(10_000));
    let answer = registry.get(FILE).header("if-none-match", flood).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn the_validator_changes_with_the_bytes_and_back_with_them() {
    let registry = published().await;
    let state = async || {
        let answer = registry.get(FILE).await;
        (answer.header("etag").to_owned(), answer.body)
    };
    let yank = async |method, what: &str| {
        let path = format!("/api/v1/crates/foo-bar/1.0.0/{what}");
        let answer = registry.request(method, &path).token(&registry.alice).await;
        assert_eq!(answer.status, StatusCode::OK);
    };
    let before = state().await;
    yank(Method::DELETE, "yank").await;
    let yanked = state().await;
    assert!(before.0 != yanked.0 && before.1 != yanked.1);
    let answer = registry.get(FILE).header("if-none-match", &before.0).await;
    assert_eq!((answer.status, &answer.body), (StatusCode::OK, &yanked.1));
    yank(Method::PUT, "unyank").await;
    assert_eq!(state().await, before);
    registry.publish("Foo-Bar", "1.0.1").await.assert_ok(common::PUBLISHED);
    let longer = state().await;
    assert!(longer.0 != before.0 && longer.1.starts_with(&before.1));
}

#[tokio::test]
async fn a_file_for_one_reader_is_not_kept_for_others() {
    let registry = Fixture::private().await;
    registry.publish("Foo-Bar", "1.0.0").await.assert_ok(common::PUBLISHED);
    let answer = registry.get(FILE).token(&registry.bob).await;
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("vary"), "authorization");

    // Nor is one of a public registry that was asked for with a token: it may have shown more.
    let registry = published().await;
    let answer = registry.get(FILE).token(&registry.bob).await;
    assert_eq!(answer.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let registry = published().await;
    for path in ["/index/config.json", FILE, "/index/no/th/nothing", "/me", "/x"] {
        let get = registry.get(path).header("x-request-id", "one").await;
        let head = registry.request(Method::HEAD, path).header("x-request-id", "one").await;
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
        assert_eq!(head.text(), "", "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn headers_that_cargo_sends_or_leaves_out_make_no_difference() {
    let registry = published().await;
    let bare = registry.get(FILE).await;
    let full = registry
        .get(FILE)
        .header("user-agent", "cargo/1.95.0 (f2d3ce0bd 2026-03-21)")
        .header("accept", "text/plain")
        .header("accept-encoding", "deflate, gzip")
        .header("cargo-protocol", "version=1")
        .header("connection", "Upgrade, HTTP2-Settings")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA")
        .await;
    assert_eq!((full.status, &full.body), (StatusCode::OK, &bare.body));
    assert_eq!(full.header("etag"), bare.header("etag"));
}

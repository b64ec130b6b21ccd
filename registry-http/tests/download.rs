//! Crate files.

mod common;

use common::Fixture;
use http::{Method, StatusCode};
use registry_core::{Checksum, conformance::fixture};

const VERSION: &str = "1.0.0+b.1";

/// A registry with one crate, its file, and the path that `config.json` makes of it.
async fn published(private: bool) -> (Fixture, Vec<u8>, String) {
    let registry = if private { Fixture::private().await } else { Fixture::public().await };
    registry.publish("Foo-Bar", VERSION).await.assert_ok(common::PUBLISHED);
    let file = fixture::crate_file("Foo-Bar", VERSION, "");
    let path = format!("/dl/Foo-Bar/{VERSION}/{}", Checksum::of(&file));
    (registry, file, path)
}

#[tokio::test]
async fn a_crate_file_is_downloaded_byte_for_byte_and_may_be_kept_for_ever() {
    let (registry, file, path) = published(false).await;
    let by_version = format!("/api/v1/crates/foo_bar/{VERSION}/download");
    for (path, name) in [(path.as_str(), "Foo-Bar"), (&by_version, "foo_bar")] {
        let answer = registry.get(path).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &file[..]), "{path}");
        for (header, value) in [
            ("content-type", "application/gzip"),
            ("content-length", &file.len().to_string()),
            ("etag", &format!("\"{}\"", Checksum::of(&file))),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("content-disposition", &format!("attachment; filename=\"{name}-1.0.0+b.1.crate\"")),
            ("x-content-type-options", "nosniff"),
            ("content-encoding", ""),
            ("vary", ""),
        ] {
            assert_eq!(answer.header(header), value, "{path} {header}");
        }
    }
}

#[tokio::test]
async fn a_yanked_version_is_still_downloaded() {
    let (registry, file, path) = published(false).await;
    let yank = format!("/api/v1/crates/foo-bar/{VERSION}/yank");
    let answer = registry.request(Method::DELETE, &yank).token(&registry.alice).await;
    answer.assert_ok(r#"{"ok":true}"#);
    let by_version = format!("/api/v1/crates/Foo-Bar/{VERSION}/download");
    for path in [&path, &by_version] {
        let answer = registry.get(path).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &file[..]));
    }
}

#[tokio::test]
async fn a_range_still_gets_the_whole_file() {
    let (registry, file, path) = published(false).await;
    let etag = format!("\"{}\"", Checksum::of(&file));
    let many = format!("bytes={}", ["0-0"; 1000].join(","));
    for (header, value) in [("range", "bytes=0-0"), ("range", &many), ("if-range", &etag)] {
        let answer = registry.get(&path).header(header, value).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &file[..]), "{header}");
    }
}

#[tokio::test]
async fn who_has_the_file_is_told_that_it_is_unchanged() {
    for private in [false, true] {
        let (registry, file, path) = published(private).await;
        let etag = format!("\"{}\"", Checksum::of(&file));
        let by_version = format!("/api/v1/crates/foo-bar/{VERSION}/download");
        for path in [&path, &by_version] {
            let get =
                |held: &str| registry.get(path).token(&registry.bob).header("if-none-match", held);
            for held in [&etag, &format!("W/{etag}"), &format!("\"x\", {etag}"), "*"] {
                let answer = get(held).await;
                assert_eq!((answer.status, answer.text()), (StatusCode::NOT_MODIFIED, ""));
                assert_eq!(answer.header("etag"), etag);
                assert_eq!(answer.header("content-type"), "");
                let caching = "private, max-age=31536000, immutable";
                assert_eq!(answer.header("cache-control"), caching);
                assert_eq!(answer.header("vary"), "authorization");
            }
            let answer = get(&format!("\"{}\"", Checksum::of("other"))).await;
            assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &file[..]));
        }
        // Nothing is there, so nothing of it is held.
        let missing = path.replace("1.0.0", "2.0.0");
        let answer = registry.get(&missing).token(&registry.bob).header("if-none-match", "*").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn head_of_a_file_has_its_length_and_no_body() {
    let (registry, file, path) = published(false).await;
    let answer = registry.request(Method::HEAD, &path).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, ""));
    assert_eq!(answer.header("content-length"), file.len().to_string());
}

#[tokio::test]
async fn a_private_file_is_kept_for_its_reader_alone() {
    let (registry, file, path) = published(true).await;
    let answer = registry.get(&path).token(&registry.bob).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &file[..]));
    assert_eq!(answer.header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(answer.header("vary"), "authorization");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_404() {
    let (registry, _, _) = published(false).await;
    let other = Checksum::of("other");
    let missing = "crate `Foo-Bar` does not have a version `1.0.0+b.1`";
    registry.get(&format!("/dl/Foo-Bar/{VERSION}/{other}")).await.assert_plain(404, missing);

    let api = |rest: &str| format!("/api/v1/crates/{rest}/download");
    for (path, detail) in [
        ("nothing/1.0.0", "crate `nothing` does not exist"),
        ("foo-bar/2.0.0", "crate `foo-bar` does not have a version `2.0.0`"),
        // Another file has this name.
        ("foo-bar/1.0.0", "crate `foo-bar` does not have a version `1.0.0`"),
    ] {
        registry.get(&api(path)).await.assert_refused(404, detail);
    }
}

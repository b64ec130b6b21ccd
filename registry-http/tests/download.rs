//! Crate files.

mod common;

use common::{Answer, Fixture};
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
    // Another file may come under a version, in a registry that is deleted and made anew; never under
    // a checksum.
    for (path, name, caching) in [
        (path.as_str(), "Foo-Bar", "public, max-age=31536000, immutable"),
        (&by_version, "foo_bar", "no-cache"),
    ] {
        let answer = registry.get(path).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &file[..]), "{path}");
        for (header, value) in [
            ("content-type", "application/gzip"),
            ("content-length", &file.len().to_string()),
            ("etag", &format!("\"{}\"", Checksum::of(&file))),
            ("cache-control", caching),
            ("content-disposition", &format!("attachment; filename=\"{name}-1.0.0+b.1.crate\"")),
            ("x-content-type-options", "nosniff"),
            ("accept-ranges", "bytes"),
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

/// Status, `Content-Range`, `Content-Length` and body of an answer.
type Seen = (u16, String, String, Vec<u8>);

fn seen(answer: &Answer) -> Seen {
    let header = |name| answer.header(name).to_owned();
    let status = answer.status.as_u16();
    (status, header("content-range"), header("content-length"), answer.body.to_vec())
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_and_named() {
    let (registry, file, path) = published(false).await;
    let size = file.len();
    let by_version = format!("/api/v1/crates/foo_bar/{VERSION}/download");
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=3-9", 3..10),
        ("BYTES=3-9", 3..10),
        ("bytes=0-", 0..size),
        ("bytes=7-99999999999999999999", 7..size),
        (&*format!("bytes={}-", size - 1), size - 1..size),
        ("bytes=-4", size - 4..size),
        ("bytes=-99999999999999999999", 0..size),
    ] {
        for (path, caching) in
            [(&path, "public, max-age=31536000, immutable"), (&by_version, "no-cache")]
        {
            let answer = registry.get(path).header("range", range).await;
            let named = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let expected = (206, named, part.len().to_string(), file[part.clone()].to_vec());
            assert_eq!(seen(&answer), expected, "{range}");
            for (header, value) in [
                ("content-type", "application/gzip"),
                ("etag", &format!("\"{}\"", Checksum::of(&file))),
                ("cache-control", caching),
                ("accept-ranges", "bytes"),
                ("content-encoding", ""),
            ] {
                assert_eq!(answer.header(header), value, "{range} {header}");
            }
        }
    }
}

#[tokio::test]
async fn a_part_that_is_not_there_is_refused_with_the_length_of_the_file() {
    let (registry, file, path) = published(false).await;
    let size = file.len();
    for range in [&*format!("bytes={size}-"), "bytes=99999999999999999999-", "bytes=-0"] {
        let answer = registry.get(&path).header("range", range).await;
        let line = format!("the crate file has {size} bytes, and none in the range asked for");
        answer.assert_plain(416, &line);
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"), "{range}");
        assert_eq!((answer.header("etag"), answer.header("accept-ranges")), ("", ""));
    }
    let by_version = format!("/api/v1/crates/foo_bar/{VERSION}/download");
    let answer = registry.get(&by_version).header("range", "bytes=-0").await;
    let line = format!("the crate file has {size} bytes, and none in the range asked for");
    answer.assert_refused(416, &line);
    assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
}

#[tokio::test]
async fn a_range_that_is_not_one_of_bytes_gets_the_whole_file() {
    let (registry, file, path) = published(false).await;
    let whole = (200, String::new(), file.len().to_string(), file.clone());
    let many = format!("bytes={}", ["0-0"; 10_000].join(","));
    for range in ["bytes=0-0,2-2", "bytes=2-1", "bytes=", "bytes=a-b", "lines=0-0", "", &many] {
        let answer = registry.get(&path).header("range", range).await;
        assert_eq!(seen(&answer), whole, "{range}");
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
    let twice = registry.get(&path).header("range", "bytes=0-0").header("range", "bytes=2-2");
    assert_eq!(seen(&twice.await), whole);
    let unreadable = registry.get(&path).header("range", b"bytes=0-0\xff");
    assert_eq!(seen(&unreadable.await), whole);
}

#[tokio::test]
async fn a_part_is_sent_only_of_the_file_that_was_begun() {
    let (registry, file, path) = published(false).await;
    let etag = format!("\"{}\"", Checksum::of(&file));
    let other = format!("\"{}\"", Checksum::of("other"));
    let whole = (200, String::new(), file.len().to_string(), file.clone());
    let part = (206, format!("bytes 3-3/{}", file.len()), "1".to_owned(), vec![file[3]]);
    let get = || registry.get(&path).header("range", "bytes=3-3");
    assert_eq!(seen(&get().header("if-range", &etag).await), part);
    for held in [
        &other,
        // No strong tag of the file: a weak one, one without quotes, a list, a date, a star.
        &format!("W/{etag}"),
        etag.trim_matches('"'),
        &format!("{etag}, {etag}"),
        "Tue, 01 Jan 2030 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "*",
        "",
    ] {
        assert_eq!(seen(&get().header("if-range", held).await), whole, "{held}");
    }
    let twice = get().header("if-range", &etag).header("if-range", &etag);
    assert_eq!(seen(&twice.await), whole);
    // Where there is nothing of it, the whole file is still the answer to who began another.
    let beyond = || registry.get(&path).header("range", "bytes=99999-");
    assert_eq!(seen(&beyond().header("if-range", &other).await), whole);
    assert_eq!(beyond().header("if-range", &etag).await.status, StatusCode::RANGE_NOT_SATISFIABLE);
    // Without a range, it says nothing.
    assert_eq!(seen(&registry.get(&path).header("if-range", &etag).await), whole);
}

#[tokio::test]
async fn what_is_held_is_not_sent_in_parts_either() {
    let (registry, file, path) = published(false).await;
    let etag = format!("\"{}\"", Checksum::of(&file));
    let other = format!("\"{}\"", Checksum::of("other"));
    for range in ["bytes=3-3", "bytes=99999-"] {
        for if_range in [&etag, &other] {
            let get = registry.get(&path).header("range", range).header("if-range", if_range);
            let answer = get.header("if-none-match", &etag).await;
            assert_eq!((answer.status, answer.text()), (StatusCode::NOT_MODIFIED, ""));
            assert_eq!(answer.header("content-range"), "");
        }
    }
    let get = registry.get(&path).header("range", "bytes=3-3").header("if-none-match", &other);
    let part = (206, format!("bytes 3-3/{}", file.len()), "1".to_owned(), vec![file[3]]);
    assert_eq!(seen(&get.await), part);
}

#[tokio::test]
async fn who_wants_one_file_alone_gets_no_other() {
    let (registry, file, path) = published(false).await;
    let etag = format!("\"{}\"", Checksum::of(&file));
    let other = format!("\"{}\"", Checksum::of("other"));
    let by_version = format!("/api/v1/crates/foo_bar/{VERSION}/download");
    let get = |path: &str, held: &str| registry.get(path).header("if-match", held);
    let line = "the crate file is not the one that `If-Match` names";
    for held in [&other, &format!("W/{etag}")] {
        get(&path, held).await.assert_plain(412, line);
        get(&by_version, held).await.assert_refused(412, line);
        // Before whatever else is asked.
        get(&path, held).header("if-none-match", &etag).await.assert_plain(412, line);
        get(&path, held).header("range", "bytes=99999-").await.assert_plain(412, line);
        let head = registry.request(Method::HEAD, &path).header("if-match", held).await;
        assert_eq!((head.status.as_u16(), head.text()), (412, ""));
    }
    for held in [&etag, "*"] {
        let whole = (200, String::new(), file.len().to_string(), file.clone());
        assert_eq!(seen(&get(&path, held).await), whole, "{held}");
        let part = (206, format!("bytes 3-3/{}", file.len()), "1".to_owned(), vec![file[3]]);
        assert_eq!(seen(&get(&path, held).header("range", "bytes=3-3").await), part, "{held}");
        let same = get(&path, held).header("if-none-match", &etag).await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    }
    for held in [&other, "*"] {
        let missing = path.replace("1.0.0", "2.0.0");
        assert_eq!(get(&missing, held).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn who_has_the_file_is_told_that_it_is_unchanged() {
    for private in [false, true] {
        let (registry, file, path) = published(private).await;
        let etag = format!("\"{}\"", Checksum::of(&file));
        let by_version = format!("/api/v1/crates/foo-bar/{VERSION}/download");
        for (path, caching) in
            [(&path, "private, max-age=31536000, immutable"), (&by_version, "private, no-cache")]
        {
            let get =
                |held: &str| registry.get(path).token(&registry.bob).header("if-none-match", held);
            for held in [&etag, &format!("W/{etag}"), &format!("\"x\", {etag}"), "*"] {
                let answer = get(held).await;
                assert_eq!((answer.status, answer.text()), (StatusCode::NOT_MODIFIED, ""));
                assert_eq!(answer.header("etag"), etag);
                assert_eq!(answer.header("content-type"), "");
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
async fn head_tells_of_the_whole_file_what_a_download_does() {
    let (registry, file, path) = published(false).await;
    let size = file.len().to_string();
    let by_version = format!("/api/v1/crates/foo_bar/{VERSION}/download");
    for path in [&path, &by_version] {
        let whole = registry.get(path).await;
        for range in ["bytes=0-0", "bytes=99999-", "bytes=0-0,1-1"] {
            let head = registry.request(Method::HEAD, path).header("range", range).await;
            assert_eq!(seen(&head), (200, String::new(), size.clone(), Vec::new()), "{range}");
            let but_for_id = |answer: &Answer| {
                let mut headers = answer.headers.clone();
                headers.remove("x-request-id").unwrap();
                headers
            };
            assert_eq!(but_for_id(&head), but_for_id(&whole));
        }
    }
    let etag = format!("\"{}\"", Checksum::of(&file));
    let held = registry.request(Method::HEAD, &path).header("if-none-match", etag).await;
    assert_eq!((held.status, held.text()), (StatusCode::NOT_MODIFIED, ""));
    let missing = path.replace("1.0.0", "2.0.0");
    let answer = registry.request(Method::HEAD, &missing).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::NOT_FOUND, ""));
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

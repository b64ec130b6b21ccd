//! Compressed answers: the same bytes, in fewer.

mod common;

use std::{
    io::Read as _,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{Answer, Fixture};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use registry_core::{
    CanonicalName, CrateRecord, ETag, Index, IndexError, IndexFile,
    auth::CredentialForms,
    index::{Lookup, Revision, Stored},
    memory::MemoryIndex,
    record::Change,
    registry::Runtime,
};
use registry_http::{
    Compression, ForwardedBy, FromTrustedProxy, TrustedProxies, testing::TestRegistry,
};

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];
const FILE: &str = "/index/fo/o_/foo_bar";
const ENCODING: &str = "content-encoding";

/// A service that compresses, with an index file of some length.
async fn fixture() -> Fixture {
    let mut fixture = Fixture::public().await;
    fixture.service = fixture.service.with_compression(Compression::new(1 << 20));
    fill(&fixture).await;
    fixture
}

async fn fill(fixture: &Fixture) {
    for number in 0..20 {
        publish(fixture, number).await;
    }
}

async fn publish(fixture: &Fixture, number: u64) {
    assert_eq!(fixture.publish("foo_bar", &format!("1.0.{number}")).await.status, 200);
}

async fn get(fixture: &Fixture, path: &str, accepts: &str) -> Answer {
    fixture.get(path).header("accept-encoding", accepts).await
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    let body = &*answer.body;
    let mut plain = Vec::new();
    match answer.header(ENCODING) {
        "" => plain.extend_from_slice(body),
        "zstd" => plain = zstd::decode_all(body).unwrap(),
        "br" => drop(brotli::Decompressor::new(body, 4096).read_to_end(&mut plain).unwrap()),
        "gzip" => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap()),
        other => panic!("{other}"),
    }
    plain
}

#[tokio::test]
async fn an_index_file_is_the_same_in_every_coding() {
    let fixture = fixture().await;
    let plain = fixture.get(FILE).await;
    assert_eq!((plain.header(ENCODING), plain.header("vary")), ("", "accept-encoding"));
    let tag = plain.header("etag").trim_matches('"');
    for coding in CODINGS {
        let answer = get(&fixture, FILE, coding).await;
        assert_eq!(answer.header(ENCODING), coding);
        assert_eq!(unpacked(&answer), plain.body);
        assert!(answer.body.len() * 2 < plain.body.len());
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        assert_eq!(answer.header("etag"), format!("\"{tag}-{coding}\""));
        for header in ["vary", "cache-control", "content-type"] {
            assert_eq!(answer.header(header), plain.header(header));
        }
        let head = fixture.request(Method::HEAD, FILE).header("accept-encoding", coding).await;
        assert_eq!(head.body, "");
        for header in ["content-length", ENCODING, "etag", "vary"] {
            assert_eq!(head.header(header), answer.header(header));
        }
    }
}

#[tokio::test]
async fn what_is_held_compressed_is_found_unchanged_and_nothing_else_is() {
    let fixture = fixture().await;
    let ask = async |accepts: &str, tag: &str| {
        let call = fixture.get(FILE).header("accept-encoding", accepts);
        let answer = call.header("if-none-match", tag).await;
        assert_eq!(answer.header("vary"), "accept-encoding");
        (answer.status.as_u16(), answer.header("etag").to_owned())
    };
    let tags = async || {
        let mut tags = vec![get(&fixture, FILE, "identity").await.header("etag").to_owned()];
        for coding in CODINGS {
            tags.push(get(&fixture, FILE, coding).await.header("etag").to_owned());
        }
        tags
    };
    let before = tags().await;
    for tag in &before {
        // Also by who now likes another coding better, and by their weak forms.
        assert_eq!(ask("gzip, br, zstd", tag).await, (304, tag.clone()));
        assert_eq!(ask("gzip, br, zstd", &format!("W/{tag}")).await, (304, tag.clone()));
    }
    let [plain, zstd, br, gzip] = &*before else { panic!() };
    assert_eq!(ask("gzip", plain).await, (304, plain.clone()));
    assert_eq!(ask("identity", plain).await, (304, plain.clone()));
    // What the asker can no longer read does not count.
    assert_eq!(ask("identity", gzip).await, (200, plain.clone()));
    assert_eq!(ask("gzip", zstd).await, (200, gzip.clone()));
    assert_eq!(ask("gzip", &format!("{zstd}, {br}")).await, (200, gzip.clone()));

    publish(&fixture, 20).await;
    let after = tags().await;
    for (old, new) in before.iter().zip(&after) {
        assert_ne!(old, new);
        let (status, tag) = ask("gzip, br, zstd", old).await;
        assert_eq!((status, &tag), (200, &after[1]));
    }
    let again = get(&fixture, FILE, "gzip").await;
    assert_eq!(unpacked(&again), fixture.get(FILE).await.body);
}

#[tokio::test]
async fn lists_and_the_root_are_compressed_if_they_are_long_or_the_asker_insists() {
    let fixture = fixture().await;
    for (path, accepts, expected) in [
        ("/api/v1/crates/foo_bar/versions", "gzip", "gzip"),
        ("/api/v1/crates/foo_bar/versions", "deflate", ""),
        ("/api/v1/crates?q=foo", "gzip", ""),
        ("/api/v1/crates?q=foo", "gzip, identity;q=0", "gzip"),
        ("/index/config.json", "gzip", ""),
        ("/index/config.json", "*;q=0, br", "br"),
        ("/index/config.json", "*;q=0", ""),
    ] {
        let plain = fixture.get(path).await;
        let answer = get(&fixture, path, accepts).await;
        assert_eq!((answer.status.as_u16(), answer.header(ENCODING)), (200, expected), "{path}");
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert_eq!(unpacked(&answer), plain.body);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    }
}

#[tokio::test]
async fn who_came_by_another_url_is_told_that_one() {
    let proxies = TrustedProxies::new([], ForwardedBy::XForwardedFor);
    let mut fixture = fixture().await;
    fixture.service = fixture.service.with_forwarded_url(proxies);
    for host in ["one.test", "two.test", "one.test"] {
        let call =
            fixture.get("/index/config.json").header("accept-encoding", "gzip, identity;q=0");
        let answer = call.header("x-forwarded-host", host).extension(FromTrustedProxy).await;
        assert_eq!(answer.header(ENCODING), "gzip");
        let config: serde_json::Value = serde_json::from_slice(&unpacked(&answer)).unwrap();
        assert_eq!(config["api"], format!("http://{host}/main"));
    }
}

#[tokio::test]
async fn crate_files_refusals_and_what_has_a_credential_are_left_as_they_are() {
    let mut fixture = fixture().await;
    let forms = CredentialForms { path: true, ..CredentialForms::default() };
    fixture.service = fixture.service.with_credential_forms(forms);
    let in_path = |path: &str| format!("/t/{}{path}", fixture.alice);
    let insists = "gzip, identity;q=0";
    for path in ["/api/v1/crates/foo_bar/1.0.0/download", "/index/no/th/nothing", "/me"] {
        let answer = get(&fixture, path, insists).await;
        assert_eq!(answer.header(ENCODING), "", "{path}");
    }
    let config = get(&fixture, &in_path("/index/config.json"), insists).await;
    assert_eq!((config.status.as_u16(), config.header(ENCODING)), (200, ""));
    let file = get(&fixture, &in_path(FILE), insists).await;
    assert_eq!((file.status.as_u16(), file.header(ENCODING)), (200, "gzip"));
}

#[tokio::test]
async fn what_a_caller_may_read_depends_on_both_headers() {
    let mut fixture = Fixture::private().await;
    fixture.service = fixture.service.with_compression(Compression::new(1 << 20));
    fill(&fixture).await;
    let call = fixture.get(FILE).token(&fixture.alice).header("accept-encoding", "gzip");
    let answer = call.await;
    assert_eq!(answer.header(ENCODING), "gzip");
    assert_eq!(answer.header("vary"), "authorization, accept-encoding");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    // What is in the cache is for who may read it.
    assert_eq!(get(&fixture, FILE, "gzip").await.status, 401);
}

/// Counts what it is given to do.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl Runtime for Counting {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        work();
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn a_body_is_compressed_once_for_all_who_ask() {
    let runtime = Counting::default();
    let mut fixture = Fixture::public().await;
    let compression = Compression::new(1 << 20).with_runtime(runtime.clone());
    fixture.service = fixture.service.with_compression(compression);
    fill(&fixture).await;
    let all = (0..50).map(|_| get(&fixture, FILE, "gzip"));
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(|answer| answer.body == all[0].body));
    assert_eq!(runtime.0.load(Ordering::Relaxed), 1);
    // Other bytes are other work.
    get(&fixture, FILE, "br").await;
    assert_eq!(runtime.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_could_not_be_kept_is_not_compressed() {
    let mut fixture = Fixture::public().await;
    fill(&fixture).await;
    let length = fixture.get(FILE).await.body.len() as u64;
    for (max, expected) in [(length - 1, ""), (length, "gzip")] {
        fixture.service = fixture.service.clone().with_compression(Compression::new(max));
        assert_eq!(get(&fixture, FILE, "gzip").await.header(ENCODING), expected);
    }
}

/// An index in which the files of all crates have one validator, as a count of revisions is one.
#[derive(Debug)]
struct Revisions(MemoryIndex);

#[async_trait]
impl Index for Revisions {
    async fn index_file(
        &self,
        name: &CanonicalName,
        _: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let found = self.0.index_file(name, None).await?;
        Ok(match found {
            Lookup::Found(file) => Lookup::Found(IndexFile { etag: ETag::of(b"1"), ..file }),
            other => other,
        })
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.0.load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.0.commit(expected, change, next).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.0.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.0.ready().await
    }
}

#[tokio::test]
async fn two_crates_are_never_taken_for_one() {
    let (config, build) = (|config| config, |builder| builder);
    let mut fixture = Fixture::over_both(config, build, Revisions, |crates| crates).await;
    fixture.service = fixture.service.with_compression(Compression::new(1 << 20));
    fixture.publish("one", "1.0.0").await;
    fixture.publish("two", "1.0.0").await;
    for path in ["/index/3/o/one", "/index/3/t/two"] {
        let plain = fixture.get(path).await.body;
        assert_eq!(unpacked(&get(&fixture, path, "br, identity;q=0").await), plain);
    }
}

#[tokio::test]
async fn two_registries_are_never_taken_for_one() {
    let compression = Compression::new(1 << 20);
    let mut answers = Vec::new();
    for version in ["1.0.0", "2.0.0"] {
        let (config, build) = (|config| config, |builder| builder);
        let mut fixture = Fixture::over_both(config, build, Revisions, |crates| crates).await;
        fixture.service = fixture.service.with_compression(compression.clone());
        fixture.publish("one", version).await;
        let answer = get(&fixture, "/index/3/o/one", "br, identity;q=0").await;
        assert_eq!(unpacked(&answer), fixture.get("/index/3/o/one").await.body);
        answers.push(answer);
    }
    assert_eq!(answers[0].header("etag"), answers[1].header("etag"));
    assert_ne!(answers[0].body, answers[1].body);
}

#[tokio::test]
async fn a_service_that_was_not_told_to_compresses_nothing() {
    let registry = TestRegistry::without_socket();
    let request = Request::get("/index/config.json").header("accept-encoding", "gzip, *;q=0");
    let answer = registry.handle(request.body(Empty::<&[u8]>::new()).unwrap()).await;
    assert!(!answer.headers().contains_key(ENCODING));
    assert!(!answer.headers().contains_key("vary"));
    assert!(answer.into_body().collect().await.unwrap().to_bytes().starts_with(b"{\"dl\":"));
}

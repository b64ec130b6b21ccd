//! What it takes to answer with an index file that is in memory, as the allocator counts it.

use std::{alloc::System, collections::HashMap, net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use cap::Cap;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use registry_core::{
    CrateName, Index, Registry, RegistryConfig, RegistryName,
    conformance::record_fixture::{first, publish},
    memory::{MemoryCrateStore, MemoryIndex},
};
use registry_http::{Body, Compression, Peer, PeerAddress, Registries, RegistryService};
use registry_index::layer::CachedIndex;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// A crate of one version.
const ONE: &str = "one";
/// A crate of 200 versions, with as long a name as there is, and one that is not its own key.
const MANY: &str = "Many-versions-of-a-crate-with-a-name-of-sixty-four-characters-00";

/// The headers of an answer from memory whose values are its own.
const OWN: [HeaderName; 3] =
    [header::CONTENT_LENGTH, header::ETAG, HeaderName::from_static("x-request-id")];

/// With room for a dozen headers.
const HEAD_BYTES: usize = 2 << 10;
/// The digits of a length, and a tag.
const REPLACED_BYTES: usize = 64;

// One test alone: the allocator is that of the whole process.
#[tokio::test]
async fn an_answer_from_memory_takes_what_its_head_takes_and_nothing_else() {
    let registries = registries().await;
    let paths = [ONE, MANY].map(path);
    // Moved a few times on its way: not with room for whatever any request might need.
    let size = size_of_val(&registries.handle(ask(&paths[0], None, None)));
    assert!(size < 4 << 10, "{size}");
    for path in &paths {
        for coding in [None, Some("gzip")] {
            let whole = answered(&registries, path, None, coding).await;
            assert_eq!(whole.status(), StatusCode::OK);
            // What is short is not compressed.
            let is_compressed = coding.is_some() && path == &paths[1];
            assert_eq!(whole.headers().contains_key(header::CONTENT_ENCODING), is_compressed);
            let etag = &whole.headers()[header::ETAG];
            let held = answered(&registries, path, Some(etag), coding).await;
            assert_eq!(held.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(&held.headers()[header::ETAG], etag);
            if coding.is_none() {
                let length = body(whole).await.len();
                assert_eq!(length > 10 * HEAD_BYTES, path == &paths[1], "{length}");
            }
        }
    }
}

/// Asks twice, and holds the second answer to what its head takes.
async fn answered(
    registries: &Registries,
    path: &str,
    held: Option<&HeaderValue>,
    coding: Option<&str>,
) -> Response<Body> {
    let address = Some(PeerAddress(Ipv4Addr::LOCALHOST.into()));
    // The id is the server's to give, as it may have to refuse.
    let answer = async |request: Request<Empty<Bytes>>| {
        let request_id = Some(registries.request_id(request.headers()));
        let peer = Peer { address, request_id, ..Peer::default() };
        registries.handle_from(peer, request).await
    };
    drop(answer(ask(path, held, coding)).await);
    let request = ask(path, held, coding);
    let (response, taken) = counted(answer(request)).await;
    let (head, of_head) = counted(async { head(response.headers()) }).await;
    assert_eq!(&head, response.headers());
    assert!(of_head < HEAD_BYTES, "{of_head}");
    match coding {
        None => assert_eq!(taken, of_head, "{path} {head:?}"),
        // There were the length and the tag of what is not compressed.
        Some(_) => assert!(taken <= of_head + REPLACED_BYTES, "{taken} {of_head} {path} {head:?}"),
    }
    response
}

/// How many bytes are asked of the allocator until something is there.
async fn counted<T>(future: impl Future<Output = T>) -> (T, usize) {
    let before = ALLOCATOR.total_allocated();
    let value = future.await;
    (value, ALLOCATOR.total_allocated() - before)
}

/// The same headers, as whoever knows them all from the start would make them.
fn head(headers: &HeaderMap) -> HeaderMap {
    // Not only for those that are here: a server adds some of its own.
    let mut head = HeaderMap::with_capacity(headers.capacity());
    for (name, value) in headers {
        let value = match OWN.contains(name) {
            true => HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            false => value.clone(),
        };
        head.insert(name, value);
    }
    head
}

fn path(name: &str) -> String {
    format!("/main/index/{}", CrateName::new(name).unwrap().sparse_path())
}

fn ask(path: &str, held: Option<&HeaderValue>, coding: Option<&str>) -> Request<Empty<Bytes>> {
    let mut request = Request::get(path);
    if let Some(etag) = held {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(coding) = coding {
        request = request.header(header::ACCEPT_ENCODING, coding);
    }
    request.body(Empty::new()).unwrap()
}

async fn body(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// One registry, put together as that of the server.
async fn registries() -> Registries {
    let inner = Arc::new(MemoryIndex::default());
    for (name, versions) in [(ONE, 1), (MANY, 200)] {
        let (mut record, change) = first(name, "1.0.0");
        let mut revision = inner.commit(None, &change, &record).await.unwrap();
        for number in 1..versions {
            let (next, change) = publish(&record, &format!("1.{number}.0"));
            revision = inner.commit(Some(&revision), &change, &next).await.unwrap();
            record = next;
        }
    }
    let index = CachedIndex::new(inner, 64 << 20).with_generation(|| Some(1));
    let config = RegistryConfig::new("https://crates.example.com/main").unwrap();
    let registry = Registry::builder(config, index, MemoryCrateStore::default()).build();
    let service = RegistryService::new(registry)
        .with_prefix("main")
        .with_compression(Compression::new(16 << 20));
    Registries::by_name(HashMap::from([(RegistryName::new("main").unwrap().into(), service)]))
}

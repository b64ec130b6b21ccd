//! What it takes to answer with an index file that is in memory, as the allocator counts it.

use std::{alloc::System, collections::HashMap, sync::Arc};

use bytes::Bytes;
use cap::Cap;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use registry_core::{
    Index, Registry, RegistryConfig, RegistryName,
    conformance::record_fixture::{first, publish},
    memory::{MemoryCrateStore, MemoryIndex},
};
use registry_http::{Body, Compression, Registries, RegistryService};
use registry_index::layer::CachedIndex;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const ONE: &str = "/main/index/3/o/one";
const MANY: &str = "/main/index/ma/ny/many";

/// For a head, which has room for a dozen headers, and what is on the way to it.
const HEAD_BYTES: usize = 2 << 10;

// One test alone: the allocator is that of the whole process.
#[tokio::test]
async fn an_answer_from_memory_takes_as_much_for_a_long_file_as_for_a_short_one_or_none() {
    let registries = registries().await;
    let etags = [etag(&registries, ONE).await, etag(&registries, MANY).await];
    // Moved a few times on its way: not with room for whatever any request might need.
    assert!(size_of_val(&registries.handle(ask(ONE, None))) < 4 << 10);
    let whole = async |path| allocated(&registries, path, None, StatusCode::OK).await;
    let ((one, short), (many, long)) = (whole(ONE).await, whole(MANY).await);
    assert!(long > 100 * short, "{long} {short}");
    let not_modified = StatusCode::NOT_MODIFIED;
    let (one_held, _) = allocated(&registries, ONE, Some(&etags[0]), not_modified).await;
    let (many_held, _) = allocated(&registries, MANY, Some(&etags[1]), not_modified).await;
    // But for the letters of a name, and the digits of a length.
    assert!(one.abs_diff(many) < 64, "{one} {many}");
    assert!(one_held.abs_diff(many_held) < 64, "{one_held} {many_held}");
    for bytes in [one, many, one_held, many_held] {
        assert!(bytes < HEAD_BYTES, "{one} {many} {one_held} {many_held}");
    }
}

/// How many bytes are asked of the allocator on the way to the head of an answer, when it is not the
/// first of its kind, and how many the body has.
async fn allocated(
    registries: &Registries,
    path: &str,
    held: Option<&String>,
    status: StatusCode,
) -> (usize, usize) {
    drop(registries.handle(ask(path, held)).await);
    let request = ask(path, held);
    let before = ALLOCATOR.total_allocated();
    let response = registries.handle(request).await;
    let allocated = ALLOCATOR.total_allocated() - before;
    assert_eq!(response.status(), status);
    (allocated, body(response).await.len())
}

async fn etag(registries: &Registries, path: &str) -> String {
    let response = registries.handle(ask(path, None)).await;
    response.headers()[header::ETAG].to_str().unwrap().to_owned()
}

fn ask(path: &str, held: Option<&String>) -> Request<Empty<Bytes>> {
    let request = Request::get(path);
    let request = held.into_iter().fold(request, |it, etag| it.header(header::IF_NONE_MATCH, etag));
    request.body(Empty::new()).unwrap()
}

async fn body(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// One registry, put together as that of the server: with a crate of one version, and one of 200.
async fn registries() -> Registries {
    let inner = Arc::new(MemoryIndex::default());
    for (name, versions) in [("one", 1), ("many", 200)] {
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

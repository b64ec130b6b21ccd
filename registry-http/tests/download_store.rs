//! What a download asks of the crate store, and where it leads when the store has URLs of its own.

mod common;

use std::sync::{Arc, Mutex};

use common::{Answer, Fixture, PUBLISHED};
use http::Method;
use registry_core::{
    Checksum, CrateStore, StoreError,
    conformance::fixture,
    memory::MemoryCrateStore,
    store::{ByteRange, CrateBody, CrateFile, CrateKey, StoredCrate, StoredCrates},
};

/// A store that notes what is read of it, and may have a URL for every file.
#[derive(Clone, Debug)]
struct Noting {
    inner: MemoryCrateStore,
    location: Option<&'static str>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Noting {
    fn note(&self, call: impl Into<String>) {
        self.asked.lock().unwrap().push(call.into());
    }
}

#[async_trait::async_trait]
impl CrateStore for Noting {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.inner.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        self.note(format!("get {range:?}"));
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.note("head");
        self.inner.head(key).await
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.note(format!("location of {} {}", key.name, key.version));
        Ok(self.location.map(str::to_owned))
    }

    fn list(&self) -> StoredCrates<'_> {
        self.inner.list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

struct Published {
    registry: Fixture,
    asked: Arc<Mutex<Vec<String>>>,
    file: Vec<u8>,
    path: String,
}

const BY_VERSION: &str = "/api/v1/crates/foo_bar/1.0.0/download";

impl Published {
    async fn new(private: bool, location: Option<&'static str>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let registry = Fixture::over(
            |config| config.with_auth_required(private),
            |builder| builder,
            |inner| Noting { inner, location, asked: Arc::clone(&asked) },
        )
        .await;
        registry.publish("Foo-Bar", "1.0.0").await.assert_ok(PUBLISHED);
        let file = fixture::crate_file("Foo-Bar", "1.0.0", "");
        let path = format!("/dl/Foo-Bar/1.0.0/{}", Checksum::of(&file));
        asked.lock().unwrap().clear();
        Self { registry, asked, file, path }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

const LOCATION: &str = "location of Foo-Bar 1.0.0";

#[tokio::test]
async fn a_file_is_opened_only_to_be_sent() {
    let published = Published::new(false, None).await;
    let etag = format!("\"{}\"", Checksum::of(&published.file));
    for path in [&*published.path, BY_VERSION] {
        let request = |method| published.registry.request(method, path);
        let get = || request(Method::GET);
        assert_eq!(get().await.status, 200);
        assert_eq!(published.asked(), [LOCATION, "get None"]);
        assert_eq!(get().header("range", "bytes=1-2").await.status, 206);
        assert_eq!(published.asked(), [LOCATION, "get Some(FromTo(1, 2))"]);
        assert_eq!(get().header("if-none-match", &etag).await.status, 304);
        assert_eq!(published.asked(), [LOCATION, "head"]);
        assert_eq!(request(Method::HEAD).await.status, 200);
        assert_eq!(published.asked(), ["head"]);
        assert_eq!(request(Method::HEAD).header("if-none-match", &etag).await.status, 304);
        assert_eq!(published.asked(), ["head"]);
    }
}

const URL: &str = "https://cdn.example/Foo-Bar/1.0.0%2Bx.crate?X-Amz-Signature=00";

fn assert_leads_elsewhere(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.text()), (302, ""));
    for (header, value) in [
        ("location", URL),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("content-type", ""),
        ("etag", ""),
    ] {
        assert_eq!(answer.header(header), value, "{header}");
    }
}

#[tokio::test]
async fn a_store_with_urls_of_its_own_is_where_clients_are_sent() {
    let published = Published::new(false, Some(URL)).await;
    let etag = format!("\"{}\"", Checksum::of(&published.file));
    for path in [&*published.path, BY_VERSION] {
        // Range and conditions are for whoever has the file to look at.
        for (header, value) in [("accept", "*/*"), ("range", "bytes=0-0"), ("if-none-match", &etag)]
        {
            assert_leads_elsewhere(&published.registry.get(path).header(header, value).await);
            assert_eq!(published.asked(), [LOCATION]);
        }
        // A signed URL is good for GET alone.
        let head = published.registry.request(Method::HEAD, path).await;
        assert_eq!((head.status.as_u16(), head.header("location")), (200, ""));
        assert_eq!(head.header("content-length"), published.file.len().to_string());
        assert_eq!(published.asked(), ["head"]);
    }
}

#[tokio::test]
async fn nobody_is_sent_to_a_file_that_they_may_not_read() {
    let published = Published::new(true, Some(URL)).await;
    for path in [&*published.path, BY_VERSION] {
        for method in [Method::GET, Method::HEAD] {
            let answer = published.registry.request(method, path).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (401, ""));
        }
        let answer = published.registry.get(path).token("nonsense").await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (401, ""));
        assert_eq!(published.asked(), Vec::<String>::new());
        assert_leads_elsewhere(&published.registry.get(path).token(&published.registry.bob).await);
        assert_eq!(published.asked(), [LOCATION]);
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_the_fault_of_the_server() {
    let published = Published::new(false, Some("https://h/\r\nset-cookie: x")).await;
    let answer = published.registry.get(&published.path).await;
    let id = answer.header("x-request-id").to_owned();
    answer.assert_plain(500, &format!("internal error (request {id})"));
    assert_eq!(answer.header("location"), "");
}

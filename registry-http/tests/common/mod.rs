//! A registry over memory backends, and requests to it without a server.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use registry_core::{
    CrateStore, Index, Login, Registry, RegistryConfig,
    auth::{NewToken, Token, TokenAuthenticator, TokenStore as _},
    conformance::fixture,
    memory::{MemoryCrateStore, MemoryIndex, MemoryTokens},
    record::Timestamp,
    registry::RegistryBuilder,
    store::{ByteRange, CrateBody, CrateFile, CrateKey, StoreError, StoredCrate, StoredCrates},
};
use registry_http::RegistryService;
use tower_service::Service as _;

pub const BASE: &str = "http://registry.test/main";

/// A service with two users, and the backends behind it.
pub struct Fixture {
    pub service: RegistryService,
    pub index: MemoryIndex,
    pub crates: MemoryCrateStore,
    /// A token of alice's.
    pub alice: String,
    /// A token of bob's.
    pub bob: String,
}

impl Fixture {
    /// Everybody reads.
    pub async fn public() -> Self {
        Self::with(|config| config, |builder| builder).await
    }

    /// Every read needs a token.
    pub async fn private() -> Self {
        Self::with(|config| config.with_auth_required(true), |builder| builder).await
    }

    pub async fn with(
        configure: impl FnOnce(RegistryConfig) -> RegistryConfig,
        build: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
    ) -> Self {
        Self::over(configure, build, |crates| crates).await
    }

    /// With a layer over the crate store.
    pub async fn over<S: CrateStore>(
        configure: impl FnOnce(RegistryConfig) -> RegistryConfig,
        build: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
        layer: impl FnOnce(MemoryCrateStore) -> S,
    ) -> Self {
        Self::over_both(configure, build, |index| index, layer).await
    }

    /// With a layer over the index and one over the crate store.
    pub async fn over_both<I: Index, S: CrateStore>(
        configure: impl FnOnce(RegistryConfig) -> RegistryConfig,
        build: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
        over_index: impl FnOnce(MemoryIndex) -> I,
        layer: impl FnOnce(MemoryCrateStore) -> S,
    ) -> Self {
        let (index, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
        let tokens = MemoryTokens::new();
        let alice = token(&tokens, "alice").await;
        let bob = token(&tokens, "bob").await;
        let config = configure(RegistryConfig::new(BASE).unwrap());
        let (over_index, over_crates) = (over_index(index.clone()), layer(crates.clone()));
        let builder = Registry::builder(config, over_index, over_crates)
            .authenticator(TokenAuthenticator::new(tokens));
        let service = RegistryService::new(build(builder).build());
        Self { service, index, crates, alice, bob }
    }

    /// Sends a request of this method to this path.
    pub fn request(&self, method: Method, path: &str) -> Call {
        let request = Request::builder().method(method).uri(path);
        Call { service: self.service.clone(), request, body: Bytes::new() }
    }

    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    /// Publishes as alice.
    pub async fn publish(&self, name: &str, version: &str) -> Answer {
        self.request(Method::PUT, "/api/v1/crates/new")
            .token(&self.alice)
            .body(fixture::publish_body(name, version))
            .await
    }
}

async fn token(tokens: &MemoryTokens, login: &str) -> String {
    let token = Token::generate().unwrap();
    let new = NewToken::new(&Login::new(login).unwrap(), &token.digest(), Timestamp(0));
    tokens.create(&new).await.unwrap();
    token.expose().to_owned()
}

/// A request that is being put together. Awaiting it sends it.
pub struct Call {
    service: RegistryService,
    request: http::request::Builder,
    body: Bytes,
}

impl Call {
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", token)
    }

    /// What the host has put beside the request.
    pub fn extension(mut self, extension: impl Clone + Send + Sync + 'static) -> Self {
        self.request = self.request.extension(extension);
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Answer>>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = self.request.body(Full::new(self.body)).unwrap();
            let secrets = secrets(request.headers());
            let (parts, body) = self.service.call(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let answer = Answer { status: parts.status, headers: parts.headers, body };
            let told = format!("{:?}{}", answer.headers, String::from_utf8_lossy(&answer.body));
            assert!(!secrets.iter().any(|secret| told.contains(secret)), "{told}");
            answer
        })
    }
}

/// What no answer may repeat. Shorter words are somewhere by chance.
fn secrets(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("authorization").iter().filter_map(|value| value.to_str().ok());
    let words = values.flat_map(str::split_ascii_whitespace);
    words.filter(|word| word.len() >= 10).map(str::to_owned).collect()
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body of a success of the web API.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header that is there at most once; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    /// Asserts a refusal of the web API, to the letter.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, detail: &str) {
        let escaped = detail.replace('\\', "\\\\").replace('"', "\\\"");
        let expected = format!("{{\"errors\":[{{\"detail\":\"{escaped}\"}}]}}");
        assert_eq!((self.status.as_u16(), self.text()), (status, &*expected));
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
    }

    /// Asserts a refusal of the index or of a download, to the letter.
    #[track_caller]
    pub fn assert_plain(&self, status: u16, line: &str) {
        assert_eq!((self.status.as_u16(), self.text()), (status, &*format!("{line}\n")));
        assert_eq!(self.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(self.header("cache-control"), "no-store");
    }

    /// Asserts success of the web API, to the letter.
    #[track_caller]
    pub fn assert_ok(&self, body: &str) {
        assert_eq!((self.status.as_u16(), self.text()), (200, body));
        assert_eq!(self.header("content-type"), "application/json");
    }
}

pub const PUBLISHED: &str =
    r#"{"warnings":{"invalid_categories":[],"invalid_badges":[],"other":[]}}"#;

/// Says of every file that it is elsewhere, whether it is there or not, as a signer of URLs does.
#[derive(Debug)]
pub struct Elsewhere(pub MemoryCrateStore);

#[async_trait::async_trait]
impl CrateStore for Elsewhere {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.0.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        self.0.get(key, range).await
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.0.head(key).await
    }

    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(Some("http://s/".into()))
    }

    fn list(&self) -> StoredCrates<'_> {
        self.0.list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.0.ready().await
    }
}

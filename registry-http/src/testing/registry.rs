use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Full};
use registry_core::{
    BoxError, Login,
    auth::{TokenCaller, TokenRequest, Tokens},
    memory::MemoryIndex,
};

use super::{
    block_on::block_on,
    builder::TestRegistryBuilder,
    delayed::DelayedIndex,
    fault::{Fault, Faults, On},
    server::Server,
    test_crate::TestCrate,
};
use crate::{body::Body, route, service::RegistryService};

/// Under which name cargo knows the registry.
pub(super) const NAME: &str = "test";
/// Who owns what is seeded.
pub(super) const USER: &str = "tester";

/// A registry in memory, for a test. The [page of the module](super) shows what it does.
///
/// What it serves ends, with every connection, when it is dropped.
pub struct TestRegistry {
    shared: Arc<Shared>,
    _server: Option<Server>,
}

/// A request, and the answer to it but for its body.
#[derive(Debug)]
pub struct Exchange {
    /// The request. Its `Authorization` header does not print.
    pub request: Request<Bytes>,
    /// Status and headers of the answer.
    pub response: Response<()>,
}

impl TestRegistry {
    /// A registry on a free port of 127.0.0.1, that everybody may read.
    ///
    /// # Panics
    /// If the system gives no socket or no thread.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A registry that answers what [`handle`](Self::handle) is given, and listens nowhere.
    ///
    /// # Panics
    /// If the system gives no random bytes.
    pub fn without_socket() -> Self {
        Self::builder().without_socket()
    }

    /// A registry of another kind.
    pub fn builder() -> TestRegistryBuilder {
        TestRegistryBuilder::new()
    }

    pub(super) fn new(shared: Arc<Shared>, server: Option<Server>) -> Self {
        Self { shared, _server: server }
    }

    /// The URL of the index, as clients configure it: `sparse+http://127.0.0.1:…/index/`.
    pub fn index_url(&self) -> String {
        self.shared.service.registry().config().index_url()
    }

    /// A token of the user `tester`, who owns the crates that were added.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// A new token of a user, who need not be known.
    ///
    /// # Panics
    /// If nobody can have the login, or the system gives no random bytes.
    pub fn token_of(&self, login: &str) -> String {
        issue(&self.shared.tokens, &Login::new(login).expect("a login"))
    }

    /// A `config.toml` by which cargo knows the registry as `test`, with [`token`](Self::token).
    pub fn config_toml(&self) -> String {
        format!(
            "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n\n\
             [registries.{NAME}]\nindex = \"{}\"\ntoken = \"{}\"\n",
            self.index_url(),
            self.token(),
        )
    }

    /// Adds a library of this name, version and `src/lib.rs`, without dependencies.
    ///
    /// # Panics
    /// If the registry refuses it.
    pub fn publish(&self, name: &str, version: &str, source: &str) {
        self.add(TestCrate::new(name, version).source(source));
    }

    /// Adds a crate, or a version of one. No fault happens to it.
    ///
    /// # Panics
    /// If the registry refuses it.
    pub fn add(&self, it: TestCrate) {
        let body = it.publish_body(&self.index_url());
        self.write(Method::PUT, "/api/v1/crates/new", body);
        if it.yanked {
            self.yank(&it.name, &it.version);
        }
    }

    /// Yanks a version.
    ///
    /// # Panics
    /// If there is none.
    pub fn yank(&self, name: &str, version: &str) {
        let path = format!("/api/v1/crates/{name}/{version}/yank");
        self.write(Method::DELETE, &path, Bytes::new());
    }

    fn write(&self, method: Method, path: &str, body: Bytes) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(AUTHORIZATION, self.token()).body(Full::new(body));
        let answer = block_on(async {
            let request = request.expect("a name and a version are no path");
            let (parts, body) = self.shared.service.handle(request).await.into_parts();
            (parts.status, body.collect().await.map(|body| body.to_bytes()).unwrap_or_default())
        });
        let text = String::from_utf8_lossy(&answer.1);
        assert_eq!(answer.0, StatusCode::OK, "{path} was refused: {text}");
    }

    /// Has something go wrong with the next requests of this kind, as many as `times` says: with
    /// [`usize::MAX`], with all. Of several faults of one request, the one injected first happens.
    pub fn inject(&self, on: On, fault: Fault, times: usize) {
        self.shared.faults.add(on, fault, times);
    }

    /// From now on, what is published or yanked shows in the index only after its index file was
    /// asked for this many times. With 0, as before any call: at once, also what was to show later.
    pub fn delay_index(&self, polls: usize) {
        self.shared.index.delay(polls);
    }

    /// Takes back all faults that have not happened yet, and the delay of the index.
    pub fn heal(&self) {
        self.shared.faults.clear();
        self.shared.index.delay(0);
    }

    /// What was asked and answered since the last call, but for what was done by the methods here.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        mem::take(&mut *self.shared.exchanges())
    }

    /// Answers a request, as one that comes by a socket. Needs no runtime.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        self.shared.handle(request).await
    }

    /// The service without faults, and the registry in it.
    pub fn service(&self) -> &RegistryService {
        &self.shared.service
    }
}

impl fmt::Debug for TestRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.index_url();
        f.debug_struct("TestRegistry").field("index_url", &url).finish_non_exhaustive()
    }
}

/// A new token.
pub(super) fn issue(tokens: &Tokens, login: &Login) -> String {
    let issued = block_on(tokens.issue(TokenCaller::Operator, &TokenRequest::new(login)));
    issued.expect("memory takes every token").token.expose().to_owned()
}

/// What the thread that serves has in common with the test.
pub(super) struct Shared {
    service: RegistryService,
    index: DelayedIndex<MemoryIndex>,
    tokens: Tokens,
    token: String,
    faults: Faults,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Shared {
    pub(super) fn new(
        service: RegistryService,
        index: DelayedIndex<MemoryIndex>,
        tokens: Tokens,
        token: String,
    ) -> Self {
        let (faults, exchanges) = (Faults::default(), Mutex::default());
        Self { service, index, tokens, token, faults, exchanges }
    }

    fn exchanges(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        let (mut parts, body) = request.into_parts();
        // Of who has left before the end, the beginning is of no use.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let mut seen = Request::from_parts(parts.clone(), body.clone());
        for (name, value) in seen.headers_mut() {
            value.set_sensitive(name == AUTHORIZATION);
        }
        let route = route::parse(&parts.method, parts.uri.path()).ok();
        let fault = route.and_then(|route| self.faults.take(&route));
        let response = match fault {
            None => self.service.handle(Request::from_parts(parts, Full::new(body))).await,
            Some(fault) => match fault.instead() {
                Some(response) => response,
                None => {
                    fault.prepare(&mut parts.headers);
                    let request = Request::from_parts(parts, Full::new(body));
                    fault.spoil(self.service.handle(request).await).await
                }
            },
        };
        let mut answered = Response::new(());
        *answered.status_mut() = response.status();
        *answered.headers_mut() = response.headers().clone();
        self.exchanges().push(Exchange { request: seen, response: answered });
        response
    }
}

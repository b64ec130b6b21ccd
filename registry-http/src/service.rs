//! The service: one request in, one answer out.

mod caller;

use std::{
    borrow::Cow,
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderValue, Method, Request, Response, Version,
    header::{CONNECTION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    request::Parts,
};
use http_body::Body as HttpBody;
use registry_core::{
    BoxError, CrateName, Registry, RegistryConfig,
    audit::AuditEntry,
    auth::{Caller, Credential, CredentialForms, RequestId},
    limits::RequestKind,
    store::CrateKey,
};
use tower_service::Service;
use tracing::Instrument as _;

#[cfg(feature = "compression")]
use crate::compression::{Compression, is_compressed};
use crate::{
    body::Body,
    caching,
    catch_panic::CatchPanic,
    crates::{self, OwnerChange},
    download, index, keys, listing,
    me::{self, RegistryName, RegistryNameError},
    metrics::{Answering, Metrics},
    path_token,
    peer::{Peer, PeerAddress, TrustedProxies},
    proxy_user::ProxyUserHeaders,
    publish,
    request_id::{self, RequestIds},
    respond::{Error, Shape},
    route::{self, Needs, NoRoute, Route},
    span, tokens,
    trace_parent::TraceParent,
    trusted,
};

/// A registry as a service, to be mounted in any HTTP server.
///
/// Clones share everything and are cheap. The service never fails and is always ready; it reads a
/// request's body only where the route has one, and only as fast as it can be checked.
#[derive(Clone, Debug)]
pub struct RegistryService(Arc<Shared>);

#[derive(Clone, Debug)]
struct Shared {
    registry: Registry,
    prefix: Arc<str>,
    name: Option<RegistryName>,
    credential_forms: CredentialForms,
    proxy_users: Option<Arc<ProxyUserHeaders>>,
    forwarded_url: Option<Arc<TrustedProxies>>,
    request_ids: Arc<RequestIds>,
    metrics: Arc<Metrics>,
    #[cfg(feature = "compression")]
    compression: Option<Compression>,
}

impl RegistryService {
    /// The service of a registry, at the root of the paths that it is given.
    pub fn new(registry: Registry) -> Self {
        Self(Arc::new(Shared {
            registry,
            prefix: "".into(),
            name: None,
            metrics: Arc::new(Metrics::new(RegistryName::default().shared())),
            credential_forms: CredentialForms::default(),
            proxy_users: None,
            forwarded_url: None,
            request_ids: Arc::new(RequestIds::new()),
            #[cfg(feature = "compression")]
            compression: None,
        }))
    }

    fn shared_mut(&mut self) -> &mut Shared {
        Arc::make_mut(&mut self.0)
    }

    /// Answers below `prefix`, say `/main`, and with 404 elsewhere. Default: none.
    ///
    /// For servers that hand on the whole path. A framework that strips the path it mounts a
    /// service at, as axum's `nest_service` does, needs none.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.shared_mut().prefix = match prefix.trim_matches('/') {
            "" => "".into(),
            prefix => format!("/{prefix}").into(),
        };
        self
    }

    /// Under which name users are told to configure the registry. Default: that of its
    /// [prefix](Self::with_prefix), `acme-prod` at `/acme/prod`, or `main` if it has none. Metrics have
    /// it, too, or `main` unless it is said here.
    ///
    /// # Errors
    /// [`RegistryNameError`] if cargo would not take the name: it has to consist of ASCII letters,
    /// digits, `-` and `_`.
    pub fn with_name(mut self, name: &str) -> Result<Self, RegistryNameError> {
        let name = RegistryName::new(name)?;
        self.shared_mut().metrics = Arc::new(Metrics::new(name.shared()));
        self.shared_mut().name = Some(name);
        Ok(self)
    }

    /// In which ways a credential may come. Default: in the `Authorization` header, as anything that
    /// is one; not in the path.
    ///
    /// A token in the path stands before the [prefix](Self::with_prefix): `/t/TOKEN/main/index/…`.
    /// For that, the registry's public URL has to end in the prefix.
    #[must_use]
    pub fn with_credential_forms(mut self, forms: CredentialForms) -> Self {
        self.shared_mut().credential_forms = forms;
        self
    }

    /// Takes the word of a proxy in front for who is asking. Default: of none.
    #[must_use]
    pub fn with_proxy_users(mut self, headers: ProxyUserHeaders) -> Self {
        self.shared_mut().proxy_users = Some(Arc::new(headers));
        self
    }

    /// Takes the word of these proxies for the URL under which clients reach them. Default: of none,
    /// and the registry's configuration counts.
    ///
    /// They say it in `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix`, of each of which the last
    /// value counts, or in `host` and `proto` of `Forwarded`; without a host they say nothing. Each
    /// proxy has to set all of them, or take them off what comes from outside. They count only in
    /// requests with [`FromTrustedProxy`](crate::FromTrustedProxy); nobody's `Host` ever does. The
    /// path of the registry's own URL stays, behind what the proxy strips: [`RegistryConfig::at_root`].
    ///
    /// What is answered with addresses in it is then kept in no cache. Most proxies say what the client
    /// has said as `Host`: so nobody gets rights by such a URL. Signed tokens and pages of the
    /// registry's own are held to its configuration.
    #[must_use]
    pub fn with_forwarded_url(mut self, proxies: TrustedProxies) -> Self {
        self.shared_mut().forwarded_url = Some(Arc::new(proxies));
        self
    }

    /// Compresses index files and the larger answers of the web API for who asks for it, by zstd,
    /// brotli or gzip. Default: nothing is compressed.
    ///
    /// Several services may have clones of one [`Compression`], to share what it keeps.
    #[cfg(feature = "compression")]
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.shared_mut().compression = Some(compression.beside());
        self
    }

    /// The registry itself.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Answers a request: what the [`Service`] does, without a trait to import.
    ///
    /// Dropping the future is safe at any point: a write is done or not, never half.
    pub fn handle<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        self.handle_from(Peer::of(request.extensions()), request)
    }

    /// Answers a request that comes from `peer`, whatever its extensions say of that.
    ///
    /// Dropping the future is safe at any point: a write is done or not, never half.
    pub async fn handle_from<B>(&self, peer: Peer, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        let (parts, body) = request.into_parts();
        let trace = TraceParent::of(&parts.headers);
        let Peer { address, from_trusted_proxy, request_id } = peer;
        let id = request_id.unwrap_or_else(|| self.0.request_ids.of(&parts.headers));
        let asked = Asked { parts, address, from_trusted_proxy, id };
        let Asked { parts, id, .. } = &asked;
        let target = self.target(parts);
        let route = route(&parts.method, target.as_ref());
        let metrics = self.0.metrics.of(route.as_ref().map_or(Route::NONE, Route::name));
        let answering = Answering::begin(metrics);
        let span = span::of_request(id.as_str(), trace.as_ref(), parts, route.as_ref());
        let body = pin!(body);
        let mut body = pin!(metrics.receive(body));
        let answer = {
            let answer = pin!(self.answer(target.as_ref(), &route, &asked, body.as_mut()));
            CatchPanic(answer.instrument(span.clone())).await
        };
        answering.decided(&answer);
        let mut response = answer.unwrap_or_else(|error| {
            let shape = Shape::of(target.as_ref().map_or("", |target| target.path));
            let config = self.config(&asked);
            let mut response =
                span.in_scope(|| error.into_response(shape, Some(&config), id.as_str()));
            // What is left of the body must not be taken for the next request.
            if parts.version <= Version::HTTP_11 && !body.is_end_stream() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        });
        if target.is_some_and(|target| target.token.is_some()) {
            caching::keep_private(&mut response);
        }
        finish(&mut response, &parts.method, id.as_str());
        let elapsed = answering.end(&mut response);
        span::end(&span, &response, elapsed);
        response
    }

    /// Under which addresses the client knows the registry, if a proxy says that they are others than
    /// those of its configuration.
    fn forwarded(&self, asked: &Asked) -> Option<RegistryConfig> {
        let proxies = self.0.forwarded_url.as_ref().filter(|_| asked.from_trusted_proxy)?;
        let own = self.0.registry.config();
        let root = proxies.root(&asked.parts.headers, own.api().starts_with("https:"))?;
        own.at_root(&root.to_string()).ok()
    }

    fn config(&self, asked: &Asked) -> Cow<'_, RegistryConfig> {
        self.forwarded(asked).map_or(Cow::Borrowed(self.0.registry.config()), Cow::Owned)
    }

    /// Below which path it answers.
    pub(crate) fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// What the path says; `None` if it is not below the mount point.
    fn target<'a>(&self, parts: &'a Parts) -> Option<Target<'a>> {
        let path = parts.uri.path();
        let (token, path) = match path_token::split(path).filter(|_| self.0.credential_forms.path) {
            Some((token, rest)) => (Some(token), rest),
            None => (None, path),
        };
        let path = path.strip_prefix(&*self.0.prefix)?;
        path.starts_with('/').then_some(Target { path, token })
    }

    async fn answer<B>(
        &self,
        target: Option<&Target<'_>>,
        route: &Result<Route, NoRoute>,
        asked: &Asked,
        body: Pin<&mut B>,
    ) -> Result<Response<Body>, Error>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        let route = route.as_ref().map_err(NoRoute::clone)?;
        let token = target.and_then(|target| target.token.as_ref());
        let answer = self.dispatch(route, token, asked, body).await;
        #[cfg(feature = "compression")]
        let answer = match (&self.0.compression, answer) {
            (Some(compression), Ok(response)) if is_compressed(route, token.is_some()) => {
                Ok(compression.apply(route, &asked.parts, response).await)
            }
            (_, answer) => answer,
        };
        answer.map_err(|error| match route.crate_name() {
            Some(name) => error.spelled(name),
            None => error,
        })
    }

    async fn dispatch<B>(
        &self,
        route: &Route,
        token: Option<&Credential>,
        asked: &Asked,
        body: Pin<&mut B>,
    ) -> Result<Response<Body>, Error>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        let caller = match route.needs() {
            Needs::Nothing => asked.nobody(),
            needs => match self.caller(needs, token, asked).await {
                Ok(caller) => caller,
                Err(error) => {
                    Box::pin(self.note_refusal(route, &asked.nobody(), &error)).await;
                    return Err(error);
                }
            },
        };
        let admitted = match route.kind() {
            Some(kind) => self.0.registry.admit(&caller, kind),
            None => Ok(()),
        };
        let answer = match (admitted, route) {
            (Err(error), _) => Err(error.into()),
            // What is asked for most is not moved about with room for the largest of all answers.
            (Ok(()), Route::IndexFile(name)) => {
                index::file(&self.0.registry, &caller, name, &asked.parts.headers).await
            }
            (Ok(()), _) => Box::pin(self.answer_to(route, &caller, token, asked, body)).await,
        };
        // Of access given and taken the registry knows nothing at all.
        if let Err(error) = &answer
            && (error.is_of_transport() || route.kind() == Some(RequestKind::Tokens))
        {
            Box::pin(self.note_refusal(route, &caller, error)).await;
        }
        answer
    }

    /// Adds a refusal to the audit trail of which the registry does not know.
    async fn note_refusal(&self, route: &Route, caller: &Caller, error: &Error) {
        if let Some(action) = route.audited()
            && error.is_refusal()
        {
            let mut entry = AuditEntry::refused(caller, action, &error.to_string());
            entry.crate_name = route.crate_name().map(CrateName::canonical);
            entry.version = route.version().cloned();
            self.0.registry.audit(entry).await;
        }
    }

    async fn answer_to<B>(
        &self,
        route: &Route,
        caller: &Caller,
        token: Option<&Credential>,
        asked: &Asked,
        body: Pin<&mut B>,
    ) -> Result<Response<Body>, Error>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        let Asked { parts, id, .. } = asked;
        let (registry, headers) = (&self.0.registry, &parts.headers);
        let query = parts.uri.query().unwrap_or_default();
        match route {
            Route::Me => {
                let config = self.config(asked).into_owned();
                let config = config.with_auth_required(registry.auth_required());
                let name = self.0.name.clone();
                let name = name.unwrap_or_else(|| RegistryName::of_path(&self.0.prefix));
                let page = me::page(&config, &name, headers, parts.uri.query());
                Ok(self.with_addresses(page))
            }
            Route::User => tokens::user(caller),
            Route::Tokens => tokens::list(registry, caller).await,
            Route::NewToken => tokens::create(registry, caller, headers, body).await,
            Route::Token(id) => tokens::show(registry, caller, *id).await,
            Route::RevokeToken(id) => tokens::revoke(registry, caller, *id).await,
            Route::RevokeCurrentToken => tokens::revoke_current(registry, caller).await,
            Route::Config => {
                let config = match (token, self.forwarded(asked)) {
                    (None, None) => index::config(registry, caller).await?,
                    (None, Some(config)) => {
                        let config = config.with_auth_required(registry.auth_required());
                        index::config_of(registry, caller, &config).await?
                    }
                    (Some(token), _) => {
                        let config = self.config(asked).with_token_in_path(&self.0.prefix, token);
                        let config = config.ok_or(NoRoute::NotFound)?;
                        index::config_of(registry, caller, &config).await?
                    }
                };
                Ok(self.with_addresses(config))
            }
            Route::IndexFile(name) => index::file(registry, caller, name, headers).await,
            Route::Download(name, version, checksum) => {
                let (version, checksum) = (version.clone(), *checksum);
                let key = CrateKey { name: name.clone(), version, checksum };
                download::by_checksum(registry, caller, &key, name, parts, id).await
            }
            Route::DownloadByVersion(name, version) => {
                download::by_version(registry, caller, name, version, parts, id).await
            }
            Route::Search => crates::search(registry, caller, query).await,
            Route::Versions(name) => listing::versions(registry, caller, name, query).await,
            Route::Publish => {
                let alias = self.forwarded(asked).map(|config| config.index_url());
                publish::publish(registry, caller.clone(), alias, headers, body).await
            }
            Route::Yank(name, version) => {
                crates::set_yanked(registry, caller, name, version, true).await
            }
            Route::Unyank(name, version) => {
                crates::set_yanked(registry, caller, name, version, false).await
            }
            Route::Keys => keys::list(registry, caller).await,
            Route::AddKey => keys::register(registry, caller, headers, body).await,
            Route::RevokeKey(id) => keys::revoke(registry, caller, id).await,
            Route::ExchangeToken => trusted::exchange(registry, caller, headers, body).await,
            Route::RevokeExchangedToken => trusted::revoke(registry, caller).await,
            Route::TrustedPublishers(kind) => trusted::list(registry, caller, *kind, query).await,
            Route::AddTrustedPublisher(kind) => {
                trusted::add(registry, caller, *kind, headers, body).await
            }
            Route::RemoveTrustedPublisher(id) => trusted::remove(registry, caller, *id).await,
            Route::Owners(name) => crates::owners(registry, caller, name).await,
            Route::AddOwners(name) => {
                let add = OwnerChange::Add;
                crates::change_owners(registry, caller, name, add, headers, body).await
            }
            Route::RemoveOwners(name) => {
                let remove = OwnerChange::Remove;
                crates::change_owners(registry, caller, name, remove, headers, body).await
            }
        }
    }

    /// The same for caches, if there are addresses in it that may depend on who has sent the request.
    fn with_addresses(&self, mut response: Response<Body>) -> Response<Body> {
        if self.0.forwarded_url.is_some() {
            caching::keep_nowhere(&mut response);
        }
        response
    }
}

/// What every answer has, and what no answer to `HEAD` has.
pub(crate) fn finish(response: &mut Response<Body>, method: &Method, id: &str) {
    if *method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let id = HeaderValue::from_str(id).expect("an id is letters, digits, `.`, `_` and `-`");
    headers.insert(request_id::HEADER, id);
}

/// A request without its body, from where it comes, and the id under which it is answered.
struct Asked {
    parts: Parts,
    address: Option<PeerAddress>,
    from_trusted_proxy: bool,
    id: RequestId,
}

impl Asked {
    /// Who is asking, without a credential.
    fn nobody(&self) -> Caller {
        let address = self.address.map(|PeerAddress(address)| address.to_canonical());
        Caller { request: Some(self.id.clone()), address, ..Caller::anonymous() }
    }
}

/// What a path says.
struct Target<'a> {
    /// The path below the mount point.
    path: &'a str,
    /// The token in front of it.
    token: Option<Credential>,
}

/// What is asked for there.
fn route(method: &Method, target: Option<&Target<'_>>) -> Result<Route, NoRoute> {
    route::parse(method, target.ok_or(NoRoute::NotFound)?.path)
}

/// What [`RegistryService`] gives as a [`Service`].
pub type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>>;

impl<B> Service<Request<B>> for RegistryService
where
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await) })
    }
}

//! Several registries in one service: which one a request is for.

mod place;

use std::{borrow::Cow, collections::HashMap, convert::Infallible, fmt, pin::pin, sync::Arc, task};

use async_trait::async_trait;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::CONNECTION, uri::PathAndQuery,
};
use http_body::Body as HttpBody;
use registry_core::{BoxError, RegistryName, auth::RequestId};
use tower_service::Service;

pub use self::place::{HostName, InvalidHostName, RegistryPlace};
use crate::{
    body::Body,
    catch_panic::CatchPanic,
    metrics::Metrics,
    peer::Peer,
    request_id::RequestIds,
    respond::{self, Error, Shape},
    route::{NoRoute, Route},
    service::{RegistryService, ResponseFuture, finish},
};

/// Finds the registry that is at a place, at the time of each request: registries may come and go.
///
/// A map is one whose registries stay:
///
/// ```
/// # use std::collections::HashMap;
/// # use registry_core::{
/// #     Registry, RegistryConfig, RegistryName,
/// #     memory::{MemoryCrateStore, MemoryIndex},
/// # };
/// # use registry_http::{Registries, RegistryPlace, RegistryService};
/// # fn service(url: &str) -> Result<RegistryService, Box<dyn std::error::Error>> {
/// #     let config = RegistryConfig::new(url)?;
/// #     let (index, crates) = (MemoryIndex::default(), MemoryCrateStore::default());
/// #     Ok(RegistryService::new(Registry::builder(config, index, crates).build()))
/// # }
/// let map = HashMap::from([
///     (RegistryName::new("tools")?.into(), service("https://crates.example.com/tools")?),
///     (RegistryName::new("games")?.into(), service("https://crates.example.com/games")?),
/// ]);
/// let registries = Registries::by_name(map);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait ResolveRegistry: fmt::Debug + Send + Sync + 'static {
    /// The registry at a place; `None` if there is none, which is answered with 404.
    ///
    /// Asked at every request, so it should remember. The public URL of the registry has to lead to
    /// the place; its [prefix](RegistryService::with_prefix) is seen to, where the place is a path, and
    /// costs least if it is right already. An error is answered with 503.
    async fn resolve(&self, place: &RegistryPlace) -> Result<Option<RegistryService>, BoxError>;

    /// That registry, if it is at hand. `None` says nothing. Default: `None`.
    ///
    /// Asked first, so that a request to a registry that is known takes no future of its own.
    fn try_resolve(&self, place: &RegistryPlace) -> Option<RegistryService> {
        let _ = place;
        None
    }
}

#[async_trait]
impl ResolveRegistry for HashMap<RegistryPlace, RegistryService> {
    async fn resolve(&self, place: &RegistryPlace) -> Result<Option<RegistryService>, BoxError> {
        Ok(self.try_resolve(place))
    }

    fn try_resolve(&self, place: &RegistryPlace) -> Option<RegistryService> {
        self.get(place).cloned()
    }
}

#[async_trait]
impl<R: ResolveRegistry + ?Sized> ResolveRegistry for Arc<R> {
    async fn resolve(&self, place: &RegistryPlace) -> Result<Option<RegistryService>, BoxError> {
        (**self).resolve(place).await
    }

    fn try_resolve(&self, place: &RegistryPlace) -> Option<RegistryService> {
        (**self).try_resolve(place)
    }
}

/// Several registries as one service: by the first segment of the path, `/NAME/…`, by the first two,
/// `/OWNER/NAME/…`, or by the host.
///
/// A token in the path stands in front of all that, `/t/TOKEN/NAME/…`. Of a name only its one
/// spelling is found: encoded, or in other letters, it is no name. Slashes that are repeated count as
/// one. What a registry tells of itself, such as in `config.json`, is its own configuration, or what a
/// [trusted proxy](RegistryService::with_forwarded_url) says: the host or path of a request decides
/// who answers it, and nothing else.
///
/// Clones share everything and are cheap. The service never fails and is always ready.
#[derive(Clone, Debug)]
pub struct Registries {
    resolver: Arc<dyn ResolveRegistry>,
    by: By,
    prefix: Arc<str>,
    request_ids: Arc<RequestIds>,
    /// Of requests that no registry answers.
    metrics: Arc<Metrics>,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Name,
    OwnerAndName,
    Host,
}

impl Registries {
    /// Those at `/NAME/`.
    pub fn by_name(resolver: impl ResolveRegistry) -> Self {
        Self::new(By::Name, resolver)
    }

    /// Those at `/OWNER/NAME/`.
    pub fn by_owner_and_name(resolver: impl ResolveRegistry) -> Self {
        Self::new(By::OwnerAndName, resolver)
    }

    /// One at each host that the `Host` header, or the target of a request, may name.
    ///
    /// Whoever asks can send any host: it is to be one of those that are known.
    pub fn by_host(resolver: impl ResolveRegistry) -> Self {
        Self::new(By::Host, resolver)
    }

    fn new(by: By, resolver: impl ResolveRegistry) -> Self {
        let request_ids = Arc::new(RequestIds::new());
        let metrics = Arc::new(Metrics::new(Metrics::NO_REGISTRY));
        Self { resolver: Arc::new(resolver), by, prefix: "".into(), request_ids, metrics }
    }

    /// Where the registries are, say below `/crates`, for servers that hand on the whole path. Default:
    /// at the root. Those by host have prefixes of their own.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix = match prefix.trim_matches('/') {
            "" => "".into(),
            prefix => format!("/{prefix}").into(),
        };
        self
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
    pub async fn handle_from<B>(&self, peer: Peer, mut request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Error: Into<BoxError>>,
    {
        let target = self.target(&request);
        let shape = target.as_ref().map_or(Shape::Api, |target| target.shape);
        let found = CatchPanic(pin!(self.service(target))).await;
        let error = match found {
            Ok((service, uri)) => {
                if let Some(uri) = uri {
                    *request.uri_mut() = uri;
                }
                return service.handle_from(peer, request).await;
            }
            Err(error) => error,
        };
        let id = peer.request_id.unwrap_or_else(|| self.request_id(request.headers()));
        let response = error.into_response(shape, None, id.as_str());
        let mut response = self.without_registry(request.method(), &id, response);
        // What is left of the body must not be taken for the next request.
        if request.version() <= Version::HTTP_11 && !request.body().is_end_stream() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The id of a request with these headers: the one it came with, that of its trace, or a new one.
    ///
    /// For hosts that have something to say of a request themselves; it belongs in
    /// [`Peer::request_id`] then.
    #[must_use]
    pub fn request_id(&self, headers: &HeaderMap) -> RequestId {
        self.request_ids.of(headers)
    }

    /// An answer that refuses a request for a reason of the host's own, say that there are too many.
    /// `detail` is what cargo shows.
    ///
    /// It is counted with those for which there is no registry. A request that a registry had begun to
    /// answer counts there, too, as `abandoned`. What is to be done about the request's body, and about
    /// the connection, is the host's to say.
    #[must_use]
    pub fn refuse(
        &self,
        method: &Method,
        id: &RequestId,
        status: StatusCode,
        detail: &str,
    ) -> Response<Body> {
        self.without_registry(method, id, respond::refusal(status, detail))
    }

    fn without_registry(
        &self,
        method: &Method,
        id: &RequestId,
        mut response: Response<Body>,
    ) -> Response<Body> {
        finish(&mut response, method, id.as_str());
        self.metrics.of(Route::NONE).count(response.status());
        response
    }

    /// Who answers, and the target of the request if it had another form.
    async fn service(
        &self,
        target: Option<Target<'_>>,
    ) -> Result<(RegistryService, Option<Uri>), Error> {
        let Target { place, prefix, uri, .. } = target.ok_or(NoRoute::NotFound)?;
        let found = match self.resolver.try_resolve(&place) {
            Some(service) => Ok(Some(service)),
            None => self.resolver.resolve(&place).await,
        };
        match found {
            Ok(Some(service)) => Ok(match prefix {
                Some(prefix) if service.prefix() != prefix => (service.with_prefix(&prefix), uri),
                _ => (service, uri),
            }),
            Ok(None) => Err(Error::NotFound { text: format!("there is no registry `{place}`") }),
            Err(error) => Err(Error::Resolver(error)),
        }
    }

    /// What a request says; `None` if no registry can be there.
    fn target<'a, B>(&self, request: &'a Request<B>) -> Option<Target<'a>> {
        let whole = request.uri().path();
        if let By::Host = self.by {
            let place = HostName::of(request)?.into();
            return Some(Target { place, prefix: None, uri: None, shape: Shape::of(whole) });
        }
        // `t` is nobody's name.
        let behind_t = whole.strip_prefix("/t/").and_then(|behind| behind.find('/'));
        let (token, path) = whole.split_at(behind_t.map_or(0, |end| "/t/".len() + end));
        let mut rest = path.strip_prefix(&*self.prefix)?;
        let first = next_name(&mut rest)?;
        let place = match self.by {
            By::OwnerAndName => RegistryPlace::OwnerAndName(first, next_name(&mut rest)?),
            By::Name | By::Host => RegistryPlace::Name(first),
        };
        let given = &path[..path.len() - rest.len()];
        let (prefix, uri) = match given.contains("//") {
            false => (given.into(), None),
            // In the one form that the registry knows.
            true => {
                let prefix = format!("{}/{place}", self.prefix);
                let uri = with_path(request.uri(), &format!("{token}{prefix}{rest}"))?;
                (prefix.into(), Some(uri))
            }
        };
        Some(Target { place, prefix: Some(prefix), uri, shape: Shape::of(rest) })
    }
}

/// What a request says of where the registry is.
struct Target<'a> {
    place: RegistryPlace,
    /// Below which path that is.
    prefix: Option<Cow<'a, str>>,
    /// The request's, if it had the place in another form.
    uri: Option<Uri>,
    shape: Shape,
}

/// The name that a path begins with, which is behind a slash at least; the path is then what is
/// behind the name.
fn next_name(path: &mut &str) -> Option<RegistryName> {
    let behind = path.strip_prefix('/')?.trim_start_matches('/');
    let (name, rest) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    *path = rest;
    RegistryName::new(name).ok()
}

/// The same with another path.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

impl<B> Service<Request<B>> for Registries
where
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let registries = self.clone();
        Box::pin(async move { Ok(registries.handle(request).await) })
    }
}

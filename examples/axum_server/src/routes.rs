//! What is served under which path.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Redirect,
    routing::get,
};
use bytes::Bytes;
use hyper::{Request, Response, service::Service as _};
use hyper_util::service::TowerToHyperService;
use registry_core::BoxError;
use registry_http::{Peer, Registries};

use crate::{answer_body::AnswerBody, slots};

/// The name of the registry that is there by itself, and so the first segment of its paths.
pub(crate) const REGISTRY: &str = "main";

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Routes {
    registries: Registries,
    pages: TowerToHyperService<Router>,
}

impl Routes {
    /// Each page has a path of one segment.
    pub(crate) fn new(registries: Registries, pages: Router) -> Self {
        let pages = TowerToHyperService::new(pages.fallback_service(registries.clone()));
        Self { registries, pages }
    }

    /// Registries are asked directly whatever may be theirs: to find it among the pages would take as
    /// long as most of their answers do.
    pub(crate) async fn answer<B>(
        &self,
        peer: Peer,
        mut request: Request<B>,
    ) -> Response<AnswerBody>
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let path = request.uri().path();
        match path.strip_prefix('/').unwrap_or(path).contains('/') {
            true => self.registries.handle_from(peer, request).await.map(AnswerBody::Registry),
            false => {
                peer.insert_into(request.extensions_mut());
                let Ok(response) = self.pages.call(request).await;
                response.map(AnswerBody::Page)
            }
        }
    }
}

/// The first page. `help` is where people are told how to use a registry.
pub(crate) fn home(help: String) -> Router {
    Router::new().route("/", get(async move || Redirect::temporary(&help)))
}

/// What is said to whoever comes while there is too much to do.
pub(crate) fn busy() -> Response<AnswerBody> {
    unavailable("server is busy, try again")
}

/// A refusal of what may succeed in a while.
pub(crate) fn unavailable(detail: &str) -> Response<AnswerBody> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, detail);
    let later = HeaderValue::from(slots::PATIENCE.as_secs());
    response.headers_mut().insert(header::RETRY_AFTER, later);
    response
}

/// A refusal as cargo reads it. Source: Cargo book, "Web API".
pub(crate) fn error(status: StatusCode, detail: &str) -> Response<AnswerBody> {
    let body = serde_json::json!({ "errors": [{ "detail": detail }] });
    let mut response = Response::new(Body::from(body.to_string()).into());
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

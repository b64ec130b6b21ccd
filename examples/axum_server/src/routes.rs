//! What is served under which path.

use axum::{
    Router,
    http::{HeaderMap, Method, header},
    response::Redirect,
    routing::get,
};
use bytes::Bytes;
use hyper::{Request, Response, service::Service as _};
use hyper_util::service::TowerToHyperService;
use registry_core::{BoxError, auth::RequestId};
use registry_http::{Peer, Registries};

use crate::{answer_body::AnswerBody, refusal::Refusal};

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

    /// The id under which a request with these headers is logged and answered.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> RequestId {
        self.registries.request_id(headers)
    }

    /// Whatever it is that is asked for.
    pub(crate) fn refuse(
        &self,
        method: &Method,
        id: &RequestId,
        refusal: Refusal,
    ) -> Response<AnswerBody> {
        let mut response = self.registries.refuse(method, id, refusal.status(), &refusal.detail());
        if let Some(seconds) = refusal.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.map(AnswerBody::Registry)
    }
}

/// The first page. `help` is where people are told how to use a registry.
pub(crate) fn home(help: String) -> Router {
    Router::new().route("/", get(async move || Redirect::temporary(&help)))
}

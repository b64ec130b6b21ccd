//! What is served under which path.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{Redirect, Response},
    routing::get,
};
use registry_core::{Echo, Registry};
use registry_http::RegistryService;

/// The name of the one registry, and so the first segment of its paths.
pub(crate) const REGISTRY: &str = "main";

pub(crate) fn router(registry: Registry) -> Router {
    let help = registry.config().login_url();
    Router::new()
        .route("/", get(async move || Redirect::temporary(&help)))
        .nest_service(&format!("/{REGISTRY}"), RegistryService::new(registry))
        .fallback(nothing_here)
}

/// Cargo shows the text to who mistyped the URL of the registry.
async fn nothing_here(request: Request) -> Response {
    let path = Echo(request.uri().path());
    error(
        StatusCode::NOT_FOUND,
        &format!("there is nothing at `{path}`; the registry is at `/{REGISTRY}/`"),
    )
}

/// A refusal as cargo reads it. Source: Cargo book, "Web API".
pub(crate) fn error(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "detail": detail }] });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

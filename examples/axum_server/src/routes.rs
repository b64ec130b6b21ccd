//! What is served under which path.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{Redirect, Response},
    routing::get,
};
use registry_http::Registries;

use crate::slots;

/// The name of the registry that is there by itself, and so the first segment of its paths.
pub(crate) const REGISTRY: &str = "main";

/// `help` is where people are told how to use it.
pub(crate) fn router(registries: Registries, help: String) -> Router {
    Router::new()
        .route("/", get(async move || Redirect::temporary(&help)))
        .fallback_service(registries)
}

/// What is said to whoever comes while there is too much to do.
pub(crate) fn busy() -> Response {
    unavailable("server is busy, try again")
}

/// A refusal of what may succeed in a while.
pub(crate) fn unavailable(detail: &str) -> Response {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, detail);
    let later = HeaderValue::from(slots::PATIENCE.as_secs());
    response.headers_mut().insert(header::RETRY_AFTER, later);
    response
}

/// A refusal as cargo reads it. Source: Cargo book, "Web API".
pub(crate) fn error(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "detail": detail }] });
    let mut response = Response::new(Body::from(body.to_string()));
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

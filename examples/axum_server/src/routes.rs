//! What is served under which path.

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::{from_fn, map_request},
    response::{IntoResponse, Redirect},
    routing::get,
};
use registry_core::{Echo, Registry};
use registry_http::RegistryService;

use crate::{body::PunctualBody, log};

/// The name of the one registry, and so the first segment of its paths.
pub(crate) const REGISTRY: &str = "main";

pub(crate) fn router(registry: Registry) -> Router {
    let help = registry.config().login_url();
    Router::new()
        .route("/", get(async move || Redirect::temporary(&help)))
        .nest_service(&format!("/{REGISTRY}"), RegistryService::new(registry))
        .fallback(nothing_here)
        .layer(map_request(async |request: Request| {
            request.map(|body| axum::body::Body::new(PunctualBody::new(body)))
        }))
        .layer(from_fn(log::request))
}

/// Cargo shows `detail` to who mistyped the URL of the registry.
async fn nothing_here(request: Request) -> impl IntoResponse {
    let detail = format!(
        "there is nothing at `{}`; the registry is at `/{REGISTRY}/`",
        Echo(request.uri().path())
    );
    let body = serde_json::json!({ "errors": [{ "detail": detail }] });
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], body.to_string())
}

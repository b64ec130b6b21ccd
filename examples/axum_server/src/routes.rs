//! What is served under which path.

use axum::{Router, response::Redirect, routing::get};
use registry_http::Registries;

/// The name of the registry that is there by itself, and so the first segment of its paths.
pub(crate) const REGISTRY: &str = "main";

/// `help` is where people are told how to use it.
pub(crate) fn router(registries: Registries, help: String) -> Router {
    Router::new()
        .route("/", get(async move || Redirect::temporary(&help)))
        .fallback_service(registries)
}

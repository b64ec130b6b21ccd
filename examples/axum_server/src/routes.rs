//! What is served under which path.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{Redirect, Response},
    routing::get,
};
use registry_core::{Echo, Registry, auth::CredentialForms};
use registry_http::{ProxyUserHeaders, RegistryService, masked_path};

/// The name of the one registry, and so the first segment of its paths.
pub(crate) const REGISTRY: &str = "main";

/// `forms` are the ways in which credentials may come; `proxy_users` says who it is without one.
pub(crate) fn router(
    registry: Registry,
    forms: CredentialForms,
    proxy_users: Option<ProxyUserHeaders>,
) -> Router {
    let help = registry.config().login_url();
    let in_header = CredentialForms { path: false, ..forms };
    let mut service = RegistryService::new(registry).with_credential_forms(in_header);
    if let Some(headers) = proxy_users {
        service = service.with_proxy_users(headers);
    }
    let mut router = Router::new()
        .route("/", get(async move || Redirect::temporary(&help)))
        .nest_service(&format!("/{REGISTRY}"), service.clone())
        .fallback(nothing_here);
    if forms.path {
        // It sees the whole path, since a token stands before the name of the registry.
        let service = service.with_prefix(REGISTRY).with_credential_forms(forms);
        router = router.route_service("/t/{*path}", service);
    }
    router
}

/// Cargo shows the text to who mistyped the URL of the registry.
async fn nothing_here(request: Request) -> Response {
    let path = masked_path(request.uri().path());
    let path = Echo(&path);
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
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

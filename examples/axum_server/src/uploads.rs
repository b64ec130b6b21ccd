//! How many crate files are taken in at a time.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use registry_http::route::{self, Route};
use tokio::{sync::Semaphore, time::timeout};

use crate::routes::{self, REGISTRY};

/// Most publishes at a time. Each holds its crate file in memory until it is stored.
const MAX: usize = 16;
/// Longest wait for another publish to end. Cargo does not repeat a publish by itself, so waiting
/// serves its user better than a refusal.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) struct Uploads(Arc<Semaphore>);

impl Uploads {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX)))
    }
}

/// Lets a publish wait for its turn, before any of its body is read.
pub(crate) async fn in_turn(
    State(Uploads(slots)): State<Uploads>,
    request: Request,
    next: Next,
) -> Response {
    if !is_publish(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let Ok(slot) = timeout(PATIENCE, slots.acquire()).await else {
        let mut busy = routes::error(StatusCode::SERVICE_UNAVAILABLE, "server is busy, try again");
        busy.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        // Its body is still to come.
        busy.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return busy;
    };
    let response = next.run(request).await;
    drop(slot);
    response
}

/// Asks the registry's own router, since a path has more than one spelling.
fn is_publish(method: &Method, path: &str) -> bool {
    let below = path.strip_prefix('/').and_then(|path| path.strip_prefix(REGISTRY));
    below.is_some_and(|path| route::parse(method, path) == Ok(Route::Publish))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_publishes_waits_for_its_turn() {
        for (method, path, expected) in [
            (Method::PUT, "/main/api/v1/crates/new", true),
            (Method::PUT, "/main//api/v1//crates/new", true),
            (Method::PUT, "/main/%61pi/v1/crates/n%65w", true),
            (Method::GET, "/main/api/v1/crates/new", false),
            (Method::PUT, "/main/api/v1/crates/new/owners", false),
            (Method::PUT, "/other/api/v1/crates/new", false),
        ] {
            assert_eq!(is_publish(&method, path), expected, "{method} {path}");
        }
    }
}

//! How many crate files are taken in at a time.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use tokio::{sync::Semaphore, time::timeout};

use crate::routes;

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
    if request.method() != Method::PUT || !request.uri().path().ends_with("/crates/new") {
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

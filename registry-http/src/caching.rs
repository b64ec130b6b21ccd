//! For how long an answer may be kept, and by whom.

use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, VARY},
};
use registry_core::{Registry, auth::Caller};

use crate::body::Body;

/// How long an answer stays right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Freshness {
    /// To be asked about each time: a publish is visible as soon as it is acknowledged.
    AskAgain,
    /// For ever: what has this address never changes.
    Forever,
}

/// Says for how long `response` may be kept; by shared caches only if it is the same for all.
pub(crate) fn set(
    response: &mut Response<Body>,
    freshness: Freshness,
    registry: &Registry,
    caller: &Caller,
) {
    // A caller whose credential counts may have been shown more than others are. Where crates are
    // hidden, what nobody in particular is shown today may be a secret tomorrow.
    let private = registry.auth_required() || registry.hides_crates() || caller.principal.is_some();
    let caching = match (freshness, private) {
        (Freshness::AskAgain, false) => "no-cache",
        (Freshness::AskAgain, true) => "private, no-cache",
        (Freshness::Forever, false) => "public, max-age=31536000, immutable",
        (Freshness::Forever, true) => "private, max-age=31536000, immutable",
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if private {
        response.headers_mut().insert(VARY, HeaderValue::from_static("authorization"));
    }
}

/// Keeps every cache from what is another answer to whoever comes another way.
pub(crate) fn keep_nowhere(response: &mut Response<Body>) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Keeps shared caches from what has a secret as its address.
pub(crate) fn keep_private(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    let said = headers.get(CACHE_CONTROL).and_then(|said| said.to_str().ok()).unwrap_or_default();
    if said.starts_with("private") || said == "no-store" {
        return;
    }
    let private = format!("private, {}", said.strip_prefix("public, ").unwrap_or(said));
    let private = HeaderValue::try_from(private).expect("it was a header, and is one with a word");
    headers.insert(CACHE_CONTROL, private);
}

//! The span of a request, in which everything is done for it.

use http::{Response, request::Parts};
use tracing::{Span, field::Empty};

use crate::{
    route::{NoRoute, Route},
    trace_parent::TraceParent,
};

/// Of level `DEBUG`; for who does not want it, it is a look at a flag. It has no path and no query:
/// there may be tokens in them.
pub(crate) fn of_request(
    id: &str,
    trace: Option<&TraceParent>,
    parts: &Parts,
    route: Result<&Route, &NoRoute>,
) -> Span {
    // The target is what a filter names: not to change with the files here.
    let span = tracing::debug_span!(
        target: "registry_http",
        "request",
        id,
        trace_id = trace.map(TraceParent::trace_id),
        parent_id = trace.map(TraceParent::parent_id),
        method = %start(parts.method.as_str()),
        route = route.map_or(Route::NONE, Route::name),
        "crate" = Empty,
        status = Empty,
        duration = Empty,
    );
    if !span.is_disabled()
        && let Ok(route) = route
        && let Some(name) = route.crate_name()
    {
        span.record("crate", name.as_str());
    }
    span
}

/// Enough of a method to know it by: whoever asks may write kilobytes.
fn start(method: &str) -> &str {
    method.get(..32).unwrap_or(method)
}

/// What is known at the end.
pub(crate) fn end<B>(span: &Span, response: &Response<B>, duration: std::time::Duration) {
    if !span.is_disabled() {
        span.record("status", response.status().as_u16());
        span.record("duration", tracing::field::debug(duration));
    }
}

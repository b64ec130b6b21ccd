//! Requests that are refused whatever they ask for.

use axum::http::StatusCode;
use hyper::Request;

use crate::slots;

/// Most headers of a request. Hyper has a limit of its own, 100; to make it another costs more than to
/// count them.
const MAX_HEADERS: usize = 64;
/// Longest path and query, in bytes. Ours; all that lead somewhere are much shorter.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Why a request is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    TooManyHeaders,
    TargetTooLong,
    /// There is too much to do.
    Busy,
    /// The server has begun, and did not come to an end.
    TooLate,
}

impl Refusal {
    /// Whether its headers are why.
    pub(crate) fn of_headers<B>(request: &Request<B>) -> Option<Self> {
        (request.headers().len() > MAX_HEADERS).then_some(Self::TooManyHeaders)
    }

    /// Whether its path and query are why.
    pub(crate) fn of_target<B>(request: &Request<B>) -> Option<Self> {
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        (target.len() > MAX_TARGET_BYTES).then_some(Self::TargetTooLong)
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Busy | Self::TooLate => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// In words for whoever has asked.
    pub(crate) fn detail(self) -> String {
        match self {
            Self::TooManyHeaders => format!("there are more than {MAX_HEADERS} headers"),
            Self::TargetTooLong => {
                format!("the path and query are longer than {MAX_TARGET_BYTES} bytes")
            }
            Self::Busy => "server is busy, try again".into(),
            Self::TooLate => "the server took too long, try again".into(),
        }
    }

    /// After how many seconds it may succeed.
    pub(crate) fn retry_after(self) -> Option<u64> {
        match self {
            Self::TooManyHeaders | Self::TargetTooLong => None,
            Self::Busy | Self::TooLate => Some(slots::PATIENCE.as_secs()),
        }
    }
}

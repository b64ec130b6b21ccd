//! What goes wrong on demand.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use futures_core::Stream;
use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_LENGTH, ETAG, IF_NONE_MATCH, RETRY_AFTER},
};
use http_body_util::BodyExt as _;
use registry_core::{
    CanonicalName, CrateName,
    auth::RequestId,
    store::{CrateFile, StoreError},
};

use crate::{body::Body, respond, route::Route};

/// What goes wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request is answered with this status, and does not reach the registry.
    Status(StatusCode),
    /// The request is answered with 429 and `Retry-After`, and does not reach the registry.
    TooMany {
        /// How long the client is told to wait, in seconds. Cargo waits ten at most.
        retry_after: u32,
    },
    /// The connection ends in the middle of the body.
    Truncated,
    /// In place of the answer, 200 with these bytes.
    Content(Bytes),
    /// An index file names, for every version, a checksum that no file has.
    WrongChecksum,
}

impl Fault {
    /// The answer, if the registry is not to be asked.
    pub(super) fn instead(&self) -> Option<Response<Body>> {
        match self {
            Self::Status(status) => Some(failed(*status)),
            Self::TooMany { retry_after } => {
                let mut response = failed(StatusCode::TOO_MANY_REQUESTS);
                response.headers_mut().insert(RETRY_AFTER, (*retry_after).into());
                Some(response)
            }
            Self::Content(bytes) => {
                Some(respond::full(StatusCode::OK, respond::TEXT, bytes.clone()))
            }
            Self::Truncated | Self::WrongChecksum => None,
        }
    }

    /// Makes sure that there is a body in which something can be wrong.
    pub(super) fn prepare(&self, headers: &mut HeaderMap) {
        headers.remove(IF_NONE_MATCH);
    }

    /// The answer of the registry, but wrong.
    pub(super) async fn spoil(&self, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        // What fails on the way has failed already.
        let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
            return failed(StatusCode::INTERNAL_SERVER_ERROR);
        };
        // Whoever keeps it must not be told later on that it is still right.
        parts.headers.remove(ETAG);
        let body = match self {
            Self::Truncated => half(&body),
            Self::WrongChecksum => {
                let body = with_wrong_checksums(&String::from_utf8_lossy(&body));
                parts.headers.insert(CONTENT_LENGTH, body.len().into());
                Bytes::from(body).into()
            }
            Self::Status(_) | Self::TooMany { .. } | Self::Content(_) => body.into(),
        };
        Response::from_parts(parts, body)
    }
}

fn failed(status: StatusCode) -> Response<Body> {
    respond::full(status, respond::TEXT, Bytes::from_static(b"this fault was asked for\n"))
}

fn with_wrong_checksums(lines: &str) -> String {
    const BEFORE: &str = "\"cksum\":\"";
    let mut pieces = lines.split(BEFORE);
    let mut wrong = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let behind = piece.find('"').unwrap_or(piece.len());
        wrong += BEFORE;
        wrong += &"0".repeat(behind);
        wrong += &piece[behind..];
    }
    wrong
}

/// A body that ends where half of it is sent.
fn half(body: &Bytes) -> Body {
    let size = body.len() as u64;
    let half = Half { bytes: body.slice(..body.len() / 2), is_sent: false };
    let modified = SystemTime::UNIX_EPOCH;
    let request = RequestId::new("fault").expect("a short word");
    Body::file(CrateFile { size, range: 0..size, modified, body: Box::pin(half) }, &request)
}

struct Half {
    bytes: Bytes,
    is_sent: bool,
}

impl Stream for Half {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(mem::take(&mut self.bytes))));
        }
        // A server that met the end at once would close without having sent what was before it.
        if !mem::replace(&mut self.is_sent, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}

/// With which requests a [`Fault`] happens.
#[derive(Clone)]
pub struct On(Arc<dyn Fn(&Route) -> bool + Send + Sync>);

impl On {
    /// Those that `wanted` says.
    pub fn routes(wanted: impl Fn(&Route) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(wanted))
    }

    /// All for which there is anything.
    pub fn everything() -> Self {
        Self::routes(|_| true)
    }

    /// Those for `config.json`.
    pub fn config() -> Self {
        Self::routes(|route| *route == Route::Config)
    }

    /// Those for the index file of a crate.
    ///
    /// # Panics
    /// If no crate can have the name.
    pub fn index(name: &str) -> Self {
        let name = canonical(name);
        Self::routes(move |route| matches!(route, Route::IndexFile(of) if of.canonical() == name))
    }

    /// Those for a file of a crate, in any version.
    ///
    /// # Panics
    /// If no crate can have the name.
    pub fn download(name: &str) -> Self {
        let name = canonical(name);
        Self::routes(move |route| match route {
            Route::Download(of, ..) | Route::DownloadByVersion(of, _) => of.canonical() == name,
            _ => false,
        })
    }

    /// Those that publish.
    pub fn publish() -> Self {
        Self::routes(|route| *route == Route::Publish)
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").finish_non_exhaustive()
    }
}

fn canonical(name: &str) -> CanonicalName {
    CrateName::new(name).expect("a name that a crate can have").canonical()
}

/// The faults that are still to happen.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Pending>>);

#[derive(Debug)]
struct Pending {
    on: On,
    fault: Fault,
    times: usize,
}

impl Faults {
    pub(super) fn add(&self, on: On, fault: Fault, times: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Pending { on, fault, times });
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The first fault that is to happen with such a request: one time less from now on.
    pub(super) fn take(&self, route: &Route) -> Option<Fault> {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = pending.iter_mut().filter(|pending| pending.times > 0);
        let next = left.find(|pending| (pending.on.0)(route))?;
        next.times -= 1;
        Some(next.fault.clone())
    }
}

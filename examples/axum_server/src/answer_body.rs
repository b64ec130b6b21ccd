//! The body of an answer, of a registry or of a page.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use registry_core::BoxError;

/// As it comes: nothing is boxed for an answer of a registry.
pub(crate) enum AnswerBody {
    Registry(registry_http::Body),
    Page(axum::body::Body),
}

impl From<axum::body::Body> for AnswerBody {
    fn from(body: axum::body::Body) -> Self {
        Self::Page(body)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Registry(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Page(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Registry(body) => body.is_end_stream(),
            Self::Page(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Registry(body) => body.size_hint(),
            Self::Page(body) => body.size_hint(),
        }
    }
}

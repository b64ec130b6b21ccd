//! The body of an answer.

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use metrics::Counter;
use registry_core::{
    auth::RequestId,
    store::{CrateFile, CrateStream, StoreError},
};
use tracing::Span;

/// The body of an answer: bytes at hand, or a crate file as it is read from the store.
///
/// `Send + Sync + Unpin`, so that every framework can take it, boxed or as it is.
pub struct Body(Inner);

enum Inner {
    Full(Bytes),
    File(FileBody),
}

struct FileBody {
    stream: SyncStream,
    remaining: u64,
    /// The id of the request.
    request: Box<str>,
    /// The span of the request.
    span: Span,
    /// How many bytes were sent.
    sent: Counter,
}

/// Shared between threads, a stream that may only be sent: it is never locked, since reading it
/// takes the one `&mut` there is.
struct SyncStream(Mutex<CrateStream>);

impl SyncStream {
    fn get_mut(&mut self) -> Pin<&mut (dyn futures_core::Stream<Item = StreamItem> + Send)> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
    }
}

type StreamItem = Result<Bytes, StoreError>;

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self(Inner::Full(Bytes::new()))
    }

    /// All of it, if it is at hand.
    #[cfg(feature = "compression")]
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Full(bytes) => Some(bytes),
            Inner::File(_) => None,
        }
    }

    /// A stored file. It is read in the span that is current now; if that fails, it is logged under
    /// the id of the request.
    pub(crate) fn file(file: CrateFile, request: &RequestId) -> Self {
        Self(Inner::File(FileBody {
            stream: SyncStream(Mutex::new(file.body)),
            remaining: file.range.end - file.range.start,
            request: request.as_str().into(),
            span: Span::current(),
            sent: Counter::noop(),
        }))
    }

    /// Counts the bytes that are sent: those at hand now, those of a file as they are read.
    pub(crate) fn count(&mut self, sent: &Counter) {
        match &mut self.0 {
            Inner::Full(bytes) => sent.increment(bytes.len() as u64),
            Inner::File(file) => file.sent = sent.clone(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Inner::Full(bytes))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remaining = http_body::Body::size_hint(self).exact();
        f.debug_struct("Body").field("remaining", &remaining).finish_non_exhaustive()
    }
}

/// Why the body of an answer ends early. The connection has to be closed: its status and length
/// are sent already, and the client must not take what it has for the whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The store failed on the way.
    #[error("the crate file could not be read to its end")]
    Store(#[from] StoreError),
    /// The store gave another number of bytes than it had announced.
    #[error("the crate file is not as long as the store announced")]
    Length,
}

impl FileBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let chunk = match ready!(self.span.in_scope(|| self.stream.get_mut().poll_next(cx))) {
            Some(chunk) => chunk?,
            None if self.remaining == 0 => return Poll::Ready(None),
            None => return Poll::Ready(Some(Err(BodyError::Length))),
        };
        match self.remaining.checked_sub(chunk.len() as u64) {
            Some(remaining) => {
                self.remaining = remaining;
                self.sent.increment(chunk.len() as u64);
            }
            None => return Poll::Ready(Some(Err(BodyError::Length))),
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Inner::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::File(file) => {
                let chunk = ready!(file.poll_chunk(cx));
                if let Some(Err(error)) = &chunk {
                    file.span.in_scope(|| crate::log::error(&file.request, error));
                    self.0 = Inner::Full(Bytes::new());
                }
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // A file of no bytes may still have an error to tell.
        matches!(&self.0, Inner::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.0 {
            Inner::Full(bytes) => bytes.len() as u64,
            Inner::File(file) => file.remaining,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use futures_util::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    fn file(size: u64, chunks: Vec<StreamItem>) -> Body {
        let body = Box::pin(stream::iter(chunks));
        Body::file(
            CrateFile { size, range: 0..size, modified: SystemTime::UNIX_EPOCH, body },
            &RequestId::new("id").unwrap(),
        )
    }

    async fn read(mut body: Body) -> (Vec<u8>, Option<BodyError>) {
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap()),
                Err(error) => return (all, Some(error)),
            }
        }
        (all, None)
    }

    #[test]
    fn a_body_can_be_sent_shared_and_moved() {
        fn is<T: Send + Sync + Unpin + 'static>() {}
        is::<Body>();
    }

    #[tokio::test]
    async fn a_file_is_streamed_with_its_length_known() {
        let body = file(3, vec![Ok("ab".into()), Ok("c".into())]);
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(3));
        assert!(matches!(read(body).await, (bytes, None) if bytes == b"abc"));
    }

    #[tokio::test]
    async fn a_file_that_is_not_as_long_as_announced_ends_with_an_error() {
        for (size, given) in [(4, "abc"), (2, "abc"), (0, "a")] {
            let (_, error) = read(file(size, vec![Ok(given.into())])).await;
            assert!(matches!(error, Some(BodyError::Length)), "{size} {given}");
        }
    }

    #[tokio::test]
    async fn a_failing_store_ends_the_body_with_an_error_and_nothing_after_it() {
        let failure = StoreError::Backend { backend: "test", source: "gone".into() };
        let mut body = file(3, vec![Ok("ab".into()), Err(failure), Ok("c".into())]);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(matches!(body.frame().await, Some(Err(BodyError::Store(_)))));
        assert!(body.frame().await.is_none());
    }
}

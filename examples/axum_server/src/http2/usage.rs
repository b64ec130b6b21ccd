//! What a connection is used for at a time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

/// Counts of one connection.
#[derive(Debug, Default)]
pub(super) struct Usage {
    begun: AtomicU64,
    under_way: AtomicUsize,
    answers: AtomicUsize,
    taken: AtomicU64,
}

/// What they are at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests until now.
    pub(super) begun: u64,
    /// Requests whose answers have not ended.
    pub(super) under_way: usize,
    /// Those of them whose answers have begun.
    pub(super) answers: usize,
    /// Bytes of answers that the client had room for, until now.
    pub(super) taken: u64,
}

impl Usage {
    /// Counts a request for as long as what is returned lives; says whether it is the only one.
    pub(super) fn begin(self: &Arc<Self>) -> (UnderWay, bool) {
        self.begun.fetch_add(1, Relaxed);
        let others = self.under_way.fetch_add(1, Relaxed);
        (UnderWay(self.clone()), others == 0)
    }

    pub(super) fn now(&self) -> Counts {
        Counts {
            begun: self.begun.load(Relaxed),
            under_way: self.under_way.load(Relaxed),
            answers: self.answers.load(Relaxed),
            taken: self.taken.load(Relaxed),
        }
    }
}

/// A request under way.
pub(super) struct UnderWay(Arc<Usage>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// Bytes that are handed over at a time, as many as a frame has. Source: RFC 9113, section 6.5.2,
/// `SETTINGS_MAX_FRAME_SIZE`.
const PIECE_BYTES: usize = 16 * 1024;

/// The body of an answer, handed over piece by piece as the client has room for it: what is handed
/// over is held by the connection until it is sent, and no longer counted.
pub(super) struct Sent {
    body: Body,
    rest: Bytes,
    under_way: UnderWay,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Sent {
    pub(super) fn new(body: Body, under_way: UnderWay, slot: Option<OwnedSemaphorePermit>) -> Self {
        under_way.0.answers.fetch_add(1, Relaxed);
        Self { body, rest: Bytes::new(), under_way, _slot: slot }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.under_way.0.answers.fetch_sub(1, Relaxed);
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        this.under_way.0.taken.fetch_add(piece.len() as u64, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_handed_over_in_pieces_and_counted() {
        let usage = Arc::new(Usage::default());
        let (under_way, is_first) = usage.begin();
        assert!(is_first && !usage.begin().1);
        let bytes: Bytes = (0..40_000).map(|number| number as u8).collect();
        let mut sent = Sent::new(Body::from(bytes.clone()), under_way, None);
        let mut pieces = Vec::new();
        while let Some(frame) = sent.frame().await {
            let left = bytes.len() as u64 - usage.now().taken;
            assert_eq!(sent.size_hint().exact(), Some(left));
            assert_eq!(sent.is_end_stream(), left == 0);
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [16_384, 16_384, 7_232]);
        assert!(pieces.concat() == bytes);
        let counts = Counts { begun: 2, under_way: 1, answers: 1, taken: 40_000 };
        assert_eq!(usage.now(), counts);
        drop(sent);
        assert_eq!(usage.now(), Counts { under_way: 0, answers: 0, ..counts });
    }
}

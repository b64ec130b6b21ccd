//! Request bodies that must keep coming.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use registry_core::BoxError;
use tokio::time::{Instant, Sleep};

/// Longest wait for the next piece of a body.
const IDLE: Duration = Duration::from_secs(10);
/// Longest time a whole body may take.
const TOTAL: Duration = Duration::from_secs(60);

/// A body that fails when its sender stalls: somebody who sends a byte a minute would hold a
/// connection and the memory of an upload for as long as they please.
#[derive(Debug)]
pub(crate) struct PunctualBody<B> {
    inner: B,
    end: Instant,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B> PunctualBody<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, end: Instant::now() + TOTAL, waiting: None }
    }
}

/// The sender of a request body stalled.
#[derive(Debug, thiserror::Error)]
#[error(
    "the request body stalled: each piece of it must come within {} seconds, the whole within {}",
    IDLE.as_secs(),
    TOTAL.as_secs()
)]
struct Stalled;

impl<B: Body + Unpin> Body for PunctualBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let until = self.end.min(Instant::now() + IDLE);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(Stalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use axum::body::Bytes;

    use super::*;

    /// Sends a byte each time the interval has passed, for ever.
    struct Dripping(tokio::time::Interval);

    impl Dripping {
        fn every(interval: Duration) -> PunctualBody<Self> {
            let start = Instant::now() + interval;
            PunctualBody::new(Self(tokio::time::interval_at(start, interval)))
        }
    }

    impl Body for Dripping {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.0.poll_tick(cx).map(|_| Some(Ok(Frame::data(Bytes::from_static(b".")))))
        }
    }

    /// How many pieces come before the body fails, and after how long that is.
    async fn pieces(mut body: PunctualBody<Dripping>) -> (usize, Duration) {
        let start = Instant::now();
        let mut pieces = 0;
        while poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some_and(|it| it.is_ok()) {
            pieces += 1;
        }
        (pieces, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_who_pauses_too_long_is_dropped() {
        let (pieces, after) = pieces(Dripping::every(Duration::from_secs(11))).await;
        assert_eq!((pieces, after.as_secs()), (0, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_who_drips_is_dropped_in_the_end() {
        let (pieces, after) = pieces(Dripping::every(Duration::from_secs(9))).await;
        assert_eq!((pieces, after.as_secs()), (6, 60));
    }
}

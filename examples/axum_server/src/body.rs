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
/// Longest time a whole body may take, if it is a short one.
const TOTAL: Duration = Duration::from_secs(60);
/// Fewest bytes of a longer one that come in a second. A crate file of 10 MiB has a minute then, and
/// one of 1 GiB an hour and a half.
const LEAST_RATE: u64 = 192 * 1024;

/// A body that fails when its sender stalls: somebody who sends a byte a minute would hold a
/// connection and the memory of an upload for as long as they please.
///
/// Only the time counts in which somebody waits for it: neither that until it is first asked for, in
/// which a publish waits for room, nor that in which the server is busy with what has come.
#[derive(Debug)]
pub(crate) struct PunctualBody<B> {
    inner: B,
    time: Duration,
    /// What is left of it.
    left: Duration,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl<B: Body> PunctualBody<B> {
    /// No body may be longer than `max_bytes`, whatever its length is said to be.
    pub(crate) fn new(inner: B, max_bytes: u64) -> Self {
        let bytes = inner.size_hint().upper().unwrap_or(max_bytes).min(max_bytes);
        let time = TOTAL.max(Duration::from_secs(bytes / LEAST_RATE));
        Self { inner, time, left: time, waiting: None }
    }

    /// For how long it is waited for at most.
    pub(crate) fn time(&self) -> Duration {
        match self.inner.is_end_stream() {
            true => Duration::ZERO,
            false => self.time,
        }
    }
}

/// The sender of a request body stalled.
#[derive(Debug, thiserror::Error)]
#[error(
    "the request body stalled: each piece of it must come within {} seconds, the whole within {}",
    IDLE.as_secs(),
    time.as_secs()
)]
struct Stalled {
    time: Duration,
}

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
        let (time, left) = (self.time, self.left);
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            if let Some(waiting) = self.waiting.take() {
                self.left = left.saturating_sub(waiting.since.elapsed());
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            since: Instant::now(),
            end: Box::pin(tokio::time::sleep(left.min(IDLE))),
        });
        ready!(waiting.end.as_mut().poll(cx));
        Poll::Ready(Some(Err(Stalled { time }.into())))
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
    struct Dripping {
        interval: tokio::time::Interval,
        length: Option<u64>,
    }

    impl Dripping {
        fn every(interval: Duration, length: Option<u64>) -> PunctualBody<Self> {
            let start = Instant::now() + interval;
            let interval = tokio::time::interval_at(start, interval);
            PunctualBody::new(Self { interval, length }, 60 << 20)
        }
    }

    impl Body for Dripping {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let tick = self.interval.poll_tick(cx);
            tick.map(|_| Some(Ok(Frame::data(Bytes::from_static(b".")))))
        }
        fn size_hint(&self) -> SizeHint {
            self.length.map(SizeHint::with_exact).unwrap_or_default()
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
        let (pieces, after) = pieces(Dripping::every(Duration::from_secs(11), None)).await;
        assert_eq!((pieces, after.as_secs()), (0, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_who_drips_is_dropped_in_the_end() {
        const MIB: u64 = 1 << 20;
        for (length, seconds) in [
            (Some(100), 60),
            (Some(11 * MIB), 60),
            (Some(30 * MIB), 160),
            // As long as a body may be at most.
            (Some(u64::MAX), 320),
            (None, 320),
        ] {
            let body = Dripping::every(Duration::from_secs(9), length);
            let (pieces, after) = pieces(body).await;
            assert_eq!((pieces, after.as_secs()), (seconds as usize / 9, seconds), "{length:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_begins_with_the_first_look() {
        let body = Dripping::every(Duration::from_secs(59), Some(100));
        tokio::time::advance(Duration::from_secs(58)).await;
        let (pieces, after) = pieces(body).await;
        assert_eq!((pieces, after.as_secs()), (1, 11));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_server_is_busy_does_not_count() {
        // Twenty seconds of which are waited for.
        let mut body = Dripping::every(Duration::from_secs(5), Some(100));
        for _ in 0..4 {
            assert!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().is_ok());
            body.inner.interval.reset_after(Duration::from_secs(65));
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert_eq!(body.left.as_secs(), TOTAL.as_secs() - 20);
        assert!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().is_ok());
    }
}

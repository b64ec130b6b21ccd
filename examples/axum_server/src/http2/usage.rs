//! What a connection is used for at a time.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use registry_core::BoxError;
use tokio::time::Instant;

use crate::{answer_body::AnswerBody, answer_time::InTime, slots::Slot};

/// Counts of one connection.
#[derive(Debug)]
pub(super) struct Usage {
    begun: AtomicU64,
    under_way: AtomicUsize,
    waiting: Mutex<Waiting>,
    taken: AtomicU64,
}

/// The answers that wait for the client.
#[derive(Debug)]
struct Waiting {
    answers: u32,
    /// For how long until `since`, all of them together.
    time: Duration,
    since: Instant,
}

impl Waiting {
    fn go_on(&mut self, now: Instant) -> &mut Self {
        self.time += now.saturating_duration_since(self.since) * self.answers;
        self.since = now;
        self
    }
}

/// What they are at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests until now.
    pub(super) begun: u64,
    /// Requests whose answers have not ended.
    pub(super) under_way: usize,
    /// For how long answers have waited for the client to have room, all of them together.
    pub(super) waited: Duration,
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

    pub(super) fn at(&self, now: Instant) -> Counts {
        Counts {
            begun: self.begun.load(Relaxed),
            under_way: self.under_way.load(Relaxed),
            waited: self.waiting().go_on(now).time,
            taken: self.taken.load(Relaxed),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Usage {
    fn default() -> Self {
        let waiting = Waiting { answers: 0, time: Duration::ZERO, since: Instant::now() };
        Self {
            begun: AtomicU64::default(),
            under_way: AtomicUsize::default(),
            waiting: Mutex::new(waiting),
            taken: AtomicU64::default(),
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
    body: InTime<AnswerBody>,
    rest: Bytes,
    /// Whether it waits for the client, and not for whoever has the next piece.
    is_waiting: bool,
    under_way: UnderWay,
    _slot: Option<Slot>,
}

impl Sent {
    pub(super) fn new(body: AnswerBody, under_way: UnderWay, slot: Option<Slot>) -> Self {
        let is_waiting = false;
        let (body, rest) = (InTime::new(body), Bytes::new());
        let mut sent = Self { body, rest, is_waiting, under_way, _slot: slot };
        sent.is_waiting(true);
        sent
    }

    fn is_waiting(&mut self, is_waiting: bool) {
        if self.is_waiting != is_waiting {
            self.is_waiting = is_waiting;
            let mut waiting = self.under_way.0.waiting();
            let waiting = waiting.go_on(Instant::now());
            match is_waiting {
                true => waiting.answers += 1,
                false => waiting.answers -= 1,
            }
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.is_waiting(false);
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            this.is_waiting(polled.is_ready());
            match polled {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
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
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body::Body as _;
    use http_body_util::BodyExt;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_handed_over_in_pieces_and_counted() {
        let usage = Arc::new(Usage::default());
        let (under_way, is_first) = usage.begin();
        assert!(is_first && !usage.begin().1);
        let bytes: Bytes = (0..40_000).map(|number| number as u8).collect();
        let mut sent = Sent::new(axum::body::Body::from(bytes.clone()).into(), under_way, None);
        let mut pieces = Vec::new();
        while let Some(frame) = sent.frame().await {
            let left = bytes.len() as u64 - usage.at(Instant::now()).taken;
            assert_eq!(sent.size_hint().exact(), Some(left));
            assert_eq!(sent.is_end_stream(), left == 0);
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [16_384, 16_384, 7_232]);
        assert!(pieces.concat() == bytes);
        let counts = Counts { begun: 2, under_way: 1, waited: Duration::ZERO, taken: 40_000 };
        assert_eq!(usage.at(Instant::now()), counts);
        drop(sent);
        assert_eq!(usage.at(Instant::now()), Counts { under_way: 0, ..counts });
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_in_which_answers_wait_for_the_client() {
        let usage = Arc::new(Usage::default());
        let waited = || usage.at(Instant::now()).waited.as_secs();
        let answer = |body: axum::body::Body| Sent::new(body.into(), usage.begin().0, None);
        let whole = answer(axum::body::Body::from("whole"));
        advance(Duration::from_secs(1)).await;
        // Its pieces take two seconds each to come.
        let slow = stream::unfold((), |()| async {
            sleep(Duration::from_secs(2)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"piece")), ()))
        });
        let mut slow = answer(axum::body::Body::from_stream(slow));
        advance(Duration::from_secs(1)).await;
        assert_eq!(waited(), 3);
        slow.frame().await.unwrap().unwrap();
        assert_eq!(waited(), 5);
        advance(Duration::from_secs(1)).await;
        assert_eq!(waited(), 7);
        // However short a time before somebody looks.
        drop(slow);
        advance(Duration::from_secs(1)).await;
        drop(whole);
        advance(Duration::from_secs(1)).await;
        assert_eq!(waited(), 8);
    }
}

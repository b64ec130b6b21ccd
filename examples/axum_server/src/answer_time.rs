//! How long the server itself may take for an answer, whatever becomes of what it asks.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use registry_core::BoxError;
use tokio::time::Sleep;

/// Longest wait for the head of an answer, and for each further piece of it: a folder on a disk that
/// hangs, or a database that does not answer, would hold whoever asks for as long as they wait. Ours.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// How long a publish waits for room, as `registry_core::registry::Uploads::patience` has it.
const ROOM: Duration = Duration::from_secs(30);

/// Longest wait for the head of the answer to a request for whose body its sender has so long.
pub(crate) fn of_head(body: Duration) -> Duration {
    match body {
        Duration::ZERO => LONGEST,
        body => LONGEST + ROOM + body,
    }
}

/// The body of an answer, which fails when the next piece is not there in time.
pub(crate) struct InTime<B> {
    body: B,
    end: Option<Pin<Box<Sleep>>>,
}

impl<B> InTime<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, end: None }
    }
}

/// The head of the answer has gone: it can only be broken off.
#[derive(Debug, thiserror::Error)]
#[error("the next piece of an answer was not there within {} seconds", LONGEST.as_secs())]
struct TooLate;

impl<B: Body + Unpin> Body for InTime<B>
where
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.end = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let end = self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST)));
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooLate.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use registry_core::registry::Uploads;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    fn a_publish_has_time_to_wait_and_to_be_sent() {
        assert_eq!(ROOM, Uploads::default().patience);
        assert_eq!(of_head(Duration::ZERO), LONGEST);
        assert_eq!(of_head(Duration::from_secs(60)), Duration::from_secs(150));
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_has_its_time() {
        let pieces = stream::unfold([59, 59, 61].into_iter(), async |mut seconds| {
            sleep(Duration::from_secs(seconds.next()?)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"piece"))), seconds))
        });
        let mut body = InTime::new(StreamBody::new(Box::pin(pieces)));
        let began = Instant::now();
        for (is_there, seconds) in [(true, 59), (true, 118), (false, 178)] {
            assert_eq!(body.frame().await.unwrap().is_ok(), is_there);
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
    }
}

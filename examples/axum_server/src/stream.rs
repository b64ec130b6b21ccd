//! Clients that must keep taking what they are sent.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::Sleep;

/// Longest wait for a client to take more of an answer. Cargo, too, gives up on a download that
/// stalls for 30 seconds.
const IDLE: Duration = Duration::from_secs(30);

/// A connection that fails when its client stops reading: somebody who asks for crate files and
/// takes none of them would hold connections, open files and memory for as long as they please.
pub(crate) struct PunctualStream<T> {
    inner: T,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> PunctualStream<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, waiting: None }
    }

    /// What became of a write, or the end of the client's time.
    fn in_time<R>(
        &mut self,
        written: Poll<io::Result<R>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(IDLE)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: Read + Unpin> Read for PunctualStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for PunctualStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.in_time(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.in_time(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.in_time(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{Instant, Interval, interval_at};

    use super::*;

    /// Takes a byte each time the interval has passed, for ever.
    struct Taking(Interval);

    impl Write for Taking {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.poll_tick(cx).map(|_| Ok(1))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What becomes of ten writes to a client that takes a byte in each interval, and after how
    /// many seconds the last one ends.
    async fn ten_writes(interval: Duration) -> (Result<(), io::ErrorKind>, u64) {
        let start = Instant::now();
        let taking = Taking(interval_at(start + interval, interval));
        let mut stream = PunctualStream::new(taking);
        let mut written = Ok(());
        for _ in 0..10 {
            let write = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, b"..")).await;
            written = written.and(write.map(drop).map_err(|error| error.kind()));
            if written.is_err() {
                break;
            }
        }
        (written, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_dropped() {
        let after = ten_writes(Duration::from_secs(31)).await;
        assert_eq!(after, (Err(io::ErrorKind::TimedOut), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_is_served() {
        assert_eq!(ten_writes(Duration::from_secs(29)).await, (Ok(()), 290));
    }
}

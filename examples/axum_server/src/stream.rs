//! Clients that must keep taking what they are sent.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep};

use crate::{
    head::Reads,
    slots::{Client, Left},
};

/// Longest wait for a client to take more of an answer. Cargo, too, gives up on a download that
/// stalls for 30 seconds.
const IDLE: Duration = Duration::from_secs(30);
/// Over how long a time of waiting for a client the least rate counts.
const PERIOD: Duration = Duration::from_secs(60);
/// Fewest bytes that a client takes in a second of those that it is waited for. Ours: a crate file of
/// 1 MiB has four minutes then.
const LEAST_RATE: u64 = 4 * 1024;
/// The same while all slots are taken: whoever holds one has to make use of it.
const LEAST_RATE_WHEN_FULL: u64 = 16 * 1024;

/// A connection that fails when its client stops reading, or reads a byte now and then: somebody who
/// asks for crate files and takes none of them would hold connections, open files and memory for as
/// long as they please.
pub(crate) struct PunctualStream<T> {
    inner: T,
    waiting: Option<Waiting>,
    /// How long it has waited for the client in this period, and what the client took meanwhile.
    waited: Duration,
    taken: u64,
    reads: Reads,
    client: Client,
}

struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl<T> PunctualStream<T> {
    pub(crate) fn new(inner: T, client: Client) -> Self {
        let (waited, reads) = (Duration::ZERO, Reads::default());
        Self { inner, waiting: None, waited, taken: 0, reads, client }
    }

    /// Counts what is read from now on.
    pub(crate) fn reads(&self) -> Reads {
        self.reads.clone()
    }

    /// What became of a write, or the end of the client's time.
    fn in_time(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = written else {
            let waiting = self.waiting.get_or_insert_with(|| Waiting {
                since: Instant::now(),
                end: Box::pin(tokio::time::sleep(IDLE)),
            });
            ready!(waiting.end.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        let bytes = written?;
        self.taken += bytes as u64;
        if let Some(waiting) = self.waiting.take() {
            self.waited += waiting.since.elapsed();
            if self.waited >= PERIOD {
                let least_rate = match self.client.left() {
                    Left::None => LEAST_RATE_WHEN_FULL,
                    Left::Some | Left::NoneOfItsShare => LEAST_RATE,
                };
                if self.taken < least_rate * PERIOD.as_secs() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                (self.waited, self.taken) = (Duration::ZERO, 0);
            }
        }
        Poll::Ready(Ok(bytes))
    }
}

impl<T: Read + Unpin> Read for PunctualStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if read.is_ready() {
            self.reads.add();
        }
        read
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
        self.in_time(flushed.map_ok(|()| 0), cx).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Over TLS, there is a farewell to be written.
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.in_time(shut.map_ok(|()| 0), cx).map_ok(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::Ipv4Addr};

    use tokio::time::{Interval, interval_at};

    use super::*;
    use crate::slots::Slots;

    /// Takes so many bytes each time the interval has passed, for ever.
    struct Taking(Interval, usize);

    impl Write for Taking {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.poll_tick(cx).map(|_| Ok(self.1))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        /// Has as much to write.
        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_write(cx, b"..").map_ok(drop)
        }
    }

    fn stream(seconds: u64, bytes: usize, client: Client) -> PunctualStream<Taking> {
        let interval = Duration::from_secs(seconds);
        let taking = Taking(interval_at(Instant::now() + interval, interval), bytes);
        PunctualStream::new(taking, client)
    }

    fn client() -> Client {
        Slots::new(1, None).client(Ipv4Addr::LOCALHOST.into(), false)
    }

    /// What becomes of ten writes to a client that takes so many bytes in each interval, and after
    /// how many seconds the last one ends. Between them, the server is busy for as long as `pause`.
    async fn ten_writes(
        seconds: u64,
        bytes: usize,
        pause: Duration,
    ) -> (Result<(), io::ErrorKind>, u64) {
        ten_writes_to(stream(seconds, bytes, client()), pause).await
    }

    async fn ten_writes_to(
        mut stream: PunctualStream<Taking>,
        pause: Duration,
    ) -> (Result<(), io::ErrorKind>, u64) {
        let start = Instant::now();
        let mut written = Ok(());
        for _ in 0..10 {
            let write = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, b"..")).await;
            written = written.and(write.map(drop).map_err(|error| error.kind()));
            if written.is_err() {
                break;
            }
            tokio::time::advance(pause).await;
        }
        (written, start.elapsed().as_secs())
    }

    const TIMED_OUT: Result<(), io::ErrorKind> = Err(io::ErrorKind::TimedOut);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_dropped() {
        assert_eq!(ten_writes(31, 1, Duration::ZERO).await, (TIMED_OUT, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_is_served() {
        let bytes = 20 * LEAST_RATE as usize;
        assert_eq!(ten_writes(20, bytes, Duration::ZERO).await, (Ok(()), 200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_byte_now_and_then_is_dropped() {
        assert_eq!(ten_writes(29, 1, Duration::ZERO).await, (TIMED_OUT, 87));
        let bytes = 20 * LEAST_RATE as usize - 1;
        assert_eq!(ten_writes(20, bytes, Duration::ZERO).await, (TIMED_OUT, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn more_is_expected_while_all_slots_are_taken() {
        let client = client();
        let _place = client.clone().enter().unwrap();
        let bytes = 20 * LEAST_RATE_WHEN_FULL as usize;
        let slow = stream(20, bytes, client.clone());
        assert_eq!(ten_writes_to(slow, Duration::ZERO).await, (Ok(()), 200));
        let slower = stream(20, bytes - 1, client);
        assert_eq!(ten_writes_to(slower, Duration::ZERO).await, (TIMED_OUT, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_of_the_end_is_dropped() {
        let start = Instant::now();
        let mut stream = stream(31, 1, client());
        let shut = poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await;
        assert_eq!(shut.map_err(|error| error.kind()), TIMED_OUT);
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_for_the_client_does_not_count() {
        assert_eq!(ten_writes(20, 1, Duration::from_secs(20)).await, (Ok(()), 220));
    }
}

//! Closing a connection without taking the answer away from the client.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::Sleep;

/// How long a client has to notice that its body is not wanted.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes that are read in that time.
const MAX_BYTES: u64 = 64 << 20;

/// A connection that, when closed with a request body still coming, reads on for a while.
///
/// The system answers bytes that nobody reads with a reset, and a client that is told of the reset
/// while it sends may never look at the refusal that came before.
pub(crate) struct Lingering<T> {
    inner: T,
    unread: UnreadBody,
    closing: Option<Closing>,
}

struct Closing {
    end: Pin<Box<Sleep>>,
    bytes: u64,
}

/// Says of one connection that a request body is left unread.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnreadBody(Arc<AtomicBool>);

impl UnreadBody {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<T> Lingering<T> {
    pub(crate) fn new(inner: T, unread: UnreadBody) -> Self {
        Self { inner, unread, closing: None }
    }
}

impl<T: Read + Unpin> Read for Lingering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: Read + Write + Unpin> Write for Lingering<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            // The client sees the end of the answer now, and may close in its turn.
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.unread.0.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let end = Box::pin(tokio::time::sleep(PATIENCE));
            this.closing = Some(Closing { end, bytes: 0 });
        }
        let closing = this.closing.as_mut().expect("set above");
        let mut room = [MaybeUninit::uninit(); 16 * 1024];
        while closing.bytes < MAX_BYTES && closing.end.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut this.inner).poll_read(cx, buffer.unfilled()))?;
            if buffer.filled().is_empty() {
                break;
            }
            closing.bytes += buffer.filled().len() as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}

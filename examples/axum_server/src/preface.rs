//! Which protocol a client speaks, by the first bytes that it sends.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What every client of HTTP/2 sends first. Source: RFC 9113, section 3.4. HTTP/1 has no such
/// method.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Enough for the head of a usual request, so that it takes one read as if nobody had looked.
const FIRST_BYTES: usize = 4 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// By the bytes until now; nothing if it could still be either.
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(PREFACE) {
            return Some(Self::Http2);
        }
        (!PREFACE.starts_with(bytes)).then_some(Self::Http1)
    }
}

/// Reads until the protocol is known. The connection that is returned gives out what was read.
pub(crate) async fn read<T>(mut stream: T) -> io::Result<(Protocol, Looked<T>)>
where
    T: AsyncRead + Unpin,
{
    let (protocol, read) = first_bytes(&mut stream).await?;
    Ok((protocol, Looked { read, inner: TokioIo::new(stream) }))
}

async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Protocol, Bytes)> {
    let mut read = BytesMut::with_capacity(FIRST_BYTES);
    loop {
        let is_over = stream.read_buf(&mut read).await? == 0;
        if let Some(protocol) = Protocol::of(&read) {
            return Ok((protocol, read.freeze()));
        }
        if is_over {
            // Whoever says no more is as good as silent.
            return Ok((Protocol::Http1, read.freeze()));
        }
    }
}

/// A connection of which the first bytes have been read already.
pub(crate) struct Looked<T> {
    read: Bytes,
    inner: TokioIo<T>,
}

impl<T> Read for Looked<T>
where
    TokioIo<T>: Read + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..length]);
        self.read.advance(length);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Write for Looked<T>
where
    TokioIo<T>: Write + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_what_is_spoken() {
        let cut = PREFACE.len() - 1;
        for (bytes, protocol) in [
            (PREFACE, Some(Protocol::Http2)),
            (&[PREFACE, b"\0\0\0"].concat(), Some(Protocol::Http2)),
            (&PREFACE[..cut], None),
            (b"P", None),
            (b"", None),
            (b"PUT / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"PRI * HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"GET", Some(Protocol::Http1)),
            (b"\x16\x03\x01", Some(Protocol::Http1)),
        ] {
            assert_eq!(Protocol::of(bytes), protocol, "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn bytes_may_come_one_at_a_time() {
        for (sent, protocol) in [
            (PREFACE, Protocol::Http2),
            (b"PU", Protocol::Http1),
            // Over before it is known.
            (b"PRI", Protocol::Http1),
        ] {
            let mut stream = one_at_a_time(sent);
            let read = first_bytes(&mut stream).await.unwrap();
            assert_eq!(read, (protocol, Bytes::copy_from_slice(sent)));
        }
    }

    /// Gives out a byte at each read.
    fn one_at_a_time(bytes: &'static [u8]) -> impl AsyncRead + Unpin {
        struct Pieces(&'static [u8]);
        impl AsyncRead for Pieces {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                if let [first, rest @ ..] = self.0 {
                    buffer.put_slice(&[*first]);
                    self.0 = rest;
                }
                Poll::Ready(Ok(()))
            }
        }
        Pieces(bytes)
    }
}

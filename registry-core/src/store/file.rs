//! A crate file on its way out of a store.

use std::{
    fmt,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use futures_core::Stream;

use super::StoreError;

/// A part of a file that a reader asks for. Source: RFC 9110, section 14.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// From the first offset to the last one, both of them in it.
    FromTo(u64, u64),
    /// From an offset to the end.
    From(u64),
    /// So many bytes at the end; the whole file, if it has no more.
    Last(u64),
}

impl ByteRange {
    /// The part of a file of `size` bytes; empty if the file has nothing of it.
    pub fn within(self, size: u64) -> Range<u64> {
        match self {
            Self::FromTo(first, last) => {
                let first = first.min(size);
                first..last.saturating_add(1).clamp(first, size)
            }
            Self::From(first) => first.min(size)..size,
            Self::Last(count) => size.saturating_sub(count)..size,
        }
    }
}

/// A stored file, opened for reading.
pub struct CrateFile {
    /// Length of the whole file in bytes.
    pub size: u64,
    /// What of it [`CrateFile::body`] gives: all, unless a range was asked for.
    pub range: Range<u64>,
    /// When it was last put.
    pub modified: SystemTime,
    /// The bytes of the range. Ends with an error rather than early.
    pub body: CrateStream,
}

/// The bytes of an open crate file.
pub type CrateStream = Pin<Box<dyn Stream<Item = Result<Bytes, StoreError>> + Send>>;

impl CrateFile {
    /// A file whose bytes are in memory, or a part of it.
    pub fn from_bytes(bytes: &Bytes, range: Option<ByteRange>, modified: SystemTime) -> Self {
        let size = bytes.len() as u64;
        let range = range.map_or(0..size, |range| range.within(size));
        let part = bytes.slice(range.start as usize..range.end as usize);
        Self { size, range, modified, body: Box::pin(Whole(Some(part))) }
    }

    /// Reads the whole range into memory.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails on the way.
    pub async fn bytes(mut self) -> Result<Bytes, StoreError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next_chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.into())
    }

    /// The next bytes; `None` behind the last.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails on the way.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, StoreError>> {
        std::future::poll_fn(|cx| self.body.as_mut().poll_next(cx)).await
    }
}

impl fmt::Debug for CrateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CrateFile");
        debug.field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

struct Whole(Option<Bytes>);

impl Stream for Whole {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file() {
        use ByteRange::{From, FromTo, Last};
        for (range, size, expected) in [
            (FromTo(0, 0), 5, 0..1),
            (FromTo(1, 3), 5, 1..4),
            (FromTo(3, u64::MAX), 5, 3..5),
            (FromTo(5, 9), 5, 5..5),
            (FromTo(4, 3), 5, 4..4),
            (FromTo(0, 0), 0, 0..0),
            (From(0), 5, 0..5),
            (From(5), 5, 5..5),
            (From(u64::MAX), 5, 5..5),
            (Last(0), 5, 5..5),
            (Last(2), 5, 3..5),
            (Last(9), 5, 0..5),
        ] {
            assert_eq!(range.within(size), expected, "{range:?} of {size}");
        }
    }
}

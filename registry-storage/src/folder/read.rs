//! How a file in a folder is read: at once what is in memory, the rest on blocking threads.
//!
//! Nearly all that is downloaded from a registry is what was downloaded a moment ago, and the
//! system has it in memory. A trip to another thread and back takes several times as long as
//! reading a small file there.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use bytes::Bytes;
use futures_core::Stream;
use registry_core::store::ByteRange;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    Folder, cached,
    room::{PIECE_BYTES, ROOMS, Room},
};

/// A file that was opened for reading.
pub(crate) struct Opened {
    pub(crate) size: u64,
    /// What of it is read.
    pub(crate) range: Range<u64>,
    pub(crate) modified: SystemTime,
    pub(crate) pieces: Pieces,
}

impl Folder {
    /// Opens a file, or a part of it; `None` if there is none.
    pub(crate) async fn open(
        &self,
        path: &str,
        range: Option<ByteRange>,
    ) -> io::Result<Option<Opened>> {
        let path = self.root.join(path);
        if let Some(file) = cached::open(&path) {
            return Opened::new(file, range).map(Some);
        }
        spawn_blocking(move || match File::open(&path) {
            Ok(file) => {
                let mut opened = Opened::new(file, range)?;
                opened.pieces.read_first()?;
                Ok(Some(opened))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await?
    }
}

impl Opened {
    fn new(file: File, range: Option<ByteRange>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let size = metadata.len();
        let range = range.map_or(0..size, |range| range.within(size));
        let pieces = read(file, range.clone());
        Ok(Self { size, range, modified: metadata.modified()?, pieces })
    }
}

/// Reads these bytes of a file.
pub(crate) fn read(file: File, range: Range<u64>) -> Pieces {
    Pieces(State::Idle(Reader { file, range }))
}

/// The bytes of a range of a file. Ends with an error where the file ends before the range.
pub(crate) struct Pieces(State);

enum State {
    Idle(Reader),
    Read(Bytes, Reader),
    Reading(JoinHandle<io::Result<(Bytes, Reader)>>),
    Ended,
}

impl Pieces {
    /// Has the first piece read. Blocks.
    fn read_first(&mut self) -> io::Result<()> {
        if let State::Idle(reader) = std::mem::replace(&mut self.0, State::Ended)
            && !reader.range.is_empty()
        {
            let (piece, reader) = reader.read()?;
            self.0 = State::Read(piece, reader);
        }
        Ok(())
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let State::Reading(reading) = &mut self.0 {
            let read = ready!(Pin::new(reading).poll(cx));
            // Set first: behind an error there is nothing.
            self.0 = State::Ended;
            let (piece, reader) = read??;
            self.0 = State::Read(piece, reader);
        }
        match std::mem::replace(&mut self.0, State::Ended) {
            State::Idle(mut reader) if !reader.range.is_empty() => match reader.read_cached() {
                Some(piece) => {
                    self.0 = State::Idle(reader);
                    Poll::Ready(Some(Ok(piece)))
                }
                None => {
                    self.0 = State::Reading(spawn_blocking(move || reader.read()));
                    self.poll_next(cx)
                }
            },
            State::Read(piece, reader) => {
                self.0 = State::Idle(reader);
                Poll::Ready(Some(Ok(piece)))
            }
            State::Idle(_) | State::Reading(_) | State::Ended => Poll::Ready(None),
        }
    }
}

struct Reader {
    file: File,
    /// What is still to be read.
    range: Range<u64>,
}

impl Reader {
    /// The next bytes, as many as can be had without waiting, if any.
    fn read_cached(&mut self) -> Option<Bytes> {
        let mut room = Room::new(&ROOMS, self.wanted());
        let filled = cached::read(&self.file, room.bytes(), self.range.start)?;
        room.truncate(filled);
        Some(self.piece(room))
    }

    /// The next bytes, as many as belong in a piece.
    fn read(mut self) -> io::Result<(Bytes, Self)> {
        let mut room = Room::new(&ROOMS, self.wanted());
        self.file.seek(io::SeekFrom::Start(self.range.start))?;
        self.file.read_exact(room.bytes())?;
        Ok((self.piece(room), self))
    }

    fn wanted(&self) -> usize {
        (self.range.end - self.range.start).min(PIECE_BYTES as u64) as usize
    }

    fn piece(&mut self, room: Room) -> Bytes {
        self.range.start += room.as_ref().len() as u64;
        Bytes::from_owner(room)
    }
}

#[cfg(test)]
mod tests;

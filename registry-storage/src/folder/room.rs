//! Memory into which pieces of files are read, one after the other.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Most bytes of a piece: so few that they are still in a processor's cache when they are sent.
///
/// Whoever reads a file holds two pieces at a time at most: the one that is being sent, and the one
/// that follows it.
pub(super) const PIECE_BYTES: usize = 128 * 1024;

/// Most rooms that are kept for pieces to come, 4 MiB of them.
const MAX_SPARE: usize = 32;

/// Rooms that are empty again, of [`PIECE_BYTES`] each. The one that was left last, and may still be
/// in a cache, is the first to be taken.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Vec<Box<[u8]>>>);

impl Rooms {
    fn spare(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        // Nothing in there is ever half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of this process, for all its folders.
pub(super) static ROOMS: Rooms = Rooms(Mutex::new(Vec::new()));

/// Room for one piece; then the piece. Goes back to where it is from when the piece is dropped.
pub(super) struct Room {
    bytes: Box<[u8]>,
    filled: usize,
    rooms: &'static Rooms,
}

impl Room {
    /// For a piece of `wanted` bytes.
    pub(super) fn new(rooms: &'static Rooms, wanted: usize) -> Self {
        // What is much smaller would keep a whole room from others for as long as it is sent.
        let is_small = wanted <= PIECE_BYTES / 2;
        let spare = if is_small { None } else { rooms.spare().pop() };
        let size = if is_small { wanted } else { PIECE_BYTES };
        let bytes = spare.unwrap_or_else(|| vec![0; size].into());
        Self { bytes, filled: wanted, rooms }
    }

    /// What is to be filled, and what is filled.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.filled]
    }

    /// Says that only the first bytes were filled.
    pub(super) fn truncate(&mut self, filled: usize) {
        self.filled = self.filled.min(filled);
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut spare = self.rooms.spare();
        if self.bytes.len() == PIECE_BYTES && spare.len() < MAX_SPARE {
            spare.push(mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn own() -> &'static Rooms {
        Box::leak(Box::default())
    }

    fn spare(rooms: &Rooms) -> usize {
        rooms.spare().len()
    }

    #[test]
    fn room_is_taken_again_when_its_piece_is_dropped() {
        let rooms = own();
        let mut room = Room::new(rooms, PIECE_BYTES);
        room.bytes().fill(7);
        let place = room.bytes().as_ptr();
        room.truncate(3);
        let piece = Bytes::from_owner(room);
        assert_eq!((&piece[..], spare(rooms)), (&[7, 7, 7][..], 0));
        let part = piece.slice(1..);
        drop(piece);
        assert_eq!((&part[..], spare(rooms)), (&[7, 7][..], 0));
        drop(part);
        assert_eq!(spare(rooms), 1);
        let mut again = Room::new(rooms, PIECE_BYTES - 1);
        assert_eq!((again.bytes().as_ptr(), again.bytes().len()), (place, PIECE_BYTES - 1));
        assert_eq!(spare(rooms), 0);
    }

    #[test]
    fn a_small_piece_takes_no_more_than_it_needs() {
        let rooms = own();
        let room = Room::new(rooms, 1000);
        assert_eq!(room.bytes.len(), 1000);
        drop(room);
        assert_eq!(spare(rooms), 0);
    }

    #[test]
    fn only_so_much_is_kept() {
        let rooms = own();
        let taken: Vec<_> = (0..2 * MAX_SPARE).map(|_| Room::new(rooms, PIECE_BYTES)).collect();
        drop(taken);
        assert_eq!(spare(rooms), MAX_SPARE);
    }
}

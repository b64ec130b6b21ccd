//! What a cache holds, and what it is about to hold: numbers and names, and no file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;

use super::{
    disk::{Id, Left},
    flight::{Flight, Lead, Progress},
};

/// What a file takes of a disk at least, and of which it takes a whole number.
const BLOCK: u64 = 4096;

/// The files of a cache, the least recently used of which makes room for the next.
#[derive(Debug)]
pub(super) struct Shelf {
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<Id, Entry>,
    /// Which file was used when, the least recently used first.
    uses: BTreeMap<u64, Id>,
    last_use: u64,
    kept_bytes: u64,
    /// For files that are being written.
    reserved_bytes: u64,
    flights: HashMap<Id, Arc<Flight>>,
    begun: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    size: u64,
    put_at: SystemTime,
    used: u64,
    /// Whether this process has seen that the bytes are those of the checksum.
    is_verified: bool,
    /// When the inner store was last asked whether it has the file.
    asked: Option<Instant>,
}

/// A file that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) size: u64,
    pub(super) put_at: SystemTime,
    pub(super) is_verified: bool,
    /// The inner store is to be asked whether it still has the file, by whoever was told so.
    pub(super) is_to_be_confirmed: bool,
}

/// Where a file is to be read.
#[derive(Debug)]
pub(super) enum Place {
    Kept(Kept),
    /// Along with another reader, who leads the flight of this number.
    Followed(watch::Receiver<Progress>, u64),
    /// From the inner store, for all who come meanwhile.
    Led(Lead),
}

impl Shelf {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, state: Mutex::default() }
    }

    /// Holds what an earlier process has left, and gives what there is no room for.
    pub(super) fn adopt(&self, mut left: Vec<Left>) -> Vec<(Id, SystemTime)> {
        left.sort_by_key(|file| file.cached_at);
        let mut state = self.lock();
        let mut given_up = Vec::new();
        for Left { id, put_at, size, .. } in left {
            // Of two copies of one file the later is held.
            let entry = Entry { size, put_at, used: 0, is_verified: false, asked: None };
            given_up.extend(state.insert(id, entry));
        }
        given_up.extend(state.make_room(self.max_bytes, 0).unwrap_or_default());
        given_up
    }

    /// How many flights have begun.
    pub(super) fn begun(&self) -> u64 {
        self.lock().begun
    }

    /// Finds a file that is held, unless the inner store was asked for it `staleness` ago or more:
    /// then it is to be confirmed.
    pub(super) fn kept(&self, id: Id, now: Instant, staleness: Duration) -> Option<Kept> {
        self.lock().kept(id, now, staleness)
    }

    /// Finds a file that is held, or the read that is under way, or else begins one.
    pub(super) fn find(self: &Arc<Self>, id: Id, now: Instant, staleness: Duration) -> Place {
        let mut state = self.lock();
        if let Some(kept) = state.kept(id, now, staleness) {
            return Place::Kept(kept);
        }
        if let Some(flight) = state.flights.get(&id) {
            return Place::Followed(flight.progress.subscribe(), flight.number);
        }
        state.begun += 1;
        let progress = watch::Sender::new(Progress::Asked);
        let flight = Arc::new(Flight { number: state.begun, progress });
        state.flights.insert(id, flight.clone());
        Place::Led(Lead { shelf: self.clone(), id, flight, began: now })
    }

    /// Notes that the bytes are those of the checksum.
    pub(super) fn set_verified(&self, id: Id) {
        if let Some(entry) = self.lock().kept.get_mut(&id) {
            entry.is_verified = true;
        }
    }

    /// Notes that nobody has asked the inner store after all.
    pub(super) fn set_unconfirmed(&self, id: Id) {
        if let Some(entry) = self.lock().kept.get_mut(&id) {
            entry.asked = None;
        }
    }

    /// Room for a file of `size` bytes, and what has to be removed for it. `None` if there is none,
    /// not even without all that is held.
    pub(super) fn reserve(self: &Arc<Self>, size: u64) -> Option<(Room, Vec<(Id, SystemTime)>)> {
        let bytes = on_disk(size);
        let mut state = self.lock();
        let given_up = state.make_room(self.max_bytes, bytes)?;
        state.reserved_bytes += bytes;
        Some((Room { shelf: self.clone(), size, bytes }, given_up))
    }

    /// Takes the flight away from those who come, if it is still there.
    pub(super) fn land(&self, id: Id, flight: &Arc<Flight>) {
        self.lock().land(id, flight);
    }

    /// Takes the flight away if nobody follows it, and says so.
    pub(super) fn land_if_alone(&self, id: Id, flight: &Arc<Flight>) -> bool {
        let mut state = self.lock();
        let is_alone = flight.progress.receiver_count() == 0;
        if is_alone {
            state.land(id, flight);
        }
        is_alone
    }

    /// Holds the file of a flight, unless it was forgotten meanwhile.
    pub(super) fn keep(
        &self,
        id: Id,
        flight: &Arc<Flight>,
        mut room: Room,
        put_at: SystemTime,
        asked: Instant,
    ) -> bool {
        let size = room.size;
        let mut state = self.lock();
        let is_current = state.land(id, flight);
        if is_current {
            let entry = Entry { size, put_at, used: 0, is_verified: true, asked: Some(asked) };
            state.insert(id, entry);
            // From now on it counts by being held.
            state.reserved_bytes -= std::mem::take(&mut room.bytes);
        }
        // The room takes the lock where it is dropped.
        drop(state);
        is_current
    }

    /// Holds a file no longer, nor the one that is being read; gives where it lies.
    pub(super) fn forget(&self, id: Id) -> Option<(Id, SystemTime)> {
        let mut state = self.lock();
        state.flights.remove(&id);
        state.remove(id)
    }

    /// What is held, and what is reserved.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> (u64, u64) {
        let state = self.lock();
        (state.kept_bytes, state.reserved_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No change is half done where something panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kept(&mut self, id: Id, now: Instant, staleness: Duration) -> Option<Kept> {
        let entry = self.kept.get_mut(&id)?;
        let is_confirmed =
            entry.asked.is_some_and(|asked| now.saturating_duration_since(asked) < staleness);
        if !is_confirmed {
            entry.asked = Some(now);
        }
        self.last_use += 1;
        self.uses.remove(&entry.used);
        entry.used = self.last_use;
        self.uses.insert(entry.used, id);
        Some(Kept {
            size: entry.size,
            put_at: entry.put_at,
            is_verified: entry.is_verified,
            is_to_be_confirmed: !is_confirmed,
        })
    }

    /// Holds a file as the most recently used; gives the one that was held in its place.
    fn insert(&mut self, id: Id, entry: Entry) -> Option<(Id, SystemTime)> {
        let other = self.remove(id).filter(|(_, put_at)| *put_at != entry.put_at);
        self.last_use += 1;
        self.uses.insert(self.last_use, id);
        self.kept_bytes += on_disk(entry.size);
        self.kept.insert(id, Entry { used: self.last_use, ..entry });
        other
    }

    fn remove(&mut self, id: Id) -> Option<(Id, SystemTime)> {
        let entry = self.kept.remove(&id)?;
        self.uses.remove(&entry.used);
        self.kept_bytes -= on_disk(entry.size);
        Some((id, entry.put_at))
    }

    /// Lets go of what was not used for longest, until there are `bytes` left of `max`.
    fn make_room(&mut self, max: u64, bytes: u64) -> Option<Vec<(Id, SystemTime)>> {
        let taken = self.reserved_bytes.saturating_add(bytes);
        let for_kept = max.checked_sub(taken)?;
        let mut given_up = Vec::new();
        while self.kept_bytes > for_kept {
            let (_, id) = self.uses.first_key_value()?;
            given_up.extend(self.remove(*id));
        }
        Some(given_up)
    }

    fn land(&mut self, id: Id, flight: &Arc<Flight>) -> bool {
        let is_current = self.flights.get(&id).is_some_and(|other| Arc::ptr_eq(other, flight));
        if is_current {
            self.flights.remove(&id);
        }
        is_current
    }
}

/// Room for one file, until it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    shelf: Arc<Shelf>,
    pub(super) size: u64,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shelf.lock().reserved_bytes -= self.bytes;
    }
}

/// What a file of this size takes of a disk, about.
fn on_disk(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}

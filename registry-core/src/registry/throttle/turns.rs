use std::{
    collections::{
        HashMap,
        hash_map::{Entry, RandomState},
    },
    hash::{BuildHasher, Hash},
    sync::{Arc, Mutex, MutexGuard},
};

use async_lock::MutexGuardArc;

/// Lets those with one key go one after the other. A key is kept as in
/// [`Buckets`](crate::limits::Buckets), and for as long as somebody has it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lines: Mutex<HashMap<u64, Line>>,
    hasher: RandomState,
}

/// Those with one key.
#[derive(Debug, Default)]
struct Line {
    lock: Arc<async_lock::Mutex<()>>,
    places: usize,
}

impl Turns {
    /// Waits for one's turn; it lasts until it is dropped.
    pub(super) async fn enter(&self, key: &impl Hash) -> Turn<'_> {
        let key = self.hasher.hash_one(key);
        let lock = {
            let mut lines = self.lines();
            let line = lines.entry(key).or_default();
            line.places += 1;
            line.lock.clone()
        };
        let place = Place { turns: self, key };
        let guard = lock.lock_arc().await;
        Turn { _guard: guard, _place: place }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<u64, Line>> {
        self.lines.lock().expect("nobody panics while holding it")
    }
}

/// Somebody's turn. The fields are dropped in this order.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _guard: MutexGuardArc<()>,
    _place: Place<'a>,
}

/// Somebody who waits, or whose turn it is.
#[derive(Debug)]
struct Place<'a> {
    turns: &'a Turns,
    key: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut line) = self.turns.lines().entry(self.key) {
            line.get_mut().places -= 1;
            if line.get().places == 0 {
                line.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        sync::Barrier,
        task::{Context, Waker},
        thread,
    };

    use super::*;

    fn enters<'a>(future: Pin<&mut impl Future<Output = Turn<'a>>>) -> Option<Turn<'a>> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(turn) => Some(turn),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn those_with_one_key_go_one_after_the_other_and_leave_nothing() {
        let turns = Turns::default();
        let first = enters(pin!(turns.enter(&1))).unwrap();
        let mut second = pin!(turns.enter(&1));
        assert!(enters(second.as_mut()).is_none());
        let other = enters(pin!(turns.enter(&2))).unwrap();
        {
            let gone = pin!(turns.enter(&1));
            assert!(enters(gone).is_none());
        }
        drop(first);
        let second = enters(second).unwrap();
        assert_eq!(turns.lines().len(), 2);
        drop((other, second));
        assert!(turns.lines().is_empty());
    }

    #[test]
    fn those_who_leave_at_one_time_leave_nothing() {
        const ROUNDS: usize = 5_000;
        let (turns, together) = (Turns::default(), Barrier::new(2));
        let leave = || {
            for key in 0..ROUNDS {
                let mut place = Box::pin(turns.enter(&key));
                let turn = enters(place.as_mut());
                together.wait();
                drop((turn, place));
            }
        };
        thread::scope(|scope| {
            scope.spawn(leave);
            leave();
        });
        assert_eq!(turns.lines().len(), 0);
    }
}

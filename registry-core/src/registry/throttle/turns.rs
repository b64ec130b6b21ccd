use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash},
    sync::{Arc, Mutex, MutexGuard},
};

use async_lock::MutexGuardArc;

/// Lets those with one key go one after the other. A key is kept as in
/// [`Buckets`](crate::limits::Buckets), and for as long as somebody has it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    locks: Mutex<HashMap<u64, Lock>>,
    hasher: RandomState,
}

type Lock = Arc<async_lock::Mutex<()>>;

impl Turns {
    /// Waits for one's turn; it lasts until it is dropped.
    pub(super) async fn enter(&self, key: &impl Hash) -> Turn<'_> {
        let key = self.hasher.hash_one(key);
        let lock = self.lock().entry(key).or_default().clone();
        let place = Place { turns: self, key, lock };
        let guard = place.lock.lock_arc().await;
        Turn { _guard: guard, _place: place }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Lock>> {
        self.locks.lock().expect("nobody panics while holding it")
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
    lock: Lock,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut locks = self.turns.lock();
        // That in the map, and this one: nobody gets another while the map is locked.
        if Arc::strong_count(&self.lock) == 2 {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::{Context, Waker},
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
        assert_eq!(turns.lock().len(), 2);
        drop((other, second));
        assert!(turns.lock().is_empty());
    }
}

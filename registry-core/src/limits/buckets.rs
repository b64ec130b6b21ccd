use std::{
    collections::{
        HashMap,
        hash_map::{Entry, RandomState},
    },
    hash::{BuildHasher, Hash},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::Rate;

/// For each key a bucket, from which each request takes one, and which fills again by itself.
///
/// Of a bucket nothing is kept but the moment at which it is full again, and nothing once that is
/// past. A key is kept as a hash of 64 bits that nobody outside can compute: it may be as long as a
/// stranger likes, and holds no secret.
#[derive(Debug)]
pub(crate) struct Buckets {
    state: Mutex<State>,
    /// Whether there is anything in it, so that those who only look need not wait for each other.
    is_empty: AtomicBool,
    hasher: RandomState,
}

#[derive(Debug)]
struct State {
    full_at: HashMap<u64, Instant>,
    /// With how many buckets it is time to look which of them are full.
    sweep_at: usize,
}

impl Buckets {
    /// Most buckets. If more are in use, those go that would be full first: theirs are the owners to
    /// whom it makes the least difference. Source: ours, some 2 MiB.
    const MOST: usize = 64 * 1024;
    const FIRST_SWEEP: usize = 1024;

    /// Takes one from a bucket.
    ///
    /// # Errors
    /// How long it takes until there is one to take, if there is none.
    pub(crate) fn take(&self, key: &impl Hash, rate: Rate, now: Instant) -> Result<(), Duration> {
        let key = self.hasher.hash_one(key);
        let mut state = self.lock();
        let wait = state.wait(key, rate, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.put(&mut state, key, rate.interval, now);
        Ok(())
    }

    /// Gives back one that was taken.
    pub(crate) fn give_back(&self, key: &impl Hash, rate: Rate, now: Instant) {
        let key = self.hasher.hash_one(key);
        if let Entry::Occupied(mut full_at) = self.lock().full_at.entry(key) {
            match full_at.get().checked_sub(rate.interval).filter(|at| *at > now) {
                Some(at) => *full_at.get_mut() = at,
                None => drop(full_at.remove()),
            }
        }
    }

    /// Takes all that there is, or would be: it takes as long as it can until all is there again.
    pub(crate) fn take_all(&self, key: &impl Hash, rate: Rate, now: Instant) {
        let key = self.hasher.hash_one(key);
        let mut state = self.lock();
        state.full_at.remove(&key);
        self.put(&mut state, key, rate.refill(), now);
    }

    /// How long it takes until there is one to take; zero if there is.
    pub(crate) fn wait(&self, key: &impl Hash, rate: Rate, now: Instant) -> Duration {
        match self.is_empty.load(Ordering::Acquire) {
            true => Duration::ZERO,
            false => self.lock().wait(self.hasher.hash_one(key), rate, now),
        }
    }

    fn put(&self, state: &mut State, key: u64, interval: Duration, now: Instant) {
        state.make_room(now);
        let full_at = state.full_at.entry(key).or_insert(now);
        *full_at = (*full_at).max(now) + interval;
        self.is_empty.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

impl Default for Buckets {
    fn default() -> Self {
        let state = State { full_at: HashMap::new(), sweep_at: Self::FIRST_SWEEP };
        let (is_empty, hasher) = (AtomicBool::new(true), RandomState::new());
        Self { state: Mutex::new(state), is_empty, hasher }
    }
}

impl State {
    fn wait(&self, key: u64, rate: Rate, now: Instant) -> Duration {
        let missing = self.full_at.get(&key).map_or(Duration::ZERO, |at| *at - now);
        (missing + rate.interval).saturating_sub(rate.refill())
    }

    fn make_room(&mut self, now: Instant) {
        if self.full_at.len() < self.sweep_at {
            return;
        }
        self.full_at.retain(|_, at| *at > now);
        // Half at a time, so that it is long until the next one.
        if self.full_at.len() > Buckets::MOST / 2 {
            let mut times: Vec<Instant> = self.full_at.values().copied().collect();
            let middle = times.len() / 2;
            let (_, middle, _) = times.select_nth_unstable(middle);
            self.full_at.retain(|_, at| *at > *middle);
        }
        self.sweep_at = (2 * self.full_at.len()).clamp(Buckets::FIRST_SWEEP, Buckets::MOST);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(burst: u32, interval: Duration) -> Rate {
        Rate::new(NonZeroU32::new(burst).unwrap(), interval)
    }

    #[test]
    fn a_burst_is_taken_at_once_and_one_more_after_each_interval() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let rate = rate(3, 10 * SECOND);
        let take = |seconds| buckets.take(&"a", rate, start + seconds * SECOND);
        assert_eq!([take(0), take(0), take(0)], [Ok(()); 3]);
        assert_eq!(take(0), Err(10 * SECOND));
        assert_eq!(take(9), Err(SECOND));
        assert_eq!(take(10), Ok(()));
        assert_eq!(take(10), Err(10 * SECOND));
        // What is not taken is saved, up to the burst.
        assert_eq!([take(1000), take(1000), take(1000)], [Ok(()); 3]);
        assert_eq!(take(1000), Err(10 * SECOND));
        // Another bucket is another's.
        assert_eq!(buckets.take(&"b", rate, start), Ok(()));
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let rate = rate(1, 10 * SECOND);
        assert_eq!(buckets.take(&1, rate, start), Ok(()));
        for _ in 0..100 {
            assert_eq!(buckets.take(&1, rate, start), Err(10 * SECOND));
        }
        assert_eq!(buckets.take(&1, rate, start + 10 * SECOND), Ok(()));
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let rate = rate(2, 10 * SECOND);
        let take = |seconds| buckets.take(&1, rate, start + seconds * SECOND);
        assert_eq!([take(0), take(0)], [Ok(()); 2]);
        buckets.give_back(&1, rate, start);
        assert_eq!([take(0), take(0)], [Ok(()), Err(10 * SECOND)]);
        // Not more than there may be, however late.
        buckets.give_back(&1, rate, start + 19 * SECOND);
        buckets.give_back(&1, rate, start + 19 * SECOND);
        assert!(buckets.lock().full_at.is_empty());
        assert_eq!([take(19), take(19), take(19)], [Ok(()), Ok(()), Err(10 * SECOND)]);
    }

    #[test]
    fn all_that_there_is_is_taken_at_once() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let rate = rate(2, SECOND);
        assert_eq!(buckets.wait(&1, rate, start), Duration::ZERO);
        for seconds in [0, 1] {
            let now = start + seconds * SECOND;
            for _ in 0..3 {
                buckets.take_all(&1, rate, now);
                assert_eq!(buckets.wait(&1, rate, now), SECOND);
            }
        }
        assert_eq!(buckets.wait(&1, rate, start + 2 * SECOND), Duration::ZERO);
        assert_eq!(buckets.wait(&2, rate, start), Duration::ZERO);
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let rate = rate(1, SECOND);
        for key in 0..Buckets::FIRST_SWEEP {
            assert_eq!(buckets.take(&key, rate, start), Ok(()));
        }
        assert_eq!(buckets.lock().full_at.len(), Buckets::FIRST_SWEEP);
        assert_eq!(buckets.take(&"late", rate, start + SECOND), Ok(()));
        assert_eq!(buckets.lock().full_at.len(), 1);
    }

    #[test]
    fn there_are_never_too_many_and_the_emptiest_stay() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        buckets.take_all(&"emptiest", rate(2, SECOND), start);
        let rate = rate(1, SECOND);
        for key in 0..3 * Buckets::MOST {
            assert_eq!(buckets.take(&key, rate, start), Ok(()));
            assert!(buckets.lock().full_at.len() <= Buckets::MOST);
        }
        assert_eq!(buckets.wait(&"emptiest", rate, start), 2 * SECOND);
    }
}

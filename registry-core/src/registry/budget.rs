use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

/// So many bytes, of which each upload reserves its part before it begins.
///
/// Whoever finds too few waits in a queue, and who comes later waits behind: small uploads that
/// would still fit must not keep a large one from its turn for ever. No more than so many uploads
/// have their part or wait for it.
#[derive(Debug)]
pub(super) struct Budget {
    total: u64,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: u64,
    /// How many have their part.
    uploads: usize,
    next_id: u64,
    queue: VecDeque<(u64, Waker)>,
}

impl State {
    /// Who is to look again, once the lock is given back.
    fn first(&self) -> Option<Waker> {
        self.queue.front().map(|(_, waker)| waker.clone())
    }
}

impl Budget {
    /// A budget of at least one byte, for at least one upload.
    pub(super) fn new(total: u64, most: usize) -> Self {
        let (total, most) = (total.max(1), most.max(1));
        Self { total, most, state: Mutex::new(State { free: total, ..State::default() }) }
    }

    /// Waits for its turn and for so many bytes; at most for all there are, so that it comes.
    /// Nothing at once if there are too many uploads already.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Reserve {
        Reserve { budget: self.clone(), bytes: bytes.clamp(1, self.total), id: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// See [`Budget::reserve`]. Dropped, it leaves the queue.
#[derive(Debug)]
pub(super) struct Reserve {
    budget: Arc<Budget>,
    bytes: u64,
    /// Which place in the queue is its own.
    id: Option<u64>,
}

impl Future for Reserve {
    type Output = Option<Reservation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Reservation>> {
        let this = &mut *self;
        let mut state = this.budget.lock();
        if this.id.is_none() && state.uploads + state.queue.len() >= this.budget.most {
            return Poll::Ready(None);
        }
        let own = |(id, _): &(u64, Waker)| Some(*id) == this.id;
        let is_first = state.queue.front().map_or(this.id.is_none(), own);
        if is_first && state.free >= this.bytes {
            state.free -= this.bytes;
            state.uploads += 1;
            if this.id.is_some() {
                state.queue.pop_front();
            }
            let next = state.first();
            drop(state);
            next.into_iter().for_each(Waker::wake);
            this.id = None;
            let (budget, bytes) = (this.budget.clone(), this.bytes);
            return Poll::Ready(Some(Reservation { budget, bytes }));
        }
        match state.queue.iter().position(own) {
            Some(place) => state.queue[place].1.clone_from(cx.waker()),
            None => {
                let id = state.next_id;
                state.next_id += 1;
                state.queue.push_back((id, cx.waker().clone()));
                this.id = Some(id);
            }
        }
        Poll::Pending
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let Some(own) = self.id else { return };
        let mut state = self.budget.lock();
        state.queue.retain(|(id, _)| *id != own);
        let first = state.first();
        drop(state);
        // It may have been the one that did not fit.
        first.into_iter().for_each(Waker::wake);
    }
}

/// Bytes that are somebody's until this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        state.free += self.bytes;
        state.uploads -= 1;
        let first = state.first();
        drop(state);
        first.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Somebody who reserves, and looks again only when told to.
    struct Somebody {
        reserve: Option<Reserve>,
        wakes: Arc<Wakes>,
        seen: usize,
    }

    impl Somebody {
        fn asking(budget: &Arc<Budget>, bytes: u64) -> (Self, Option<Reservation>) {
            let reserve = Some(budget.reserve(bytes));
            let mut somebody = Self { reserve, wakes: Arc::default(), seen: 0 };
            let found = somebody.poll();
            (somebody, found)
        }

        fn waiting(budget: &Arc<Budget>, bytes: u64) -> Self {
            let (somebody, found) = Self::asking(budget, bytes);
            assert!(found.is_none());
            somebody
        }

        fn poll(&mut self) -> Option<Reservation> {
            let waker = self.wakes.clone().into();
            let reserve = Pin::new(self.reserve.as_mut().expect("it was not dropped"));
            match reserve.poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(reservation) => Some(reservation.expect("there are not too many")),
                Poll::Pending => None,
            }
        }

        /// What it has once it was woken; nothing if it was not.
        fn woken(&mut self) -> Option<Reservation> {
            let wakes = self.wakes.0.load(Ordering::SeqCst);
            let news = wakes > self.seen;
            self.seen = wakes;
            if news { self.poll() } else { None }
        }
    }

    fn taken(budget: &Arc<Budget>, bytes: u64) -> Reservation {
        Somebody::asking(budget, bytes).1.expect("there is room")
    }

    /// How much is free, and how many wait.
    fn left(budget: &Budget) -> (u64, usize) {
        let state = budget.lock();
        (state.free, state.queue.len())
    }

    #[test]
    fn what_fits_is_taken_at_once_and_given_back() {
        let budget = Arc::new(Budget::new(10, 1_000));
        let (all, more) = (taken(&budget, 6), taken(&budget, 4));
        assert_eq!(budget.lock().free, 0);
        drop((all, more));
        assert_eq!(budget.lock().free, 10);
    }

    #[test]
    fn whoever_wants_more_than_there_is_gets_all_of_it() {
        let budget = Arc::new(Budget::new(10, 1_000));
        assert_eq!(taken(&budget, u64::MAX).bytes, 10);
        assert_eq!(taken(&Arc::new(Budget::new(0, 1_000)), 5).bytes, 1);
        assert_eq!(taken(&budget, 0).bytes, 1);
    }

    #[test]
    fn a_large_one_is_not_overtaken_by_small_ones() {
        let budget = Arc::new(Budget::new(10, 1_000));
        let first = taken(&budget, 6);
        let mut large = Somebody::waiting(&budget, 8);
        let mut small = Somebody::waiting(&budget, 1);
        let mut last = Somebody::waiting(&budget, 1);
        drop(first);
        assert!(small.woken().is_none());
        let large = large.woken().expect("its turn has come");
        // One wakes the next as long as there is room.
        let small = small.woken().expect("it fits beside the large one");
        let last = last.woken().expect("it fits as well");
        assert_eq!(budget.lock().free, 0);
        drop((large, small, last));
        assert_eq!(left(&budget), (10, 0));
    }

    #[test]
    fn who_no_longer_waits_holds_up_nobody() {
        let budget = Arc::new(Budget::new(10, 1_000));
        let first = taken(&budget, 6);
        let mut large = Somebody::waiting(&budget, 8);
        let mut gone = Somebody::waiting(&budget, 1);
        let mut small = Somebody::waiting(&budget, 2);
        gone.reserve = None;
        assert!(small.woken().is_none());
        large.reserve = None;
        let small = small.woken().expect("nobody is before it");
        assert_eq!(left(&budget), (2, 0));
        drop((first, small));
        assert_eq!(budget.lock().free, 10);
    }

    #[test]
    fn who_is_woken_and_goes_away_passes_its_turn_on() {
        let budget = Arc::new(Budget::new(10, 1_000));
        let first = taken(&budget, 10);
        let mut woken = Somebody::waiting(&budget, 10);
        let mut next = Somebody::waiting(&budget, 10);
        drop(first);
        woken.reserve = None;
        assert!(next.woken().is_some());
    }

    #[test]
    fn one_too_many_is_refused_at_once() {
        let budget = Arc::new(Budget::new(10, 3));
        let first = taken(&budget, 10);
        let mut second = Somebody::waiting(&budget, 1);
        let third = Somebody::waiting(&budget, 1);
        let is_refused = || {
            let asking = pin!(budget.reserve(1));
            matches!(asking.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(None))
        };
        assert!(is_refused());
        drop(third);
        assert!(!is_refused());
        // Those that have their part and those that wait are counted alike.
        let third = Somebody::waiting(&budget, 1);
        drop(first);
        let second = second.woken().expect("its turn has come");
        let fourth = Somebody::waiting(&budget, 1);
        assert!(is_refused());
        drop((second, third, fourth));
        assert_eq!((left(&budget), budget.lock().uploads), ((10, 0), 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_at_once_never_hold_more_than_there_is() {
        let budget = Arc::new(Budget::new(100, 1_000));
        let held = Arc::new(AtomicUsize::new(0));
        let mut all = tokio::task::JoinSet::new();
        for number in 0..200_usize {
            let (budget, held) = (budget.clone(), held.clone());
            all.spawn(async move {
                let bytes = 1 + number * 7 % 90;
                let reservation = budget.reserve(bytes as u64).await.unwrap();
                assert!(held.fetch_add(bytes, Ordering::SeqCst) + bytes <= 100);
                tokio::task::yield_now().await;
                held.fetch_sub(bytes, Ordering::SeqCst);
                drop(reservation);
            });
        }
        all.join_all().await;
        assert_eq!(budget.lock().free, 100);
    }
}

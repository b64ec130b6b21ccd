//! How many are served at a time, in all and from one network, so that nobody keeps all others out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a request waits for a slot. Ours.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One for each connection, and one for each further request at a time on one of HTTP/2.
///
/// As many may wait for one: whoever comes then is refused at once, so that those who wait do not
/// take more memory than those who are served.
#[derive(Debug)]
pub(crate) struct Slots {
    all: Places,
    most: usize,
    /// How many of them, and of the places to wait, a network may have.
    share: usize,
    networks: Mutex<HashMap<IpAddr, Arc<Places>>>,
    /// Beyond so many networks, those that have left are forgotten.
    max_networks: usize,
}

#[derive(Debug)]
struct Places {
    at_work: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { at_work: Arc::new(Semaphore::new(most)), waiting: Arc::new(Semaphore::new(most)) }
    }
}

impl Slots {
    /// A quarter of them, unless it is said how many, is for one network.
    pub(crate) fn new(most: usize, share: Option<usize>) -> Arc<Self> {
        let share = share.unwrap_or(most / 4).clamp(1, most);
        Arc::new(Self {
            all: Places::new(most),
            most,
            share,
            networks: Mutex::default(),
            // There are at most twice as many as there are slots that have not left.
            max_networks: 4 * most,
        })
    }

    /// The client at the other end of a connection. Those of a proxy are of many clients, and have
    /// no share of their own.
    pub(crate) fn client(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> Client {
        let own = (!is_proxy).then(|| {
            let mut networks = lock(&self.networks);
            if networks.len() >= self.max_networks {
                networks.retain(|_, places| Arc::strong_count(places) > 1);
            }
            let places = networks.entry(network(peer));
            places.or_insert_with(|| Arc::new(Places::new(self.share))).clone()
        });
        Client { slots: self.clone(), own }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What belongs to one client: it may choose any IPv6 address of its network. Source: RFC 6177,
/// which gives no site less than 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// Whoever has opened a connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    slots: Arc<Slots>,
    own: Option<Arc<Places>>,
}

/// Which slots are left for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Some,
    /// Its network has all that it may have.
    NoneOfItsShare,
    None,
}

/// A slot, or a place to wait for one, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Slot {
    _own: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Client {
    /// How many slots it may have, if nobody else has any.
    pub(crate) fn most(&self) -> usize {
        if self.own.is_some() { self.slots.share } else { self.slots.most }
    }

    pub(crate) fn left(&self) -> Left {
        let is_gone = |places: &Places| places.at_work.available_permits() == 0;
        if is_gone(&self.slots.all) {
            Left::None
        } else if self.own.as_deref().is_some_and(is_gone) {
            Left::NoneOfItsShare
        } else {
            Left::Some
        }
    }

    /// Lets a connection in; nothing, if there is not even a place to wait.
    pub(crate) fn enter(self) -> Option<Place> {
        let (slot, waiting) = match self.try_take(|places| &places.at_work) {
            Some(slot) => (slot.into(), None),
            None => (OnceLock::new(), Some(self.try_take(|places| &places.waiting)?)),
        };
        Some(Place { client: self, slot, waiting: Mutex::new(waiting) })
    }

    /// A slot for a further request, for which it waits if it may; nothing, if that is in vain.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        if let Some(slot) = self.try_take(|places| &places.at_work) {
            return Some(slot);
        }
        let _waiting = self.try_take(|places| &places.waiting)?;
        timeout(PATIENCE, self.turn()).await.ok()
    }

    fn try_take(&self, of: impl Fn(&Places) -> &Arc<Semaphore>) -> Option<Slot> {
        let take = |places: &Places| Arc::clone(of(places)).try_acquire_owned().ok();
        let own = match &self.own {
            Some(places) => Some(take(places)?),
            None => None,
        };
        Some(Slot { _own: own, _all: take(&self.slots.all)? })
    }

    async fn turn(&self) -> Slot {
        let take = async |places: &Places| {
            Arc::clone(&places.at_work).acquire_owned().await.expect("nobody closes it")
        };
        let own = match &self.own {
            Some(places) => Some(take(places).await),
            None => None,
        };
        Slot { _own: own, _all: take(&self.slots.all).await }
    }
}

/// What a connection has until its end: a slot, or until somebody asks for something that needs one, a
/// place to wait for it.
#[derive(Debug)]
pub(crate) struct Place {
    client: Client,
    slot: OnceLock<Slot>,
    waiting: Mutex<Option<Slot>>,
}

impl Place {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the connection has a slot, for which it waits if it has none.
    pub(crate) async fn has_slot(&self) -> bool {
        if self.slot.get().is_some() {
            return true;
        }
        let Ok(slot) = timeout(PATIENCE, self.client.turn()).await else { return false };
        // That of a request at the same time does as well.
        let _ = self.slot.set(slot);
        *lock(&self.waiting) = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn client(slots: &Arc<Slots>, address: &str) -> Client {
        slots.client(address.parse().unwrap(), false)
    }

    #[test]
    fn a_network_has_its_share_and_leaves_the_rest_to_others() {
        let slots = Slots::new(8, None);
        let one = client(&slots, "2001:db8::1");
        let taken = [(); 2].map(|()| one.clone().enter().unwrap());
        assert!(taken.iter().all(|place| place.slot.get().is_some()));
        // Another address of the same network.
        let neighbour = client(&slots, "2001:db8::ffff:1");
        assert_eq!(neighbour.left(), Left::NoneOfItsShare);
        let waiting = [(); 2].map(|()| neighbour.clone().enter().unwrap());
        assert!(waiting.iter().all(|place| place.slot.get().is_none()));
        assert!(one.clone().enter().is_none());
        // Others have theirs, whether IPv4 comes as IPv6 or not.
        let others = ["2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.2", "192.0.2.2"];
        let others: Vec<_> = others.map(|address| client(&slots, address)).into();
        assert!(others.iter().all(|other| other.left() == Left::Some));
        let _places: Vec<_> = others.iter().map(|other| other.clone().enter().unwrap()).collect();
        assert_eq!(others[2].left(), Left::NoneOfItsShare);
        assert_eq!(others[1].left(), Left::Some);
        let _last = [(); 2].map(|()| client(&slots, "192.0.2.3").enter().unwrap());
        assert_eq!(client(&slots, "192.0.2.4").left(), Left::None);
        drop(taken);
        assert_eq!(client(&slots, "192.0.2.4").left(), Left::Some);
    }

    #[test]
    fn proxies_have_no_share_and_others_as_many_as_was_said() {
        let slots = Slots::new(4, Some(3));
        let proxy = slots.client("192.0.2.1".parse().unwrap(), true);
        let places: Vec<_> = (0..8).map_while(|_| proxy.clone().enter()).collect();
        assert_eq!(places.iter().filter(|place| place.slot.get().is_some()).count(), 4);
        assert_eq!(places.len(), 8);
        assert!(proxy.clone().enter().is_none());
        drop(places);
        assert_eq!((proxy.most(), client(&slots, "192.0.2.1").most()), (4, 3));
        let other = client(&slots, "192.0.2.1");
        let _places = [(); 3].map(|()| other.clone().enter().unwrap());
        assert_eq!(other.left(), Left::NoneOfItsShare);
        assert_eq!(Slots::new(2, None).share, 1);
        assert_eq!(Slots::new(2, Some(9)).share, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_when_another_ends_and_sent_away_after_a_while() {
        let slots = Slots::new(2, Some(2));
        let client = client(&slots, "192.0.2.1");
        let connection = client.clone().enter().unwrap();
        assert!(connection.has_slot().await);
        let further = client.slot().await.unwrap();
        let next = client.clone().enter().unwrap();
        let began = Instant::now();
        assert!(!next.has_slot().await);
        assert!(client.slot().await.is_none());
        assert_eq!(began.elapsed(), 2 * PATIENCE);
        // One more than may wait is refused at once.
        let _waits = client.clone().enter().unwrap();
        assert!(client.slot().await.is_none());
        assert_eq!(began.elapsed(), 2 * PATIENCE);
        let (has_slot, ()) = tokio::join!(next.has_slot(), async { drop(further) });
        assert!(has_slot);
        // It no longer takes the place of one who waits.
        assert!(client.enter().is_some());
    }

    #[test]
    fn networks_that_have_left_are_forgotten() {
        let slots = Slots::new(1, None);
        let place = client(&slots, "192.0.2.1").enter().unwrap();
        for number in 0..100 {
            client(&slots, &format!("198.51.100.{number}"));
        }
        assert!(lock(&slots.networks).len() <= 4);
        assert!(lock(&slots.networks).contains_key(&"192.0.2.1".parse().unwrap()));
        drop(place);
    }
}

use std::{collections::hash_map::RandomState, hash::BuildHasher};

use async_lock::{Mutex, MutexGuard};

use crate::name::CanonicalName;

/// Lets the writers of one crate in this process commit one after the other.
///
/// Not needed for correctness, which the index's compare-and-swap alone provides; without it,
/// fifty publishes of one crate would mostly make each other reload. The number of queues is
/// fixed, so they cost nothing per crate: two crates in one queue wait for each other's commit,
/// and for the look at whose it is, never for an upload.
#[derive(Debug)]
pub(super) struct WriteQueues {
    queues: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl WriteQueues {
    const COUNT: u64 = 256;

    /// Waits for one's turn; it lasts until the guard is dropped.
    pub(super) async fn enter(&self, name: &CanonicalName) -> MutexGuard<'_, ()> {
        let queue = self.hasher.hash_one(name) % Self::COUNT;
        self.queues[queue as usize].lock().await
    }
}

impl Default for WriteQueues {
    fn default() -> Self {
        let queues = (0..Self::COUNT).map(|_| Mutex::new(())).collect();
        Self { queues, hasher: RandomState::new() }
    }
}

//! One question at a time for each name, and its answer for all who waited.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_lock::MutexGuard;
use registry_core::{BoxError, CanonicalName, IndexError};

/// A gate for each name that somebody asks for; none for any other.
#[derive(Debug)]
pub(super) struct Gates<T> {
    gates: Mutex<HashMap<CanonicalName, Place<T>>>,
    /// How many questions have begun. A counter and no clock: two moments of a clock may be one.
    begun: AtomicU64,
}

/// A gate with somebody before it.
#[derive(Debug)]
struct Place<T> {
    gate: Arc<Gate<T>>,
    visitors: usize,
}

/// Held by the one who asks. Keeps the last answer for as long as anybody waits.
type Gate<T> = async_lock::Mutex<Option<Answer<T>>>;

#[derive(Debug)]
struct Answer<T> {
    question: u64,
    found: Found<T>,
}

/// What the inner index said: the value, that there is none, or that it failed.
pub(super) type Found<T> = Result<Option<T>, Failure>;

impl<T> Gates<T> {
    pub(super) fn new() -> Self {
        Self { gates: Mutex::default(), begun: AtomicU64::new(0) }
    }

    /// Gets in line. From here on every question that begins is young enough to be used.
    pub(super) fn arrive<'a>(&'a self, name: &'a CanonicalName) -> Visitor<'a, T> {
        let arrival = self.begun.load(Ordering::SeqCst);
        let mut gates = self.lock();
        let nobody = || Place { gate: Arc::default(), visitors: 0 };
        let place = gates.entry(name.clone()).or_insert_with(nobody);
        place.visitors += 1;
        let gate = place.gate.clone();
        drop(gates);
        Visitor { gates: self, name, gate, arrival }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    // No change below is half done when something panics.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CanonicalName, Place<T>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody before a gate. The last to leave takes the gate away.
#[derive(Debug)]
pub(super) struct Visitor<'a, T> {
    gates: &'a Gates<T>,
    name: &'a CanonicalName,
    gate: Arc<Gate<T>>,
    arrival: u64,
}

impl<T: Clone> Visitor<'_, T> {
    /// Waits for one's turn.
    pub(super) async fn turn(&self) -> Turn<'_, T> {
        Turn { visitor: self, answer: self.gate.lock().await }
    }
}

impl<T> Drop for Visitor<'_, T> {
    fn drop(&mut self) {
        let mut gates = self.gates.lock();
        let Some(place) = gates.get_mut(self.name) else { return };
        place.visitors -= 1;
        if place.visitors == 0 {
            gates.remove(self.name);
        }
    }
}

/// The right to ask, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a, T> {
    visitor: &'a Visitor<'a, T>,
    answer: MutexGuard<'a, Option<Answer<T>>>,
}

impl<T: Clone> Turn<'_, T> {
    /// What a question found that began after this visitor had arrived.
    pub(super) fn answer(&self) -> Option<Found<T>> {
        let answer = self.answer.as_ref().filter(|it| it.question > self.visitor.arrival)?;
        Some(answer.found.clone())
    }

    /// Begins a question, and gives its number.
    pub(super) fn begin(&self) -> u64 {
        self.visitor.gates.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Leaves what was found for those who wait.
    pub(super) fn leave(&mut self, question: u64, found: Found<T>) {
        *self.answer = Some(Answer { question, found });
    }
}

/// An [`IndexError::Backend`] that several can have.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    backend: &'static str,
    source: Arc<BoxError>,
}

impl Failure {
    /// `Err` with an error that is no other reader's: none that a read gives.
    pub(super) fn of(error: IndexError) -> Result<Self, IndexError> {
        match error {
            IndexError::Backend { backend, source } => {
                Ok(Self { backend, source: Arc::new(source) })
            }
            other => Err(other),
        }
    }
}

impl From<Failure> for IndexError {
    fn from(Failure { backend, source }: Failure) -> Self {
        Self::Backend { backend, source: Shared(source).into() }
    }
}

/// Shows its content as it is, because an `Arc` of a boxed error is no error itself.
#[derive(Debug)]
struct Shared(Arc<BoxError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use registry_core::conformance::record_fixture::canonical;

    use super::*;

    #[test]
    fn no_gate_is_left_by_visitors_who_leave_at_once() {
        let (gates, foo) = (Gates::<()>::new(), canonical("foo"));
        let (one, other) = (gates.arrive(&foo), gates.arrive(&foo));
        // The first has left, and a thread is on its way to drop what it had.
        let dropped_late = one.gate.clone();
        drop(one);
        assert_eq!(gates.count(), 1);
        drop(other);
        drop(dropped_late);
        assert_eq!(gates.count(), 0);
    }
}

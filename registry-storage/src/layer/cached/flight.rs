//! One read of the inner store for all who ask for a file at one time.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use registry_core::StoreError;
use tokio::sync::watch;

use super::{
    disk::{Id, Staged},
    shelf::{Room, Shelf},
};

/// A read of the inner store that is under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Counts flights: one with a higher number began later.
    pub(super) number: u64,
    pub(super) progress: watch::Sender<Progress>,
}

/// How far a flight has come.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// The inner store has not answered.
    Asked,
    /// There is a file, and so much of it can be read.
    Growing(Growing),
    /// The inner store has no such file.
    Absent,
    /// The inner store did not give it.
    Failed(Failure),
    /// The file is not for the cache: too large, or there is no place to write it to.
    Uncached,
    /// No more of it comes this way, be it for the store or for the disk.
    Broken,
    /// It is not what its checksum says.
    Damaged,
}

#[derive(Clone, Debug)]
pub(super) struct Growing {
    pub(super) staged: Arc<Staged>,
    pub(super) size: u64,
    pub(super) put_at: SystemTime,
    /// From the first byte on. The last one is not among them before the checksum has matched.
    pub(super) available: u64,
    pub(super) is_whole: bool,
}

/// The one who reads for all. When dropped before the end, another of them takes over.
#[derive(Debug)]
pub(super) struct Lead {
    pub(super) shelf: Arc<Shelf>,
    pub(super) id: Id,
    pub(super) flight: Arc<Flight>,
    /// Before the inner store was asked.
    pub(super) began: Instant,
}

impl Lead {
    /// Tells all who follow how it ended.
    pub(super) fn end(self, progress: Progress) {
        self.shelf.land(self.id, &self.flight);
        self.flight.progress.send_replace(progress);
    }

    /// Tells all who follow how much can be read.
    pub(super) fn grow(&self, available: u64) {
        self.flight.progress.send_modify(|progress| {
            if let Progress::Growing(growing) = progress {
                growing.available = available;
            }
        });
    }

    /// Keeps the file that has been put in its place, and tells all who follow that it is whole.
    /// False if it is not to be kept: it was put aside meanwhile.
    pub(super) fn keep(self, room: Room, put_at: SystemTime) -> bool {
        let is_kept = self.shelf.keep(self.id, &self.flight, room, put_at, self.began);
        self.flight.progress.send_modify(|progress| {
            if let Progress::Growing(growing) = progress {
                growing.available = growing.size;
                growing.is_whole = true;
            }
        });
        is_kept
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.shelf.land(self.id, &self.flight);
        self.flight.progress.send_if_modified(|progress| {
            let is_under_way = match progress {
                Progress::Asked => true,
                Progress::Growing(growing) => !growing.is_whole,
                _ => false,
            };
            if is_under_way {
                *progress = Progress::Broken;
            }
            is_under_way
        });
    }
}

/// An error that several can have.
#[derive(Clone, Debug)]
pub(super) struct Failure(Arc<StoreError>);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(Arc::new(error))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match &*failure.0 {
            Self::Quarantined { key } => Self::Quarantined { key: key.clone() },
            Self::Full { backend, .. } => {
                Self::Full { backend, source: Shared(failure.0.clone()).into() }
            }
            Self::Backend { backend, .. } => {
                Self::Backend { backend, source: Shared(failure.0.clone()).into() }
            }
            _ => Self::failed("cached", Shared(failure.0.clone())),
        }
    }
}

/// The cause of an error, shown as it is.
#[derive(Debug)]
struct Shared(Arc<StoreError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(source) => fmt::Display::fmt(source, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()?.source()
    }
}

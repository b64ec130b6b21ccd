//! Hearing of what happened: the [`Observer`] trait.

use std::fmt;

use crate::{audit::AuditEntry, auth::AuthStoreError, record::Change};

/// Is told of things after the fact.
///
/// ```
/// use registry_core::observer::{Event, Observer};
///
/// #[derive(Debug)]
/// struct Print;
///
/// impl Observer for Print {
///     fn observe(&self, event: &Event<'_>) {
///         if let Event::Committed(change) = event {
///             println!("{} changed by {}", change.name, change.stamp.by);
///         }
///     }
/// }
/// ```
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Takes note of `event`. Must not block: hand long work to somebody else.
    ///
    /// Called once per event, by the process that made the change. A process that dies, or a request
    /// that is dropped, between the commit and this call leaves a change that nobody is told of:
    /// what must not miss any reads the records again.
    fn observe(&self, event: &Event<'_>);
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A change is durable and visible.
    Committed(&'a Change),
    /// A write was refused. The entry is in the audit trail, if there is one, and if it is not of
    /// somebody unknown of whom there are [too many](crate::audit) there.
    Refused(&'a AuditEntry),
    /// Access was given or taken, or something else was done that changes no crate. The entry is in
    /// the audit trail, if there is one.
    Administered(&'a AuditEntry),
    /// An entry, of which the event before told, could not be appended to the audit trail.
    Unrecorded(&'a AuditEntry, &'a AuthStoreError),
}

/// How a cache could answer a read, as the caches of this registry tell it to a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheRead {
    /// Nobody had to be asked on account of this read.
    Hit,
    /// What is behind the cache was asked, whether it has it or only whether it has changed.
    Miss,
}

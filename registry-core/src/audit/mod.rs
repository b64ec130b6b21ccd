//! The audit trail: every write, every write that was refused, and who was given which access.
//!
//! The trail is only added to. An index in a SQL database writes the entry of a change in the very
//! transaction that commits it, so no acknowledged write is without its entry, and no entry without
//! its write. What is refused, and what changes no crate, goes through [`AuditLog::append`]. A
//! request that failed, by a 5xx or because its client went away, was neither done nor refused.
//!
//! An entry that cannot be appended, say on a full disk, turns nothing into a failure: the refusal
//! stands, and [`Event::Unrecorded`](crate::observer::Event::Unrecorded) says what is missing. On a
//! full disk nothing is committed either. Access is given and taken before that is noted: if the
//! process dies in between, the entry is missing.
//!
//! Whoever is refused as often as they like must not fill the disk by it. Of the refusals of one user
//! a [`Registry`](crate::Registry) appends 60 at once and one more every six seconds, which is some
//! 4 MiB a day at most, and as many of all who are nobody together, but of one address (of IPv6, its
//! first 64 bits) only a third of that. The first one appended after others were left out says how
//! many those were, of the same user or of those who are nobody; observers are told of each.
//!
//! ```
//! use registry_core::{
//!     Login, Registry, RegistryConfig,
//!     audit::{AuditLog, AuditQuery},
//!     memory::{MemoryAudit, MemoryCrateStore, MemoryIndex},
//! };
//!
//! # async fn program() -> Result<(), Box<dyn std::error::Error>> {
//! let trail = MemoryAudit::new();
//! let index = MemoryIndex::new().with_audit(trail.clone());
//! let config = RegistryConfig::new("https://crates.example.com")?;
//! let registry =
//!     Registry::builder(config, index, MemoryCrateStore::new()).audit(trail.clone()).build();
//!
//! let of_alice = AuditQuery { login: Some(Login::new("alice")?), ..AuditQuery::default() };
//! for found in trail.query(&of_alice).await? {
//!     println!("{} {}", found.entry.action, found.entry.outcome);
//! }
//! # Ok(())
//! # }
//! ```

mod entry;
pub(crate) mod text;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;

pub(crate) use self::entry::logins;
pub use self::{
    entry::{AuditAction, AuditActionError, AuditEntry, AuditOutcome, AuditOutcomeError},
    text::AuditText,
};
use crate::{auth::AuthStoreError, name::CanonicalName, owner::Login, record::Timestamp};

/// Keeps the audit trail of one registry.
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync + 'static {
    /// Adds an entry behind those that are there. Durable when this returns. The same again is a
    /// second entry.
    async fn append(&self, entry: &AuditEntry) -> Result<(), AuthStoreError>;

    /// The entries that a query asks for, in ascending order of their ids: no more than its limit.
    ///
    /// Entries have the order in which they were committed, but for those of writes that several
    /// processes decided at the same time: of these a later one may be seen first.
    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, AuthStoreError>;
}

/// A shared log, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<L: AuditLog + ?Sized> AuditLog for Arc<L> {
    async fn append(&self, entry: &AuditEntry) -> Result<(), AuthStoreError> {
        (**self).append(entry).await
    }

    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, AuthStoreError> {
        (**self).query(query).await
    }
}

/// Which entries are asked for: those to which all that is said applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// Of this user.
    pub login: Option<Login>,
    /// About this crate.
    pub crate_name: Option<CanonicalName>,
    /// Of this action.
    pub action: Option<AuditAction>,
    /// With this outcome.
    pub outcome: Option<AuditOutcome>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Behind the entry of this id; 0 for the first ones.
    pub after: u64,
    /// Most entries.
    pub limit: NonZeroUsize,
}

impl AuditQuery {
    /// The limit, unless another one is set.
    pub const LIMIT: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");

    /// Whether it asks for this entry, wherever that is.
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        fn is<T: PartialEq>(asked: &Option<T>, found: Option<&T>) -> bool {
            asked.as_ref().is_none_or(|asked| Some(asked) == found)
        }
        is(&self.login, entry.login.as_ref())
            && is(&self.crate_name, entry.crate_name.as_ref())
            && is(&self.action, Some(&entry.action))
            && is(&self.outcome, Some(&entry.outcome))
            && self.since.is_none_or(|since| since <= entry.at)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// The first entries of all.
impl Default for AuditQuery {
    fn default() -> Self {
        Self {
            login: None,
            crate_name: None,
            action: None,
            outcome: None,
            since: None,
            until: None,
            after: 0,
            limit: Self::LIMIT,
        }
    }
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place in the trail, above 0. Of two entries the later one has the greater id; between two
    /// there need not be a third.
    pub id: u64,
    /// The entry.
    pub entry: AuditEntry,
}

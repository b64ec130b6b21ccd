use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use semver::Version;

use super::{PublishError, Registry, WriteError, limit::network};
use crate::{
    audit::{AuditAction, AuditEntry, AuditLog, AuditOutcome, AuditText, logins},
    auth::{AuthError, Caller},
    limits::{Buckets, Rate},
    name::CanonicalName,
    observer::Event,
    owner::Login,
};

/// The audit trail, and what keeps it from growing without bound.
#[derive(Debug)]
pub(super) struct Trail {
    log: Box<dyn AuditLog>,
    refusals: Refusals,
}

impl Trail {
    pub(super) fn new(log: impl AuditLog) -> Self {
        Self { log: Box::new(log), refusals: Refusals::default() }
    }
}

/// Counts refusals: those of each user, and those of all who are nobody together. Of addresses the
/// latter may have as many as they like; but of one network there are never so many that there is
/// no room for others.
#[derive(Debug, Default)]
struct Refusals {
    of_user: Buckets,
    of_network: Buckets,
    of_nobody: Buckets,
    /// How many were left out since the last entry.
    left_out: Mutex<HashMap<Option<Login>, u64>>,
}

impl Refusals {
    /// Source: ours.
    const RATE: Rate = Rate::of(60, 6);
    /// A third of that. Source: ours.
    const OF_NETWORK: Rate = Rate::of(20, 18);

    /// Whether an entry is to be appended. If others were left out before it, it says so.
    fn admit(&self, entry: &mut AuditEntry, now: Instant) -> bool {
        if entry.outcome == AuditOutcome::Done {
            return true;
        }
        let has_room = self.has_room(entry, now);
        // Nothing panics while it is held.
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if !has_room {
            *left_out.entry(entry.login.clone()).or_default() += 1;
        } else if let Some(left_out) = left_out.remove(&entry.login) {
            let detail = entry.detail.as_ref().map_or("", AuditText::as_str);
            let detail = format!("[{left_out} refusals before this one are left out] {detail}");
            entry.detail = Some(AuditText::new(&detail));
        }
        has_room
    }

    fn has_room(&self, entry: &AuditEntry, now: Instant) -> bool {
        if let Some(login) = &entry.login {
            return self.of_user.take(login, Self::RATE, now).is_ok();
        }
        let network = entry.address.map(network);
        let take = |network| self.of_network.take(network, Self::OF_NETWORK, now).is_ok();
        network.as_ref().is_none_or(take) && self.of_nobody.take(&(), Self::RATE, now).is_ok()
    }
}

impl Registry {
    /// Adds an entry to the audit trail, if there is one, and tells the observers: for what a
    /// service around this registry refuses before it comes here, and for access given and taken.
    ///
    /// What this registry itself does or refuses, it notes by itself. A trail that cannot be added
    /// to is told the observers, by [`Event::Unrecorded`], and nobody else.
    pub async fn audit(&self, mut entry: AuditEntry) {
        self.tell(match entry.outcome {
            AuditOutcome::Done => Event::Administered(&entry),
            AuditOutcome::Refused => Event::Refused(&entry),
        });
        let Some(Trail { log, refusals }) = &self.parts.audit else { return };
        if !refusals.admit(&mut entry, self.parts.clock.now().monotonic) {
            return;
        }
        if let Err(error) = log.append(&entry).await {
            self.tell(Event::Unrecorded(&entry, &error));
        }
    }

    pub(super) fn tell(&self, event: Event<'_>) {
        for observer in &self.parts.observers {
            observer.observe(&event);
        }
    }

    /// The answer to a write that was asked for, noted if it is a refusal.
    pub(super) async fn noted<T, E: Refuses>(
        &self,
        asked: Asked<'_>,
        answer: Result<T, E>,
    ) -> Result<T, E> {
        if let Err(error) = &answer
            && error.is_refusal()
        {
            self.audit(asked.refused(error)).await;
        }
        answer
    }
}

/// A write that somebody asks for.
pub(super) struct Asked<'a> {
    pub(super) caller: &'a Caller,
    pub(super) action: AuditAction,
    pub(super) name: Option<&'a CanonicalName>,
    pub(super) version: Option<&'a Version>,
    /// Whom it is about.
    pub(super) logins: &'a [Login],
}

impl Asked<'_> {
    fn refused(self, reason: &impl Display) -> AuditEntry {
        let reason = match self.logins {
            [] => reason.to_string(),
            logins => format!("{}: {reason}", self::logins(logins)),
        };
        AuditEntry {
            crate_name: self.name.cloned(),
            version: self.version.cloned(),
            ..AuditEntry::refused(self.caller, self.action, &reason)
        }
    }
}

/// An error that says whether it is a decision.
pub(super) trait Refuses: Display + Sync {
    fn is_refusal(&self) -> bool;
}

impl Refuses for WriteError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Auth(error) => !matches!(error, AuthError::Backend(_)),
            Self::ReadOnly
            | Self::UnknownCrate { .. }
            | Self::UnknownUser { .. }
            | Self::Refused(_) => true,
            Self::Contended { .. } | Self::Store(_) | Self::Index(_) => false,
        }
    }
}

impl Refuses for PublishError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Frame(_) | Self::Invalid(_) | Self::Rejected(_) => true,
            Self::Write(error) => error.is_refusal(),
            Self::Busy | Self::Store(_) | Self::Line(_) | Self::Interrupted => false,
        }
    }
}

#[cfg(test)]
mod tests;

use std::fmt::Display;

use semver::Version;

use super::{PublishError, Registry, WriteError};
use crate::{
    audit::{AuditAction, AuditEntry, AuditOutcome, logins},
    auth::{AuthError, Caller},
    name::CanonicalName,
    observer::Event,
    owner::Login,
};

impl Registry {
    /// Adds an entry to the audit trail, if there is one, and tells the observers: for what a
    /// service around this registry refuses before it comes here, and for access given and taken.
    ///
    /// What this registry itself does or refuses, it notes by itself. A trail that cannot be added
    /// to is told the observers, by [`Event::Unrecorded`], and nobody else.
    pub async fn audit(&self, entry: AuditEntry) {
        self.tell(match entry.outcome {
            AuditOutcome::Done => Event::Administered(&entry),
            AuditOutcome::Refused => Event::Refused(&entry),
        });
        if let Some(trail) = &self.parts.audit
            && let Err(error) = trail.append(&entry).await
        {
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

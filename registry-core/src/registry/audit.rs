use std::{
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use semver::Version;

use super::{PublishError, Registry, WriteError};
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
    strangers: Strangers,
}

impl Trail {
    pub(super) fn new(log: impl AuditLog) -> Self {
        Self { log: Box::new(log), strangers: Strangers::default() }
    }
}

/// Counts the refusals of those who are nobody, all of them together: of addresses they may have as
/// many as they like.
#[derive(Debug, Default)]
struct Strangers {
    appended: Buckets,
    left_out: AtomicU64,
}

impl Strangers {
    /// Source: ours.
    const RATE: Rate = Rate::of(60, 6);

    /// Whether an entry is to be appended. If others were left out before it, it says so.
    fn admit(&self, entry: &mut AuditEntry, now: Instant) -> bool {
        if entry.login.is_some() || entry.outcome == AuditOutcome::Done {
            return true;
        }
        if self.appended.take(&(), Self::RATE, now).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let detail = entry.detail.as_ref().map_or("", AuditText::as_str);
            let detail = format!("[{left_out} refusals before this one are left out] {detail}");
            entry.detail = Some(AuditText::new(&detail));
        }
        true
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
        let Some(Trail { log, strangers }) = &self.parts.audit else { return };
        if !strangers.admit(&mut entry, self.parts.clock.now().monotonic) {
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
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        RegistryConfig,
        audit::{AuditQuery, AuditRecord},
        auth::Principal,
        conformance::record_fixture::owner,
        memory::{MemoryAudit, MemoryCrateStore, MemoryIndex},
        observer::Observer,
        registry::clock::{Clock, Moment},
    };

    /// Counts what it is told was refused.
    #[derive(Clone, Debug, Default)]
    struct Refusals(Arc<AtomicU64>);

    impl Observer for Refusals {
        fn observe(&self, event: &Event<'_>) {
            if let Event::Refused(_) = event {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[tokio::test]
    async fn what_is_refused_to_nobody_fills_no_trail() {
        let (seconds, start) = (Arc::new(AtomicU64::new(0)), std::time::Instant::now());
        let passed = seconds.clone();
        let clock = Clock::new(move || {
            let passed = Duration::from_secs(passed.load(Ordering::Relaxed));
            Moment { wall: std::time::SystemTime::UNIX_EPOCH, monotonic: start + passed }
        });
        let (trail, told) = (MemoryAudit::new(), Refusals::default());
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let registry = Registry::builder(config, MemoryIndex::new(), MemoryCrateStore::new())
            .audit(trail.clone())
            .observer(told.clone())
            .clock(clock)
            .build();
        let refuse = async |caller: &Caller| {
            registry.audit(AuditEntry::refused(caller, AuditAction::YANK, "no")).await;
        };
        let details = async || -> Vec<String> {
            let query = AuditQuery { limit: AuditQuery::LIMIT, ..AuditQuery::default() };
            let found = trail.query(&query).await.unwrap();
            let detail = |AuditRecord { entry, .. }: AuditRecord| entry.detail.unwrap();
            found.into_iter().map(|record| detail(record).as_str().to_owned()).collect()
        };
        // From many addresses, which are no reason for more.
        for last in 0..100 {
            let address = Some([192, 0, 2, last].into());
            refuse(&Caller { address, ..Caller::anonymous() }).await;
        }
        assert_eq!(details().await, ["no"; 60]);
        assert_eq!(told.0.load(Ordering::Relaxed), 100);

        // Those who are known, and what is done, are noted all the same.
        let alice = Caller::from(Principal::from(owner(1, "alice")));
        for _ in 0..100 {
            refuse(&alice).await;
        }
        let done = AuditEntry::done(&Caller::anonymous(), AuditAction::CREATE_TOKEN, "no");
        registry.audit(done).await;
        assert_eq!(details().await.len(), 161);

        seconds.store(6, Ordering::Relaxed);
        for _ in 0..3 {
            refuse(&Caller::anonymous()).await;
        }
        seconds.store(12, Ordering::Relaxed);
        refuse(&Caller::anonymous()).await;
        let found = details().await;
        assert_eq!(
            found[161..],
            [
                "[40 refusals before this one are left out] no",
                "[2 refusals before this one are left out] no"
            ]
        );
    }
}

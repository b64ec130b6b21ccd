use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

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
struct Told(Arc<AtomicU64>);

impl Observer for Told {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Refused(_) = event {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Setting {
    registry: Registry,
    trail: MemoryAudit,
    told: Told,
    seconds: Arc<AtomicU64>,
}

impl Setting {
    fn new() -> Self {
        let (seconds, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let passed = seconds.clone();
        let clock = Clock::new(move || {
            let passed = Duration::from_secs(passed.load(Ordering::Relaxed));
            Moment { wall: std::time::SystemTime::UNIX_EPOCH, monotonic: start + passed }
        });
        let (trail, told) = (MemoryAudit::new(), Told::default());
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let registry = Registry::builder(config, MemoryIndex::new(), MemoryCrateStore::new())
            .audit(trail.clone())
            .observer(told.clone())
            .clock(clock)
            .build();
        Self { registry, trail, told, seconds }
    }

    async fn refuse(&self, caller: &Caller, times: usize) {
        for _ in 0..times {
            let entry = AuditEntry::refused(caller, AuditAction::YANK, "no");
            self.registry.audit(entry).await;
        }
    }

    fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Who was refused what, after those that were there before.
    async fn entries_after(&self, before: usize) -> Vec<String> {
        let query = AuditQuery { limit: AuditQuery::LIMIT, ..AuditQuery::default() };
        let found = self.trail.query(&query).await.unwrap();
        let shown = |AuditRecord { entry, .. }: AuditRecord| {
            let login = entry.login.as_ref().map_or("nobody", Login::as_str);
            format!("{login}: {}", entry.detail.unwrap())
        };
        found.into_iter().skip(before).map(shown).collect()
    }
}

fn user(login: &str) -> Caller {
    Caller::from(Principal::from(owner(1, login)))
}

fn at(address: &str) -> Caller {
    Caller { address: address.parse().ok(), ..Caller::anonymous() }
}

#[tokio::test]
async fn what_is_refused_to_nobody_fills_no_trail() {
    let setting = Setting::new();
    // From many addresses, which are no reason for more.
    for last in 0..100 {
        setting.refuse(&at(&format!("192.0.2.{last}")), 1).await;
    }
    assert_eq!(setting.entries_after(0).await, ["nobody: no"; 60]);
    assert_eq!(setting.told.0.load(Ordering::Relaxed), 100);

    // Those who are known are noted all the same, and so is what is done.
    setting.refuse(&user("alice"), 1).await;
    for _ in 0..100 {
        let done = AuditEntry::done(&Caller::anonymous(), AuditAction::CREATE_TOKEN, "yes");
        setting.registry.audit(done).await;
    }
    let entries = setting.entries_after(60).await;
    assert_eq!((entries.len(), &*entries[0], &*entries[100]), (101, "alice: no", "nobody: yes"));

    setting.pass(6);
    setting.refuse(&Caller::anonymous(), 3).await;
    setting.pass(6);
    setting.refuse(&Caller::anonymous(), 1).await;
    assert_eq!(
        setting.entries_after(161).await,
        [
            "nobody: [40 refusals before this one are left out] no",
            "nobody: [2 refusals before this one are left out] no"
        ]
    );
}

#[tokio::test]
async fn what_is_refused_to_one_user_fills_no_trail() {
    let setting = Setting::new();
    setting.refuse(&user("alice"), 100).await;
    setting.refuse(&user("bob"), 1).await;
    let entries = setting.entries_after(0).await;
    assert_eq!((&entries[..60], &*entries[60]), (&vec!["alice: no".to_owned(); 60][..], "bob: no"));
    assert_eq!((entries.len(), setting.told.0.load(Ordering::Relaxed)), (61, 101));
    setting.pass(6);
    setting.refuse(&user("bob"), 1).await;
    setting.refuse(&user("alice"), 1).await;
    let expected = ["bob: no", "alice: [40 refusals before this one are left out] no"];
    assert_eq!(setting.entries_after(61).await, expected);
}

#[tokio::test]
async fn a_flood_from_one_network_hides_nobody_elses_refusals() {
    let setting = Setting::new();
    for last in 0..100 {
        // Of IPv6, a client has all addresses of its network.
        setting.refuse(&at(&format!("2001:db8::{last}")), 1).await;
    }
    assert_eq!(setting.entries_after(0).await.len(), 20);
    setting.refuse(&at("192.0.2.1"), 2).await;
    let expected = ["nobody: [80 refusals before this one are left out] no", "nobody: no"];
    assert_eq!(setting.entries_after(20).await, expected);
    // A third of what is noted of all who are nobody, at each time.
    setting.pass(17);
    setting.refuse(&at("2001:db8::1"), 1).await;
    assert!(setting.entries_after(22).await.is_empty());
    setting.pass(1);
    setting.refuse(&at("2001:db8::1"), 1).await;
    assert_eq!(setting.entries_after(22).await.len(), 1);
}

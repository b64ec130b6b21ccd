//! The promises of [`AuditLog`], and of an [`Index`] that writes to it; see
//! [`audit_log_conformance!`](crate::audit_log_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use tokio::task::JoinSet;

use super::{
    Bench,
    record_fixture::{
        PUBLISHED_AT, add_owner, canonical, checksum, first, login, owner, publish, remove_owner,
        set_yanked, version,
    },
};
use crate::{
    audit::{AuditAction, AuditEntry, AuditLog, AuditOutcome, AuditQuery, AuditRecord, AuditText},
    auth::{CredentialId, TokenHash, TokenId},
    index::{Index, IndexError},
    record::{ChangeKind, CrateRecord, Origin, Timestamp, Transition},
};

/// Proves an [`AuditLog`] with the [`Index`] whose commits it records, one `#[test]` per promise, in
/// a module of the name given. The set-up gives both: `(index, log)`.
///
/// ```
/// use registry_core::memory::{MemoryAudit, MemoryIndex};
///
/// registry_core::audit_log_conformance!(memory, volatile: async || {
///     let log = MemoryAudit::new();
///     (MemoryIndex::new().with_audit(log.clone()), log)
/// });
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` logs.
#[macro_export]
macro_rules! audit_log_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, audit_log;
            any:
                a_new_log_is_empty
                an_entry_comes_back_whole
                an_entry_that_says_little_comes_back_whole
                the_same_again_is_a_second_entry
                a_query_is_answered_with_what_matches_all_of_it
                a_long_trail_is_read_in_pages
                every_commit_has_its_entry
                a_commit_that_was_refused_has_no_entry
                one_of_many_racing_commits_has_an_entry
                no_concurrent_entry_is_lost;
            durable:
                the_trail_is_there_after_a_restart
                two_handles_write_one_trail;
            absent:;
        }
    };
}

/// An index, and the log in which its commits are.
#[derive(Debug)]
pub struct Audited {
    index: Arc<dyn Index>,
    log: Arc<dyn AuditLog>,
}

/// Both as the tests use them.
pub fn share((index, log): (impl Index, impl AuditLog)) -> Arc<Audited> {
    Arc::new(Audited { index: Arc::new(index), log: Arc::new(log) })
}

impl Audited {
    async fn trail(&self) -> Vec<AuditEntry> {
        entries(self.query(AuditQuery::default()).await)
    }

    async fn query(&self, query: AuditQuery) -> Vec<AuditRecord> {
        let found = self.log.query(&query).await.unwrap();
        let ids: Vec<_> = found.iter().map(|record| record.id).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert!(ids.iter().all(|id| *id > query.after), "{ids:?}");
        found
    }

    async fn append(&self, entry: &AuditEntry) {
        self.log.append(entry).await.unwrap();
    }
}

fn entries(records: Vec<AuditRecord>) -> Vec<AuditEntry> {
    records.into_iter().map(|record| record.entry).collect()
}

/// A refusal with something in every field.
fn refusal() -> AuditEntry {
    AuditEntry {
        at: PUBLISHED_AT,
        login: Some(login("alice")),
        credential: Some(AuditText::new("token 17")),
        action: AuditAction::PUBLISH,
        crate_name: Some(canonical("foo-bar")),
        version: Some(version("1.0.0-rc.1+build")),
        outcome: AuditOutcome::Refused,
        detail: Some(AuditText::new("\0 it's `so`; \"é\" \u{1f980} \u{1b}[2J")),
        request: Some(AuditText::new("request-1")),
        address: Some("2001:db8::1".parse().unwrap()),
    }
}

/// That somebody did something of whom nothing is known.
fn bare() -> AuditEntry {
    AuditEntry {
        at: Timestamp(0),
        login: None,
        credential: None,
        action: AuditAction::new("of-the-host").unwrap(),
        crate_name: None,
        version: None,
        outcome: AuditOutcome::Done,
        detail: None,
        request: None,
        address: None,
    }
}

pub async fn a_new_log_is_empty(bench: Bench<Audited>) {
    assert_eq!(bench.open().await.trail().await, []);
}

pub async fn an_entry_comes_back_whole(bench: Bench<Audited>) {
    let audited = bench.open().await;
    let over_ipv4 = AuditEntry { address: Some("192.0.2.7".parse().unwrap()), ..refusal() };
    let long = AuditEntry { detail: Some(AuditText::new(&"\u{1f980}".repeat(600))), ..refusal() };
    for entry in [&refusal(), &over_ipv4, &long] {
        audited.append(entry).await;
    }
    assert_eq!(audited.trail().await, [refusal(), over_ipv4, long]);
}

pub async fn an_entry_that_says_little_comes_back_whole(bench: Bench<Audited>) {
    let audited = bench.open().await;
    audited.append(&bare()).await;
    let empty = AuditEntry { detail: Some(AuditText::new("")), ..bare() };
    audited.append(&empty).await;
    assert_eq!(audited.trail().await, [bare(), empty]);
}

pub async fn the_same_again_is_a_second_entry(bench: Bench<Audited>) {
    let audited = bench.open().await;
    audited.append(&refusal()).await;
    audited.append(&refusal()).await;
    assert_eq!(audited.trail().await, [refusal(), refusal()]);
}

pub async fn a_query_is_answered_with_what_matches_all_of_it(bench: Bench<Audited>) {
    let audited = bench.open().await;
    let mut all = Vec::new();
    for (number, user) in ["alice", "Alice", "bob"].into_iter().enumerate() {
        for (action, crate_name) in
            [(AuditAction::PUBLISH, "foo"), (AuditAction::YANK, "foo_"), (AuditAction::YANK, "%")]
        {
            for outcome in [AuditOutcome::Done, AuditOutcome::Refused] {
                all.push(AuditEntry {
                    login: Some(login(user)),
                    action: action.clone(),
                    crate_name: crate::CanonicalName::new(crate_name).ok(),
                    outcome,
                    at: Timestamp(100 + number as u64),
                    ..refusal()
                });
            }
        }
    }
    all.push(bare());
    for entry in &all {
        audited.append(entry).await;
    }
    let query = AuditQuery::default;
    let [alice, unknown] = [Some(login("alice")), Some(login("foo"))];
    for query in [
        query(),
        AuditQuery { login: alice.clone(), ..query() },
        AuditQuery { login: unknown, ..query() },
        AuditQuery { crate_name: Some(canonical("foo")), ..query() },
        AuditQuery { crate_name: Some(canonical("foo_")), ..query() },
        AuditQuery { action: Some(AuditAction::YANK), ..query() },
        AuditQuery { outcome: Some(AuditOutcome::Done), ..query() },
        AuditQuery { since: Some(Timestamp(101)), ..query() },
        AuditQuery { until: Some(Timestamp(101)), ..query() },
        AuditQuery { since: Some(Timestamp(101)), until: Some(Timestamp(102)), ..query() },
        AuditQuery {
            login: alice,
            crate_name: Some(canonical("foo")),
            action: Some(AuditAction::PUBLISH),
            outcome: Some(AuditOutcome::Refused),
            since: Some(Timestamp(100)),
            until: Some(Timestamp(101)),
            ..query()
        },
    ] {
        let expected: Vec<_> = all.iter().filter(|entry| query.matches(entry)).cloned().collect();
        assert_eq!(entries(audited.query(query.clone()).await), expected, "{query:?}");
    }
}

pub async fn a_long_trail_is_read_in_pages(bench: Bench<Audited>) {
    let audited = bench.open().await;
    let nth = |number| AuditEntry {
        at: Timestamp(number),
        login: Some(login(["alice", "bob"][number as usize % 2])),
        ..refusal()
    };
    for number in 0..25 {
        audited.append(&nth(number)).await;
    }
    let limit = NonZeroUsize::new(4).unwrap();
    for user in [None, Some(login("bob"))] {
        let mut read = Vec::new();
        let mut after = 0;
        loop {
            let query = AuditQuery { login: user.clone(), after, limit, ..AuditQuery::default() };
            let page = audited.query(query).await;
            let Some(last) = page.last() else { break };
            after = last.id;
            assert!(page.len() <= 4);
            read.extend(entries(page));
        }
        let mut expected: Vec<_> = (0..25).map(nth).collect();
        expected.retain(|entry| user.is_none() || entry.login == user);
        assert_eq!(read, expected);
    }
}

/// A write by a token, from somewhere.
fn origin() -> Origin {
    Origin {
        request: Some("request-2".into()),
        credential: Some(CredentialId::Token(TokenId::of(&TokenHash::from_bytes([0; 32])))),
        address: Some("192.0.2.1".parse().unwrap()),
    }
}

fn by_token((record, mut change): Transition) -> Transition {
    change.stamp.origin = origin();
    (record, change)
}

pub async fn every_commit_has_its_entry(bench: Bench<Audited>) {
    let audited = bench.open().await;
    let (mut record, change) = by_token(first("Foo-Bar", "1.0.0"));
    let mut revision = audited.index.commit(None, &change, &record).await.unwrap();
    let steps: [fn(&CrateRecord) -> Transition; 6] = [
        |record| publish(record, "1.1.0+build"),
        |record| set_yanked(record, "1.0.0", true),
        |record| set_yanked(record, "1.0.0", false),
        |record| {
            let (bob, carol) = (owner(2, "bob"), owner(3, "carol"));
            record.add_owners(&[bob, carol], super::record_fixture::stamp()).unwrap().unwrap()
        },
        |record| remove_owner(record, &login("carol")),
        |record| {
            let (next, mut change) = publish(record, "2.0.0");
            change.kind = ChangeKind::Imported(next.releases().to_vec());
            (next, change)
        },
    ];
    for step in steps {
        let (next, change) = by_token(step(&record));
        revision = audited.index.commit(Some(&revision), &change, &next).await.unwrap();
        record = next;
    }
    let file = |version| format!("sha256:{}", checksum("Foo-Bar", version));
    let expected = [
        (AuditAction::PUBLISH, Some("1.0.0"), Some(file("1.0.0"))),
        (AuditAction::PUBLISH, Some("1.1.0+build"), Some(file("1.1.0+build"))),
        (AuditAction::YANK, Some("1.0.0"), None),
        (AuditAction::UNYANK, Some("1.0.0"), None),
        (AuditAction::ADD_OWNERS, None, Some("bob, carol".into())),
        (AuditAction::REMOVE_OWNERS, None, Some("carol".into())),
        (AuditAction::IMPORT, None, Some("3 versions".into())),
    ];
    let expected = expected.map(|(action, number, detail)| AuditEntry {
        at: PUBLISHED_AT,
        login: Some(login("alice")),
        credential: Some(AuditText::new("token 0")),
        action,
        crate_name: Some(canonical("foo_bar")),
        version: number.map(version),
        outcome: AuditOutcome::Done,
        detail: detail.as_deref().map(AuditText::new),
        request: Some(AuditText::new("request-2")),
        address: Some("192.0.2.1".parse().unwrap()),
    });
    assert_eq!(audited.trail().await, expected);
}

pub async fn a_commit_that_was_refused_has_no_entry(bench: Bench<Audited>) {
    let audited = bench.open().await;
    let (record, change) = first("foo", "1.0.0");
    let revision = audited.index.commit(None, &change, &record).await.unwrap();
    audited.index.commit(None, &change, &record).await.unwrap_err();
    let (next, change) = publish(&record, "1.1.0");
    audited.index.commit(Some(&revision), &change, &next).await.unwrap();
    for (next, change) in [publish(&record, "1.2.0"), set_yanked(&record, "1.0.0", true)] {
        let refused = audited.index.commit(Some(&revision), &change, &next).await;
        assert!(matches!(refused, Err(IndexError::Conflict { .. })), "{refused:?}");
    }
    let versions = audited.trail().await.into_iter().map(|entry| entry.version);
    assert_eq!(versions.collect::<Vec<_>>(), [Some(version("1.0.0")), Some(version("1.1.0"))]);
}

pub async fn one_of_many_racing_commits_has_an_entry(bench: Bench<Audited>) {
    let audited = bench.open().await;
    let mut writers = JoinSet::new();
    for number in 0..20 {
        let index = audited.index.clone();
        writers.spawn(async move {
            let (record, change) = first("foo", &format!("{number}.0.0"));
            let won = index.commit(None, &change, &record).await.is_ok();
            won.then(|| record.releases()[0].version().clone())
        });
    }
    let winners: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    let written = audited.trail().await.into_iter().filter_map(|entry| entry.version);
    assert_eq!(written.collect::<Vec<_>>(), winners);
    assert_eq!(winners.len(), 1);
}

pub async fn no_concurrent_entry_is_lost(bench: Bench<Audited>) {
    let handles = [bench.open().await];
    race(&handles).await;
}

/// Commits and refusals at once, all of which are in the trail once.
async fn race(handles: &[Arc<Audited>]) {
    let mut writers = JoinSet::new();
    for number in 0..40 {
        let audited = Arc::clone(&handles[number % handles.len()]);
        writers.spawn(async move {
            let request = format!("request-{number}");
            if number / 2 % 2 == 0 {
                let entry = AuditEntry { request: Some(AuditText::new(&request)), ..refusal() };
                audited.append(&entry).await;
            } else {
                let (record, mut change) = first(&format!("crate-{number}"), "1.0.0");
                change.stamp.origin.request = Some(request);
                audited.index.commit(None, &change, &record).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    for audited in handles {
        let trail = audited.trail().await;
        let requests: BTreeSet<_> =
            trail.iter().map(|entry| entry.request.as_ref().unwrap().as_str()).collect();
        assert_eq!((trail.len(), requests.len()), (40, 40), "{requests:?}");
    }
}

pub async fn the_trail_is_there_after_a_restart(bench: Bench<Audited>) {
    let audited = bench.open().await;
    let (record, change) = first("foo", "1.0.0");
    let revision = audited.index.commit(None, &change, &record).await.unwrap();
    audited.append(&refusal()).await;
    let before = audited.query(AuditQuery::default()).await;
    drop(audited);
    let audited = bench.open().await;
    assert_eq!(audited.query(AuditQuery::default()).await, before);
    let (next, change) = add_owner(&record, owner(2, "bob"));
    audited.index.commit(Some(&revision), &change, &next).await.unwrap();
    let outcomes = audited.trail().await.into_iter().map(|entry| entry.outcome.as_str());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["done", "refused", "done"]);
}

pub async fn two_handles_write_one_trail(bench: Bench<Audited>) {
    let handles = [bench.open().await, bench.open().await];
    race(&handles).await;
}

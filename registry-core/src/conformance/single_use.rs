//! The promises of [`SingleUse`]; see [`single_use_conformance!`](crate::single_use_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Bench;
use crate::{
    auth::{SINGLE_USE_MARGIN, SingleUse},
    checksum::Checksum,
    record::Timestamp,
};

/// Proves a [`SingleUse`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemorySingleUse;
///
/// registry_core::single_use_conformance!(memory, volatile: async || MemorySingleUse::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! single_use_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, single_use;
            any:
                a_second_claim_is_refused
                what_is_claimed_stays_so_while_it_could_count
                what_no_longer_counts_is_forgotten
                any_time_can_be_told
                of_claims_at_once_one_is_the_first;
            durable:
                what_is_claimed_stays_so_after_a_restart
                of_claims_by_two_handles_one_is_the_first;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl SingleUse) -> Arc<dyn SingleUse> {
    Arc::new(store)
}

const NOW: u64 = 1_700_000_000;

async fn claim(store: &dyn SingleUse, what: &str, until: u64, now: u64) -> bool {
    store.claim(&Checksum::of(what), Timestamp(until), Timestamp(now)).await.unwrap()
}

pub async fn a_second_claim_is_refused(bench: Bench<dyn SingleUse>) {
    let store = bench.open().await;
    assert!(claim(&*store, "one", NOW + 60, NOW).await);
    assert!(claim(&*store, "another", NOW + 60, NOW).await);
    assert!(!claim(&*store, "one", NOW + 60, NOW).await);
    // Whatever the second one says of its end.
    assert!(!claim(&*store, "one", NOW + 600, NOW + 1).await);
    assert!(!claim(&*store, "another", NOW, NOW).await);
}

pub async fn what_is_claimed_stays_so_while_it_could_count(bench: Bench<dyn SingleUse>) {
    let store = bench.open().await;
    assert!(claim(&*store, "one", NOW + 60, NOW).await);
    // Others are claimed meanwhile, by clocks that are ahead as far as they may be.
    for (i, later) in [0, 59, 60, 60 + SINGLE_USE_MARGIN].into_iter().enumerate() {
        assert!(claim(&*store, &format!("other {i}"), NOW + 9_999, NOW + later).await);
        assert!(!claim(&*store, "one", NOW + 60, NOW).await, "after {later} s");
    }
}

pub async fn what_no_longer_counts_is_forgotten(bench: Bench<dyn SingleUse>) {
    let store = bench.open().await;
    for i in 0..5 {
        assert!(claim(&*store, &format!("old {i}"), NOW + 60, NOW).await);
    }
    let later = NOW + 60 + SINGLE_USE_MARGIN + 1;
    for i in 0..50 {
        assert!(claim(&*store, &format!("new {i}"), later + 60, later).await);
    }
    // There is room for them again: nothing else is seen of it from outside.
    for i in 0..5 {
        assert!(claim(&*store, &format!("old {i}"), later + 60, later).await);
    }
}

pub async fn any_time_can_be_told(bench: Bench<dyn SingleUse>) {
    let store = bench.open().await;
    assert!(claim(&*store, "for ever", u64::MAX, NOW).await);
    assert!(!claim(&*store, "for ever", u64::MAX, u64::MAX).await);
    assert!(claim(&*store, "at the beginning", 0, 0).await);
    assert!(!claim(&*store, "at the beginning", 0, 0).await);
}

async fn race(handles: &[Arc<dyn SingleUse>]) {
    let mut claims = JoinSet::new();
    for i in 0..40 {
        let store = handles[i % handles.len()].clone();
        // Each of ten things, four times.
        claims.spawn(async move { claim(&*store, &format!("thing {}", i / 4), NOW, NOW).await });
    }
    let first = claims.join_all().await.into_iter().filter(|first| *first).count();
    assert_eq!(first, 10);
}

pub async fn of_claims_at_once_one_is_the_first(bench: Bench<dyn SingleUse>) {
    race(&[bench.open().await]).await;
}

pub async fn what_is_claimed_stays_so_after_a_restart(bench: Bench<dyn SingleUse>) {
    let store = bench.open().await;
    assert!(claim(&*store, "one", NOW + 60, NOW).await);
    drop(store);
    assert!(!claim(&*bench.open().await, "one", NOW + 60, NOW).await);
}

pub async fn of_claims_by_two_handles_one_is_the_first(bench: Bench<dyn SingleUse>) {
    race(&[bench.open().await, bench.open().await]).await;
}

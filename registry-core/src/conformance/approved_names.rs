//! The promises of [`ApprovedNames`]; see
//! [`approved_names_conformance!`](crate::approved_names_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::sync::Arc;

use super::{Bench, record_fixture::login};
use crate::{
    auth::{ApprovedName, ApprovedNames},
    name::CanonicalName,
    record::Timestamp,
};

/// Proves an [`ApprovedNames`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemoryApprovedNames;
///
/// registry_core::approved_names_conformance!(memory, volatile: async || MemoryApprovedNames::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! approved_names_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, approved_names;
            any:
                what_is_approved_is_found_as_it_was_given
                a_later_approval_takes_the_place_of_an_earlier_one
                what_is_revoked_is_no_longer_found
                approvals_are_listed_by_name;
            durable:
                approvals_are_there_after_a_restart;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl ApprovedNames) -> Arc<dyn ApprovedNames> {
    Arc::new(store)
}

fn name(name: &str) -> CanonicalName {
    CanonicalName::new(name).unwrap()
}

fn approved(new: &str, for_login: Option<&str>) -> ApprovedName {
    let by = "Administrator 'of' the house".to_owned();
    ApprovedName { name: name(new), login: for_login.map(login), at: Timestamp(7), by }
}

pub async fn what_is_approved_is_found_as_it_was_given(bench: Bench<dyn ApprovedNames>) {
    let store = bench.open().await;
    assert_eq!(store.find(&name("a")).await.unwrap(), None);
    for given in [approved("a", None), approved("b_c", Some("group:ui"))] {
        store.approve(&given).await.unwrap();
        assert_eq!(store.find(&given.name).await.unwrap(), Some(given));
    }
    assert_eq!(store.find(&name("b")).await.unwrap(), None);
    assert_eq!(store.find(&name("B-C")).await.unwrap(), Some(approved("b_c", Some("group:ui"))));
}

pub async fn a_later_approval_takes_the_place_of_an_earlier_one(bench: Bench<dyn ApprovedNames>) {
    let store = bench.open().await;
    store.approve(&approved("a", Some("alice"))).await.unwrap();
    let by = "another".to_owned();
    let later = ApprovedName { at: Timestamp(8), by, ..approved("a", None) };
    store.approve(&later).await.unwrap();
    assert_eq!(store.list().await.unwrap(), [later]);
}

pub async fn what_is_revoked_is_no_longer_found(bench: Bench<dyn ApprovedNames>) {
    let store = bench.open().await;
    store.approve(&approved("a", None)).await.unwrap();
    store.approve(&approved("b", None)).await.unwrap();
    assert!(store.revoke(&name("a")).await.unwrap());
    assert!(!store.revoke(&name("a")).await.unwrap());
    assert_eq!(store.find(&name("a")).await.unwrap(), None);
    assert_eq!(store.list().await.unwrap(), [approved("b", None)]);
}

pub async fn approvals_are_listed_by_name(bench: Bench<dyn ApprovedNames>) {
    let store = bench.open().await;
    let names = ["z", "a_b", "a", "ab", "a1"];
    for new in names {
        store.approve(&approved(new, None)).await.unwrap();
    }
    let listed: Vec<_> = store.list().await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(listed, ["a", "a1", "a_b", "ab", "z"].map(name));
}

pub async fn approvals_are_there_after_a_restart(bench: Bench<dyn ApprovedNames>) {
    let given = approved("a", Some("alice"));
    bench.open().await.approve(&given).await.unwrap();
    assert_eq!(bench.open().await.find(&given.name).await.unwrap(), Some(given));
}

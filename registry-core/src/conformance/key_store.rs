//! The promises of [`KeyStore`]; see [`key_store_conformance!`](crate::key_store_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::JoinSet;

use super::{
    Bench,
    record_fixture::{login, owner, vouched},
};
use crate::{
    auth::{AuthStoreError, KeyRecord, KeyRefusal, KeyStore, PublicKey, Vouched},
    record::Timestamp,
};

/// Proves a [`KeyStore`], one `#[test]` per promise, in a module of the name given. The store has to
/// know the users `alice` of id 1 and `bob` of id 2.
///
/// ```
/// use registry_core::memory::MemoryKeys;
///
/// registry_core::key_store_conformance!(memory, volatile: async || MemoryKeys::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! key_store_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, key_store;
            any:
                a_key_is_found_as_it_was_registered
                unknown_keys_are_absent
                keys_are_listed_as_they_were_registered
                a_key_is_registered_once
                users_whom_only_others_know_have_keys
                groups_have_no_keys
                a_revoked_key_stays_revoked
                of_users_at_once_one_has_the_key;
            durable:
                keys_are_there_after_a_restart
                a_revocation_is_seen_by_another_handle;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl KeyStore) -> Arc<dyn KeyStore> {
    Arc::new(store)
}

/// A key of this user; the number makes it another one.
fn key(user: &str, number: u8) -> KeyRecord {
    let mut key = [2; 49];
    key[48] = number;
    let key = PublicKey(key);
    let ids = BTreeMap::from([("alice", 1), ("bob", 2)]);
    KeyRecord {
        id: key.id(),
        key,
        user: owner(ids[user], user),
        name: "laptop, of „Ä“".into(),
        subject: None,
        vouched: Vouched::default(),
        created_at: Timestamp(1_700_000_000),
        revoked_at: None,
    }
}

fn refusal(result: Result<(), AuthStoreError>) -> KeyRefusal {
    result.unwrap_err().source.downcast_ref::<KeyRefusal>().unwrap().clone()
}

pub async fn a_key_is_found_as_it_was_registered(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let plain = key("alice", 1);
    let subject = KeyRecord { subject: Some("team~1".into()), vouched: vouched(), ..key("bob", 2) };
    let revoked = KeyRecord { revoked_at: Some(Timestamp(1_700_000_001)), ..key("bob", 3) };
    for key in [&plain, &subject, &revoked] {
        store.add(key).await.unwrap();
        assert_eq!(store.find(&key.id).await.unwrap().as_ref(), Some(key));
    }
}

pub async fn unknown_keys_are_absent(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    store.add(&key("alice", 1)).await.unwrap();
    let other = key("alice", 2).id;
    assert_eq!(store.find(&other).await.unwrap(), None);
    assert_eq!(store.revoke(&other, Timestamp(1)).await.unwrap(), None);
    assert_eq!(store.list(Some(&login("bob"))).await.unwrap(), []);
    assert_eq!(store.list(Some(&login("carol"))).await.unwrap(), []);
}

pub async fn keys_are_listed_as_they_were_registered(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let later = KeyRecord { created_at: Timestamp(1_700_000_009), ..key("alice", 1) };
    let of_bob = KeyRecord { created_at: Timestamp(1_700_000_005), ..key("bob", 2) };
    let mut same = [key("alice", 3), key("alice", 4), key("alice", 5)];
    same.sort_by(|one, other| one.id.cmp(&other.id));
    let [one, two, three] = same;
    for key in [&later, &three, &one, &of_bob, &two] {
        store.add(key).await.unwrap();
    }
    let revoked = store.revoke(&two.id, Timestamp(1_700_000_010)).await.unwrap().unwrap();
    let of_alice = [one.clone(), revoked.clone(), three.clone(), later.clone()];
    assert_eq!(store.list(Some(&login("alice"))).await.unwrap(), of_alice);
    assert_eq!(store.list(Some(&login("bob"))).await.unwrap(), std::slice::from_ref(&of_bob));
    assert_eq!(store.list(None).await.unwrap(), [one, revoked, three, of_bob, later]);
}

pub async fn a_key_is_registered_once(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let first = key("alice", 1);
    store.add(&first).await.unwrap();
    // As after an answer that was lost.
    let again = KeyRecord { name: "other".into(), created_at: Timestamp(9), ..first.clone() };
    store.add(&again).await.unwrap();
    let subject = KeyRecord { subject: Some("ci".into()), ..first.clone() };
    for other in [key("bob", 1), subject] {
        assert_eq!(refusal(store.add(&other).await), KeyRefusal::Taken);
    }
    assert_eq!(store.find(&first.id).await.unwrap(), Some(first));
}

/// The id is the store's, or that by which they come; the same for all their keys.
pub async fn users_whom_only_others_know_have_keys(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let user = owner(1 << 31 | 17, "corp:alice");
    let one = KeyRecord { user: user.clone(), vouched: vouched(), ..key("alice", 1) };
    let two = KeyRecord { user, subject: Some("ci".into()), ..key("alice", 2) };
    let two = KeyRecord { created_at: Timestamp(1_700_000_009), ..two };
    let of_alice = key("alice", 3);
    for key in [&one, &of_alice, &two, &one] {
        store.add(key).await.unwrap();
    }
    let kept = store.find(&one.id).await.unwrap().unwrap().user;
    let one = KeyRecord { user: kept.clone(), ..one };
    let two = KeyRecord { user: kept.clone(), ..two };
    assert_eq!(kept, owner(kept.id, "corp:alice"));
    assert_ne!(kept.id, of_alice.user.id);
    assert_eq!(store.find(&one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(store.list(Some(&kept.login)).await.unwrap(), [one.clone(), two.clone()]);
    // As one of them was listed here.
    store.add(&two).await.unwrap();
    let taken = KeyRecord { user: of_alice.user.clone(), ..one.clone() };
    assert_eq!(refusal(store.add(&taken).await), KeyRefusal::Taken);
    assert_eq!(store.list(Some(&of_alice.user.login)).await.unwrap(), [of_alice]);
    let revoked = KeyRecord { revoked_at: Some(Timestamp(5)), ..one };
    assert_eq!(store.revoke(&revoked.id, Timestamp(5)).await.unwrap().as_ref(), Some(&revoked));
    assert_eq!(store.list(Some(&kept.login)).await.unwrap(), [revoked, two]);
}

pub async fn groups_have_no_keys(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let user = owner(9, "group:ui");
    let key = KeyRecord { user: user.clone(), ..key("alice", 1) };
    assert_eq!(refusal(store.add(&key).await), KeyRefusal::UnknownUser { login: user.login });
    assert_eq!(store.find(&key.id).await.unwrap(), None);
}

pub async fn a_revoked_key_stays_revoked(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let (key, other) = (key("alice", 1), key("alice", 2));
    store.add(&key).await.unwrap();
    store.add(&other).await.unwrap();
    let revoked = KeyRecord { revoked_at: Some(Timestamp(5)), ..key.clone() };
    for at in [5, 6] {
        let told = store.revoke(&key.id, Timestamp(at)).await.unwrap();
        assert_eq!(told.as_ref(), Some(&revoked));
        assert_eq!(store.find(&key.id).await.unwrap().as_ref(), Some(&revoked));
    }
    assert_eq!(refusal(store.add(&key).await), KeyRefusal::Taken);
    assert_eq!(store.find(&key.id).await.unwrap(), Some(revoked));
    assert_eq!(store.find(&other.id).await.unwrap(), Some(other));
}

pub async fn of_users_at_once_one_has_the_key(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let mut writers = JoinSet::new();
    for i in 0..20 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let user = ["alice", "bob"][i % 2];
            store.add(&key(user, 1)).await.is_ok().then_some(user)
        });
    }
    let mut winners: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    winners.dedup();
    let [winner] = winners[..] else { panic!("{winners:?} have one key") };
    let found = store.find(&key(winner, 1).id).await.unwrap().unwrap();
    assert_eq!(found, key(winner, 1));
}

pub async fn keys_are_there_after_a_restart(bench: Bench<dyn KeyStore>) {
    let store = bench.open().await;
    let (one, two) = (key("alice", 1), key("bob", 2));
    store.add(&one).await.unwrap();
    store.add(&two).await.unwrap();
    let revoked = store.revoke(&two.id, Timestamp(5)).await.unwrap();
    drop(store);
    let store = bench.open().await;
    assert_eq!(store.find(&one.id).await.unwrap(), Some(one));
    assert_eq!(store.find(&two.id).await.unwrap(), revoked);
}

pub async fn a_revocation_is_seen_by_another_handle(bench: Bench<dyn KeyStore>) {
    let (here, there) = (bench.open().await, bench.open().await);
    let key = key("alice", 1);
    here.add(&key).await.unwrap();
    assert_eq!(there.find(&key.id).await.unwrap().as_ref(), Some(&key));
    here.revoke(&key.id, Timestamp(5)).await.unwrap();
    let revoked = KeyRecord { revoked_at: Some(Timestamp(5)), ..key };
    assert_eq!(there.find(&revoked.id).await.unwrap(), Some(revoked));
}

//! The promises of [`TokenTransfer`]; see
//! [`token_transfer_conformance!`](crate::token_transfer_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::sync::Arc;

use super::{Bench, record_fixture::login};
use crate::{
    auth::{
        AdoptionError, AuthStoreError, TokenDigest, TokenStore as _, TokenTransfer, UserTokens,
    },
    memory::MemoryTokens,
    owner::Owner,
};

/// Proves a [`TokenTransfer`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemoryTokens;
///
/// registry_core::token_transfer_conformance!(memory, volatile: async || MemoryTokens::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! token_transfer_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, token_transfer;
            any:
                users_are_exported_as_they_were_made
                users_come_over_as_they_are
                adopting_again_adds_what_came_since
                users_made_later_have_other_ids
                who_cannot_be_as_they_are_is_refused_whole;
            durable:
                adopted_users_are_there_after_a_restart;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl TokenTransfer) -> Arc<dyn TokenTransfer> {
    Arc::new(store)
}

/// A user with these tokens.
fn user(id: u32, login: &str, tokens: &[&str]) -> UserTokens {
    let mut tokens: Vec<_> = tokens.iter().map(|token| TokenDigest::of(token)).collect();
    tokens.sort();
    let name = (id == 3).then(|| "Ünïcode \"quoted\"".to_owned());
    UserTokens { user: Owner { id, login: self::login(login), name }, tokens }
}

/// Users as a store with some history has them.
fn users() -> Vec<UserTokens> {
    vec![user(3, "carol", &["c1", "c2", "c3"]), user(7, "bob", &[]), user(9, "alice", &["a1"])]
}

async fn adopt_all(store: &dyn TokenTransfer) {
    for user in users() {
        store.adopt(&user).await.unwrap();
    }
}

/// Why a user was not adopted.
fn adoption_error(error: &AuthStoreError) -> &AdoptionError {
    error.source.downcast_ref().unwrap_or_else(|| panic!("{error:?}"))
}

pub async fn users_are_exported_as_they_were_made(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    assert_eq!(store.export().await.unwrap(), []);
    let create = async |login: &str, token: &str| {
        store.create(&self::login(login), &TokenDigest::of(token)).await.unwrap()
    };
    let (alice, bob) = (create("alice", "a1").await, create("bob", "b1").await);
    create("alice", "a2").await;
    let mut expected = [(alice, &["a1", "a2"][..]), (bob, &["b1"])]
        .map(|(user, tokens)| UserTokens { user, ..self::user(0, "any", tokens) });
    expected.sort_by_key(|user| user.user.id);
    assert_eq!(store.export().await.unwrap(), expected);
}

pub async fn users_come_over_as_they_are(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    adopt_all(&*store).await;
    assert_eq!(store.export().await.unwrap(), users());
    for UserTokens { user, tokens } in users() {
        assert_eq!(store.user(&user.login).await.unwrap().as_ref(), Some(&user));
        for token in tokens {
            assert_eq!(store.find(&token).await.unwrap().as_ref(), Some(&user));
        }
    }
    // And on to the next.
    let next = MemoryTokens::new();
    for user in store.export().await.unwrap() {
        next.adopt(&user).await.unwrap();
    }
    assert_eq!(next.export().await.unwrap(), users());
}

pub async fn adopting_again_adds_what_came_since(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    adopt_all(&*store).await;
    adopt_all(&*store).await;
    assert_eq!(store.export().await.unwrap(), users());
    let bob = user(7, "bob", &["b1", "b2"]);
    store.adopt(&bob).await.unwrap();
    assert_eq!(store.export().await.unwrap()[1], bob);
}

pub async fn users_made_later_have_other_ids(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    adopt_all(&*store).await;
    let dave = store.create(&login("dave"), &TokenDigest::of("d1")).await.unwrap();
    assert!(users().iter().all(|user| user.user.id != dave.id), "{dave:?}");
    let bob = store.create(&login("bob"), &TokenDigest::of("b1")).await.unwrap();
    assert_eq!(bob.id, 7);
}

pub async fn who_cannot_be_as_they_are_is_refused_whole(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    adopt_all(&*store).await;
    for (refused, expected) in [
        (
            user(8, "bob", &["new"]),
            AdoptionError::OtherId { login: login("bob"), here: 7, there: 8 },
        ),
        (
            user(7, "robert", &["new"]),
            AdoptionError::IdTaken { id: 7, here: login("bob"), there: login("robert") },
        ),
        (user(12, "dave", &["a1", "new"]), AdoptionError::TokenTaken { login: login("dave") }),
    ] {
        let error = store.adopt(&refused).await.unwrap_err();
        assert_eq!(adoption_error(&error), &expected);
        assert_eq!(store.export().await.unwrap(), users());
    }
}

pub async fn adopted_users_are_there_after_a_restart(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    adopt_all(&*store).await;
    drop(store);
    let store = bench.open().await;
    assert_eq!(store.export().await.unwrap(), users());
    let dave = store.create(&login("dave"), &TokenDigest::of("d1")).await.unwrap();
    assert!(users().iter().all(|user| user.user.id != dave.id), "{dave:?}");
}

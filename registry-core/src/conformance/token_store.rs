//! The promises of [`TokenStore`]; see [`token_store_conformance!`](crate::token_store_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{collections::BTreeSet, sync::Arc};

use tokio::task::JoinSet;

use super::{Bench, record_fixture::login};
use crate::{
    auth::{TokenDigest, TokenStore},
    owner::{Login, Owner},
};

/// Proves a [`TokenStore`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemoryTokens;
///
/// registry_core::token_store_conformance!(memory, volatile: async || MemoryTokens::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! token_store_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, token_store;
            any:
                a_first_token_makes_a_user
                a_second_token_is_the_same_users
                users_have_ids_of_their_own
                logins_are_compared_as_they_are_spelled
                a_token_of_another_user_is_not_taken_over
                unknown_tokens_and_users_are_absent
                a_token_is_not_printed
                concurrent_tokens_of_one_login_make_one_user
                concurrent_first_tokens_make_users_of_their_own
                a_token_raced_for_is_one_users;
            durable:
                every_user_is_there_after_a_restart
                two_handles_are_one_store;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl TokenStore) -> Arc<dyn TokenStore> {
    Arc::new(store)
}

fn digest(token: &str) -> TokenDigest {
    TokenDigest::of(token)
}

async fn create(store: &dyn TokenStore, login: &str, token: &str) -> Owner {
    let user = store.create(&self::login(login), &digest(token)).await.unwrap();
    assert_eq!(user.login.as_str(), login);
    user
}

async fn assert_known(store: &dyn TokenStore, token: &str, user: &Owner) {
    assert_eq!(store.find(&digest(token)).await.unwrap().as_ref(), Some(user), "{token}");
    assert_eq!(store.user(&user.login).await.unwrap().as_ref(), Some(user), "{token}");
}

pub async fn a_first_token_makes_a_user(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    for login in ["alice", "a", "9", "github:org:team", &"x".repeat(Login::MAX_CHARS)] {
        let user = create(&*store, login, &format!("token of {login}")).await;
        assert_known(&*store, &format!("token of {login}"), &user).await;
    }
}

pub async fn a_second_token_is_the_same_users(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let alice = create(&*store, "alice", "first").await;
    let bob = create(&*store, "bob", "of bob").await;
    assert_eq!(create(&*store, "alice", "second").await, alice);
    // Remembering what is remembered already, as after an answer that was lost.
    assert_eq!(create(&*store, "alice", "first").await, alice);
    assert_known(&*store, "first", &alice).await;
    assert_known(&*store, "second", &alice).await;
    assert_known(&*store, "of bob", &bob).await;
}

pub async fn users_have_ids_of_their_own(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let mut ids = BTreeSet::new();
    for i in 0..20 {
        ids.insert(create(&*store, &format!("user{i}"), &format!("{i}")).await.id);
    }
    assert_eq!(ids.len(), 20);
}

pub async fn logins_are_compared_as_they_are_spelled(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let (lower, upper) = (create(&*store, "al_ce", "1").await, create(&*store, "AL_CE", "2").await);
    assert_ne!(lower.id, upper.id);
    assert_known(&*store, "1", &lower).await;
    assert_known(&*store, "2", &upper).await;
    for other in ["Al_ce", "alice", "al-ce", "al_ce.", "al_c"] {
        assert_eq!(store.user(&login(other)).await.unwrap(), None, "{other}");
    }
}

pub async fn a_token_of_another_user_is_not_taken_over(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let alice = create(&*store, "alice", "token").await;
    store.create(&login("bob"), &digest("token")).await.unwrap_err();
    assert_known(&*store, "token", &alice).await;
}

pub async fn unknown_tokens_and_users_are_absent(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    assert_eq!(store.find(&digest("token")).await.unwrap(), None);
    assert_eq!(store.user(&login("alice")).await.unwrap(), None);
    create(&*store, "alice", "token").await;
    for other in ["", "Token", "token ", "alice"] {
        assert_eq!(store.find(&digest(other)).await.unwrap(), None, "{other}");
    }
    assert_eq!(store.user(&login("bob")).await.unwrap(), None);
}

pub async fn a_token_is_not_printed(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    create(&*store, "alice", "token").await;
    let hex: String = digest("token").as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = format!("{:?}", digest("token").as_bytes());
    let printed = format!("{store:?}").to_lowercase();
    assert!(!printed.contains(&hex) && !printed.contains(bytes.trim_matches(['[', ']'])));
}

pub async fn concurrent_tokens_of_one_login_make_one_user(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    race_to_create(&[store]).await;
}

async fn race_to_create(handles: &[Arc<dyn TokenStore>]) {
    let mut writers = JoinSet::new();
    for i in 0..50 {
        let store = Arc::clone(&handles[i % handles.len()]);
        writers.spawn(async move {
            let login = ["alice", "bob"][i / 2 % 2];
            let token = format!("token {i}");
            (create(&*store, login, &token).await, token)
        });
    }
    let created = writers.join_all().await;
    let users: BTreeSet<(&str, u32)> =
        created.iter().map(|(user, _)| (user.login.as_str(), user.id)).collect();
    let ids: BTreeSet<u32> = users.iter().map(|(_, id)| *id).collect();
    assert_eq!((users.len(), ids.len()), (2, 2), "{users:?}");
    for store in handles {
        for (user, token) in &created {
            assert_known(&**store, token, user).await;
        }
    }
}

pub async fn concurrent_first_tokens_make_users_of_their_own(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let mut writers = JoinSet::new();
    for i in 0..50 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            (create(&*store, &format!("user{i}"), &format!("token {i}")).await, i)
        });
    }
    let created = writers.join_all().await;
    let ids: BTreeSet<u32> = created.iter().map(|(user, _)| user.id).collect();
    assert_eq!(ids.len(), 50, "{created:?}");
    for (user, i) in &created {
        assert_known(&*store, &format!("token {i}"), user).await;
    }
}

pub async fn a_token_raced_for_is_one_users(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let mut writers = JoinSet::new();
    for i in 0..50 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let login = login(&format!("user{i}"));
            (store.create(&login, &digest("token")).await, login)
        });
    }
    let mut winners = Vec::new();
    for (result, login) in writers.join_all().await {
        if let Ok(user) = result {
            assert_eq!(user.login, login);
            winners.push(user);
        }
    }
    let [winner] = &winners[..] else { panic!("{} got the token", winners.len()) };
    assert_known(&*store, "token", winner).await;
}

pub async fn every_user_is_there_after_a_restart(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let (alice, bob) = (create(&*store, "alice", "1").await, create(&*store, "bob", "2").await);
    drop(store);
    let store = bench.open().await;
    assert_known(&*store, "1", &alice).await;
    assert_known(&*store, "2", &bob).await;
    assert_eq!(create(&*store, "alice", "3").await, alice);
    let carol = create(&*store, "carol", "4").await;
    assert!(carol.id != alice.id && carol.id != bob.id);
}

pub async fn two_handles_are_one_store(bench: Bench<dyn TokenStore>) {
    let handles = [bench.open().await, bench.open().await];
    race_to_create(&handles).await;
}

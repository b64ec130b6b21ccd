//! The promises of [`TokenTransfer`]; see
//! [`token_transfer_conformance!`](crate::token_transfer_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::sync::Arc;

use super::{
    Bench,
    record_fixture::{login, vouched},
};
use crate::{
    auth::{
        AdoptionError, AuthStoreError, NewToken, Scopes, StoredToken, TokenDigest, TokenHash,
        TokenId, TokenKey, TokenKind, TokenRecord, TokenStore as _, TokenTransfer, UserTokens,
        Vouched,
    },
    memory::MemoryTokens,
    owner::Owner,
    record::Timestamp,
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
                tokens_of_two_stores_are_found_in_one
                what_was_revoked_meanwhile_is_revoked_here
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

/// A key that the tokens of another store are kept under.
const KEY: [u8; 32] = [7; 32];

fn hash(token: &str) -> TokenHash {
    TokenKey::from_bytes(KEY).hash(&TokenDigest::of(token))
}

/// A user with these tokens, as another store has them.
fn user(id: u32, login: &str, tokens: &[&str]) -> UserTokens {
    let name = (id == 3).then(|| "Ünïcode \"quoted\"".to_owned());
    let user = Owner { id, login: self::login(login), name };
    let stored = |token: &&str| StoredToken { hash: hash(token), token: record(&user, token) };
    let mut tokens: Vec<_> = tokens.iter().map(stored).collect();
    tokens.sort_by_key(|token| token.hash);
    UserTokens { user, tokens }
}

/// A token with something in each of its fields, but for one.
fn record(user: &Owner, token: &str) -> TokenRecord {
    let is_second = token.ends_with('2');
    TokenRecord {
        id: TokenId::of(&hash(token)),
        user: user.clone(),
        name: token.into(),
        kind: if is_second { TokenKind::TrustedPublisher } else { TokenKind::User },
        scopes: Scopes::read_only(),
        vouched: if is_second { vouched() } else { Vouched::default() },
        created_at: Timestamp(1_709_208_000),
        expires_at: is_second.then_some(Timestamp(1_709_208_900)),
        last_used_at: is_second.then_some(Timestamp(1_709_208_060)),
        revoked_at: is_second.then_some(Timestamp(1_709_208_100)),
    }
}

/// Users as a store with some history has them.
fn users() -> Vec<UserTokens> {
    vec![user(3, "carol", &["c1", "c2", "c3"]), user(7, "bob", &[]), user(9, "alice", &["a1"])]
}

async fn adopt_all(store: &dyn TokenTransfer) {
    store.add_keys(&[TokenKey::from_bytes(KEY)]).await.unwrap();
    for user in users() {
        store.adopt(&user).await.unwrap();
    }
}

async fn create(store: &dyn TokenTransfer, login: &str) -> Owner {
    let digest = TokenDigest::of(&format!("new of {login}"));
    let new = NewToken::new(&self::login(login), &digest, Timestamp(5));
    store.create(&new).await.unwrap().user
}

/// Why a user was not adopted.
fn adoption_error(error: &AuthStoreError) -> &AdoptionError {
    error.source.downcast_ref().unwrap_or_else(|| panic!("{error:?}"))
}

pub async fn users_are_exported_as_they_were_made(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    assert_eq!(store.export().await.unwrap(), []);
    let create = async |login: &str, token: &str| {
        let (login, digest) = (self::login(login), TokenDigest::of(token));
        let new = NewToken { name: token.into(), ..NewToken::new(&login, &digest, Timestamp(5)) };
        store.create(&new).await.unwrap()
    };
    let (a1, b1) = (create("alice", "a1").await, create("bob", "b1").await);
    let a2 = create("alice", "a2").await;
    let [key] = &store.keys().await.unwrap()[..] else { panic!("one key is made") };
    let mut expected = [vec![a1, a2], vec![b1]].map(|tokens| {
        let user = tokens[0].user.clone();
        let hash = |token: &TokenRecord| key.hash(&TokenDigest::of(&token.name));
        let stored = tokens.into_iter().map(|token| StoredToken { hash: hash(&token), token });
        let mut tokens: Vec<_> = stored.collect();
        tokens.sort_by_key(|token| token.hash);
        UserTokens { user, tokens }
    });
    expected.sort_by_key(|user| user.user.id);
    assert_eq!(store.export().await.unwrap(), expected);
}

pub async fn users_come_over_as_they_are(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    adopt_all(&*store).await;
    assert_eq!(store.export().await.unwrap(), users());
    for UserTokens { user, tokens } in users() {
        assert_eq!(store.user(&user.login).await.unwrap().as_ref(), Some(&user));
        for StoredToken { token, .. } in tokens {
            let digest = TokenDigest::of(&token.name);
            assert_eq!(store.find(&digest).await.unwrap(), Some(token));
        }
    }
    // And on to the next.
    let next = MemoryTokens::new();
    next.add_keys(&store.keys().await.unwrap()).await.unwrap();
    for user in store.export().await.unwrap() {
        next.adopt(&user).await.unwrap();
    }
    assert_eq!(next.export().await.unwrap(), users());
    assert!(next.find(&TokenDigest::of("a1")).await.unwrap().is_some());
}

pub async fn tokens_of_two_stores_are_found_in_one(bench: Bench<dyn TokenTransfer>) {
    let (store, other) = (bench.open().await, MemoryTokens::new());
    let create = async |store: &dyn TokenTransfer, login: &str, token: &str| {
        let new = NewToken::new(&self::login(login), &TokenDigest::of(token), Timestamp(5));
        store.create(&new).await.unwrap()
    };
    let mine = create(&*store, "alice", "mine").await;
    for login in ["alice", "bob"] {
        create(&other, login, &format!("there of {login}")).await;
    }
    for _ in 0..2 {
        store.add_keys(&other.keys().await.unwrap()).await.unwrap();
        assert_eq!(store.keys().await.unwrap().len(), 2);
    }
    for user in other.export().await.unwrap() {
        store.adopt(&user).await.unwrap();
    }
    for token in ["there of alice", "there of bob"] {
        let digest = TokenDigest::of(token);
        let found = store.find(&digest).await.unwrap();
        assert!(found.is_some() && found == other.find(&digest).await.unwrap(), "{token}");
    }
    assert_eq!(store.find(&TokenDigest::of("mine")).await.unwrap(), Some(mine));
    let new = create(&*store, "carol", "new").await;
    assert_eq!(store.find(&TokenDigest::of("new")).await.unwrap(), Some(new));
}

pub async fn what_was_revoked_meanwhile_is_revoked_here(bench: Bench<dyn TokenTransfer>) {
    let store = bench.open().await;
    adopt_all(&*store).await;
    let mut alice = user(9, "alice", &["a1"]);
    alice.tokens[0].token.revoked_at = Some(Timestamp(1_709_209_000));
    alice.tokens[0].token.last_used_at = Some(Timestamp(1_709_208_960));
    store.adopt(&alice).await.unwrap();
    assert_eq!(store.export().await.unwrap()[2], alice);
    // Not undone by an older copy.
    store.adopt(&user(9, "alice", &["a1"])).await.unwrap();
    assert_eq!(store.export().await.unwrap()[2], alice);
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
    let dave = create(&*store, "dave").await;
    assert!(users().iter().all(|user| user.user.id != dave.id), "{dave:?}");
    let bob = create(&*store, "bob").await;
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
    let dave = create(&*store, "dave").await;
    assert!(users().iter().all(|user| user.user.id != dave.id), "{dave:?}");
}

//! The promises of [`TokenStore`]; see [`token_store_conformance!`](crate::token_store_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{collections::BTreeSet, sync::Arc};

use tokio::task::JoinSet;

use super::{
    Bench,
    record_fixture::{login, vouched},
};
use crate::{
    auth::{
        CratePattern, EndpointScope, NewToken, Revocation, Scopes, TokenDigest, TokenId, TokenKind,
        TokenRecord, TokenRefusal, TokenStore,
    },
    owner::{Login, Owner},
    record::Timestamp,
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
                a_token_is_kept_as_it_was_made
                tokens_are_found_when_they_count_no_more
                tokens_are_listed_in_the_order_of_their_making
                a_token_is_revoked_by_its_id
                all_tokens_of_a_user_are_revoked
                the_last_use_is_the_latest
                groups_have_no_tokens
                a_user_has_500_tokens_that_count_and_no_more
                concurrent_tokens_of_one_login_make_one_user
                concurrent_first_tokens_make_users_of_their_own
                a_token_raced_for_is_one_users;
            durable:
                every_user_is_there_after_a_restart
                two_handles_are_one_store
                a_revocation_is_seen_by_every_handle
                revoked_tokens_are_there_after_a_restart;
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

/// A token of which nothing else is said.
fn new_token(login: &str, token: &str) -> NewToken {
    NewToken::new(&self::login(login), &digest(token), Timestamp(1_709_208_000))
}

async fn create(store: &dyn TokenStore, login: &str, token: &str) -> Owner {
    let created = store.create(&new_token(login, token)).await.unwrap();
    assert_eq!(created.user.login.as_str(), login);
    created.user
}

async fn assert_known(store: &dyn TokenStore, token: &str, user: &Owner) {
    let found = store.find(&digest(token)).await.unwrap().map(|token| token.user);
    assert_eq!(found.as_ref(), Some(user), "{token}");
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
    let error = store.create(&new_token("bob", "token")).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&TokenRefusal::Taken));
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
            let new = new_token(&format!("user{i}"), "token");
            (store.create(&new).await.map(|token| token.user), new.login)
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

/// A token with something in each of its fields.
fn whole_token(login: &str, token: &str, created_at: u64) -> NewToken {
    let crates = ["ui-*", "Foo"].map(|text| CratePattern::new(text).unwrap());
    NewToken {
        name: "Ünïcode \"quoted\"".into(),
        kind: TokenKind::TrustedPublisher,
        scopes: Scopes::new([EndpointScope::PublishUpdate, EndpointScope::Read], crates),
        vouched: vouched(),
        created_at: Timestamp(created_at),
        expires_at: Some(Timestamp(created_at + 1800)),
        ..new_token(login, token)
    }
}

/// What a store has to know of a token that was just made.
fn record_of(new: &NewToken, id: TokenId, user: &Owner) -> TokenRecord {
    TokenRecord {
        id,
        user: user.clone(),
        name: new.name.clone(),
        kind: new.kind,
        scopes: new.scopes.clone(),
        vouched: new.vouched.clone(),
        created_at: new.created_at,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    }
}

/// Makes tokens of these users, each a second after the one before.
async fn create_all(store: &dyn TokenStore, logins: &[&str]) -> Vec<TokenRecord> {
    let mut created = Vec::new();
    for (at, login) in (1_709_208_000..).zip(logins) {
        let new = whole_token(login, &format!("token {at}"), at);
        created.push(store.create(&new).await.unwrap());
    }
    created
}

fn revoked_at(at: u64, token: &TokenRecord) -> TokenRecord {
    TokenRecord { revoked_at: Some(Timestamp(at)), ..token.clone() }
}

pub async fn a_token_is_kept_as_it_was_made(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let whole = whole_token("alice", "whole", 1_709_208_000);
    let nothing =
        NewToken { scopes: Scopes::new([], []), ..new_token("alice", "good for nothing") };
    // As far as times go that a backend writes as signed numbers.
    let latest = i64::MAX as u64;
    let far = NewToken { expires_at: Some(Timestamp(latest)), ..new_token("alice", "far") };
    let mut ids = BTreeSet::new();
    for new in [whole, nothing, far] {
        let created = store.create(&new).await.unwrap();
        let user = store.user(&new.login).await.unwrap().unwrap();
        assert_eq!(created, record_of(&new, created.id, &user));
        assert_eq!(store.find(&new.digest).await.unwrap().as_ref(), Some(&created));
        // As after an answer that was lost: it stays as it is.
        let again = NewToken { name: "other".into(), ..new.clone() };
        assert_eq!(store.create(&again).await.unwrap(), created);
        assert_eq!(store.find(&new.digest).await.unwrap().as_ref(), Some(&created));
        ids.insert(created.id);
    }
    assert_eq!(ids.len(), 3);
}

pub async fn tokens_are_found_when_they_count_no_more(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let expired = NewToken { expires_at: Some(Timestamp(1)), ..new_token("alice", "expired") };
    let expired = store.create(&expired).await.unwrap();
    assert_eq!(store.find(&digest("expired")).await.unwrap(), Some(expired.clone()));
    let revoked = store.create(&new_token("alice", "revoked")).await.unwrap();
    store.revoke(&Revocation::Token(revoked.id), Timestamp(2)).await.unwrap();
    let found = store.find(&digest("revoked")).await.unwrap();
    assert_eq!(found, Some(revoked_at(2, &revoked)));
    let mut expected = vec![expired, revoked_at(2, &revoked)];
    expected.sort_by_key(|token| token.id);
    assert_eq!(store.list(None).await.unwrap(), expected);
}

pub async fn tokens_are_listed_in_the_order_of_their_making(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    assert_eq!(store.list(None).await.unwrap(), []);
    let tokens = create_all(&*store, &["alice", "bob", "alice", "carol", "alice"]).await;
    assert_eq!(store.list(None).await.unwrap(), tokens);
    for login in ["alice", "bob", "carol", "dave", "ALICE"] {
        let theirs: Vec<_> =
            tokens.iter().filter(|token| token.user.login.as_str() == login).cloned().collect();
        assert_eq!(store.list(Some(&self::login(login))).await.unwrap(), theirs, "{login}");
    }
    // Made at the same time: by id.
    let mut more = Vec::new();
    for number in 0..5 {
        let new = whole_token("erin", &format!("same {number}"), 1_709_208_000);
        more.push(store.create(&new).await.unwrap());
    }
    more.sort_by_key(|token| token.id);
    assert_eq!(store.list(Some(&login("erin"))).await.unwrap(), more);
}

pub async fn a_token_is_revoked_by_its_id(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let tokens = create_all(&*store, &["alice", "alice", "bob"]).await;
    let revocation = Revocation::Token(tokens[1].id);
    let revoked = revoked_at(5, &tokens[1]);
    assert_eq!(
        store.revoke(&revocation, Timestamp(5)).await.unwrap(),
        std::slice::from_ref(&revoked)
    );
    let expected = [tokens[0].clone(), revoked.clone(), tokens[2].clone()];
    assert_eq!(store.list(None).await.unwrap(), expected);
    // A second time changes nothing.
    assert_eq!(store.revoke(&revocation, Timestamp(9)).await.unwrap(), [revoked]);
    assert_eq!(store.list(None).await.unwrap(), expected);
    let ids: BTreeSet<_> = tokens.iter().map(|token| token.id).collect();
    let unused = (1..).filter_map(TokenId::from_number).find(|id| !ids.contains(id)).unwrap();
    assert_eq!(store.revoke(&Revocation::Token(unused), Timestamp(5)).await.unwrap(), []);
    assert_eq!(store.list(None).await.unwrap(), expected);
}

pub async fn all_tokens_of_a_user_are_revoked(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let tokens = create_all(&*store, &["alice", "bob", "alice", "alice"]).await;
    store.revoke(&Revocation::Token(tokens[2].id), Timestamp(5)).await.unwrap();
    let revoked = [(9, 0), (5, 2), (9, 3)].map(|(at, token)| revoked_at(at, &tokens[token]));
    let alice = Revocation::User(login("alice"));
    for at in [9, 10] {
        assert_eq!(store.revoke(&alice, Timestamp(at)).await.unwrap(), revoked);
    }
    assert_eq!(store.list(Some(&login("alice"))).await.unwrap(), revoked);
    assert_eq!(store.list(Some(&login("bob"))).await.unwrap(), tokens[1..2]);
    let nobody = Revocation::User(login("ALICE"));
    assert_eq!(store.revoke(&nobody, Timestamp(9)).await.unwrap(), []);
    // A token that is made later is another one.
    let later = store.create(&whole_token("alice", "later", 1_709_209_000)).await.unwrap();
    assert_eq!(store.find(&digest("later")).await.unwrap(), Some(later));
}

pub async fn the_last_use_is_the_latest(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let tokens = create_all(&*store, &["alice", "bob", "carol"]).await;
    let [alice, bob, _] = [0, 1, 2].map(|token| tokens[token].id);
    let ids: BTreeSet<_> = tokens.iter().map(|token| token.id).collect();
    let unused = (1..).filter_map(TokenId::from_number).find(|id| !ids.contains(id)).unwrap();
    let at = |uses: &[(TokenId, u64)]| -> Vec<(TokenId, Timestamp)> {
        uses.iter().map(|(id, at)| (*id, Timestamp(*at))).collect()
    };
    store.used(&[]).await.unwrap();
    store.used(&at(&[(alice, 60), (unused, 60), (bob, 120)])).await.unwrap();
    store.used(&at(&[(alice, 180), (bob, 60)])).await.unwrap();
    let uses: Vec<_> = store.list(None).await.unwrap();
    let uses: Vec<_> = uses.iter().map(|token| token.last_used_at).collect();
    assert_eq!(uses, [Some(Timestamp(180)), Some(Timestamp(120)), None]);
}

pub async fn groups_have_no_tokens(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let group = login("group:devs");
    let error = store.create(&new_token("group:devs", "token")).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&TokenRefusal::Group { login: group.clone() }));
    assert_eq!(store.user(&group).await.unwrap(), None);
    assert_eq!(store.find(&digest("token")).await.unwrap(), None);
}

pub async fn a_user_has_500_tokens_that_count_and_no_more(bench: Bench<dyn TokenStore>) {
    const NOW: u64 = 1_709_208_000;
    let store = bench.open().await;
    let revoked = store.create(&new_token("alice", "revoked")).await.unwrap();
    store.revoke(&Revocation::Token(revoked.id), Timestamp(NOW)).await.unwrap();
    let expired = NewToken { expires_at: Some(Timestamp(NOW)), ..new_token("alice", "expired") };
    store.create(&expired).await.unwrap();
    // As many as there are CI runs.
    store.create(&whole_token("alice", "of a run", NOW)).await.unwrap();
    let mut last = None;
    for number in 0..TokenRefusal::MOST {
        last = Some(store.create(&new_token("alice", &format!("{number}"))).await.unwrap());
    }
    let error = store.create(&new_token("alice", "501")).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&TokenRefusal::TooMany { login: login("alice") }));
    assert_eq!(store.find(&digest("501")).await.unwrap(), None);
    assert_eq!(store.list(None).await.unwrap().len(), TokenRefusal::MOST + 3);
    // One that is there is not a new one, and a run and somebody else are not concerned.
    assert_eq!(store.create(&new_token("alice", "499")).await.unwrap(), last.clone().unwrap());
    store.create(&whole_token("alice", "of another run", NOW)).await.unwrap();
    store.create(&new_token("bob", "of bob")).await.unwrap();
    store.revoke(&Revocation::Token(last.unwrap().id), Timestamp(NOW)).await.unwrap();
    store.create(&new_token("alice", "501")).await.unwrap();
}

pub async fn a_revocation_is_seen_by_every_handle(bench: Bench<dyn TokenStore>) {
    let (one, other) = (bench.open().await, bench.open().await);
    for (number, by_user) in [false, true].into_iter().enumerate() {
        let (login, token) = (format!("user{number}"), format!("token {number}"));
        let created = one.create(&new_token(&login, &token)).await.unwrap();
        // Known there, so that what it may have kept of it has to go.
        assert_eq!(other.find(&digest(&token)).await.unwrap().as_ref(), Some(&created));
        let revocation = match by_user {
            true => Revocation::User(self::login(&login)),
            false => Revocation::Token(created.id),
        };
        let expected = revoked_at(5, &created);
        assert_eq!(
            one.revoke(&revocation, Timestamp(5)).await.unwrap(),
            std::slice::from_ref(&expected)
        );
        assert_eq!(other.find(&digest(&token)).await.unwrap(), Some(expected));
    }
}

pub async fn revoked_tokens_are_there_after_a_restart(bench: Bench<dyn TokenStore>) {
    let store = bench.open().await;
    let tokens = create_all(&*store, &["alice", "bob"]).await;
    store.revoke(&Revocation::Token(tokens[0].id), Timestamp(5)).await.unwrap();
    drop(store);
    let store = bench.open().await;
    assert_eq!(store.list(None).await.unwrap(), [revoked_at(5, &tokens[0]), tokens[1].clone()]);
    let digest = digest("token 1709208001");
    assert_eq!(store.find(&digest).await.unwrap().as_ref(), Some(&tokens[1]));
}

//! The promises of [`AccountStore`]; see
//! [`account_store_conformance!`](crate::account_store_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{collections::BTreeSet, sync::Arc};

use tokio::task::JoinSet;

use super::{Bench, record_fixture::login};
use crate::{
    auth::{
        Account, AccountError,
        AccountKind::{self, Group, Service, User},
        AccountStore, AdoptionError, Groups, PasswordHash,
    },
    owner::{Login, Owner},
    record::Timestamp,
};

/// Proves an [`AccountStore`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemoryAccounts;
///
/// registry_core::account_store_conformance!(memory, volatile: async || MemoryAccounts::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! account_store_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, account_store;
            any:
                an_account_is_there_as_it_was_made
                a_login_is_taken_once
                logins_of_groups_are_theirs_alone
                logins_are_compared_as_they_are_spelled
                members_come_and_go
                only_groups_have_members_and_none_is_one
                a_user_has_the_last_password_given
                only_users_have_a_password
                an_account_is_disabled_until_it_is_enabled
                what_is_not_there_is_not_changed
                a_change_of_one_account_leaves_the_others
                a_password_is_not_printed
                an_account_is_adopted_as_it_is
                a_login_or_an_id_of_another_account_is_not_adopted
                a_login_raced_for_is_one_account
                members_who_come_at_once_are_all_there;
            durable:
                every_account_is_there_after_a_restart
                two_handles_are_one_store;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl AccountStore) -> Arc<dyn AccountStore> {
    Arc::new(store)
}

async fn create(store: &dyn AccountStore, login: &str, kind: AccountKind) -> Account {
    store.create_account(&self::login(login), None, kind).await.unwrap()
}

async fn account(store: &dyn AccountStore, login: &str) -> Account {
    store.account(&self::login(login)).await.unwrap().unwrap_or_else(|| panic!("no {login}"))
}

async fn groups(store: &dyn AccountStore, login: &str) -> Groups {
    account(store, login).await.groups
}

fn named(groups: &[&str]) -> Groups {
    groups.iter().map(|group| login(group)).collect()
}

fn password(salt: &str) -> PasswordHash {
    PasswordHash::parse(&format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$aGFzaA")).unwrap()
}

/// A store with two users, a service account and two groups.
async fn inhabited(bench: &Bench<dyn AccountStore>) -> Arc<dyn AccountStore> {
    let store = bench.open().await;
    for (login, kind) in [
        ("alice", User),
        ("bob", User),
        ("ci", Service),
        ("group:ui", Group),
        ("group:core", Group),
    ] {
        create(&*store, login, kind).await;
    }
    store
}

#[track_caller]
fn assert_unknown<T: std::fmt::Debug>(result: Result<T, AccountError>, expected: &str) {
    match result {
        Err(AccountError::Unknown { login }) if login.as_str() == expected => {}
        other => panic!("expected `{expected}` to be unknown: {other:?}"),
    }
}

#[track_caller]
fn assert_wrong_kind<T: std::fmt::Debug>(result: Result<T, AccountError>, expected: &str) {
    match result {
        Err(AccountError::WrongKind { login, .. }) if login.as_str() == expected => {}
        other => panic!("expected `{expected}` to be of a wrong kind: {other:?}"),
    }
}

pub async fn an_account_is_there_as_it_was_made(bench: Bench<dyn AccountStore>) {
    let store = bench.open().await;
    assert_eq!(store.accounts().await.unwrap(), []);
    let longest = "x".repeat(Login::MAX_CHARS);
    let mut expected = Vec::new();
    for (login, name, kind) in [
        ("alice", Some("Ünïcode \"quoted\""), User),
        ("ci@example.com", None, Service),
        ("group:ui", Some("User interface"), Group),
        (&longest, None, User),
    ] {
        let login = self::login(login);
        let made = store.create_account(&login, name, kind).await.unwrap();
        let owner = Owner { id: made.owner.id, login, name: name.map(str::to_owned) };
        let (groups, password, disabled_at) = (Groups::default(), None, None);
        let account = Account { owner, kind, groups, password, disabled_at };
        assert_eq!(made, account);
        expected.push(account);
    }
    expected.sort_by_key(|account| account.owner.id);
    let ids: BTreeSet<_> = expected.iter().map(|account| account.owner.id).collect();
    assert_eq!(ids.len(), 4);
    for account in &expected {
        assert_eq!(store.account(&account.owner.login).await.unwrap().as_ref(), Some(account));
    }
    assert_eq!(store.accounts().await.unwrap(), expected);
}

pub async fn a_login_is_taken_once(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    for (login, kind, there) in
        [("alice", User, User), ("alice", Service, User), ("group:ui", Group, Group)]
    {
        let before = account(&*store, login).await;
        match store.create_account(&self::login(login), Some("other"), kind).await {
            Err(AccountError::Taken { login: taken, kind }) => {
                assert_eq!((taken.as_str(), kind), (login, there));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(account(&*store, login).await, before);
    }
    assert_eq!(store.accounts().await.unwrap().len(), 5);
}

pub async fn logins_of_groups_are_theirs_alone(bench: Bench<dyn AccountStore>) {
    let store = bench.open().await;
    for (login, kind) in [("group:ui", User), ("group:ui", Service), ("ui", Group)] {
        assert_wrong_kind(store.create_account(&self::login(login), None, kind).await, login);
        assert_eq!(store.account(&self::login(login)).await.unwrap(), None);
    }
}

pub async fn logins_are_compared_as_they_are_spelled(bench: Bench<dyn AccountStore>) {
    let store = bench.open().await;
    let (lower, upper) =
        (create(&*store, "al_ce", User).await, create(&*store, "AL_CE", User).await);
    assert_ne!(lower.owner.id, upper.owner.id);
    assert_eq!(account(&*store, "al_ce").await, lower);
    assert_eq!(account(&*store, "AL_CE").await, upper);
    for other in ["Al_ce", "alice", "al-ce", "al_ce.", "al_c"] {
        assert_eq!(store.account(&login(other)).await.unwrap(), None, "{other}");
    }
}

pub async fn members_come_and_go(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    let (ui, core) = (login("group:ui"), login("group:core"));
    let (alice, ci) = (login("alice"), login("ci"));
    store.add_member(&ui, &alice).await.unwrap();
    store.add_member(&ui, &alice).await.unwrap();
    store.add_member(&core, &alice).await.unwrap();
    store.add_member(&ui, &ci).await.unwrap();
    assert_eq!(groups(&*store, "alice").await, named(&["group:core", "group:ui"]));
    assert_eq!(groups(&*store, "ci").await, named(&["group:ui"]));
    assert_eq!(groups(&*store, "bob").await, named(&[]));
    let listed = store.accounts().await.unwrap();
    for account in listed {
        assert_eq!(store.account(&account.owner.login).await.unwrap(), Some(account));
    }
    store.remove_member(&ui, &alice).await.unwrap();
    store.remove_member(&ui, &alice).await.unwrap();
    assert_eq!(groups(&*store, "alice").await, named(&["group:core"]));
    assert_eq!(groups(&*store, "ci").await, named(&["group:ui"]));
}

pub async fn only_groups_have_members_and_none_is_one(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    let before = store.accounts().await.unwrap();
    for (group, member, wrong) in
        [("bob", "alice", "bob"), ("ci", "alice", "ci"), ("group:ui", "group:core", "group:core")]
    {
        assert_wrong_kind(store.add_member(&login(group), &login(member)).await, wrong);
        assert_wrong_kind(store.remove_member(&login(group), &login(member)).await, wrong);
    }
    assert_eq!(store.accounts().await.unwrap(), before);
}

pub async fn a_user_has_the_last_password_given(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    let alice = login("alice");
    for given in [Some(password("one")), Some(password("two")), None, None, Some(password("one"))] {
        store.set_password(&alice, given.as_ref()).await.unwrap();
        assert_eq!(account(&*store, "alice").await.password, given);
        assert_eq!(account(&*store, "bob").await.password, None);
    }
}

pub async fn only_users_have_a_password(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    for name in ["ci", "group:ui"] {
        let set = store.set_password(&login(name), Some(&password("salt"))).await;
        assert_wrong_kind(set, name);
        assert_eq!(account(&*store, name).await.password, None);
    }
}

pub async fn an_account_is_disabled_until_it_is_enabled(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    let (first, later) = (Timestamp(1_700_000_000), Timestamp(1_700_000_001));
    for name in ["alice", "ci"] {
        let login = login(name);
        let before = account(&*store, name).await;
        for (set, expected) in [
            (None, None),
            (Some(first), Some(first)),
            (Some(later), Some(first)),
            (None, None),
            (Some(later), Some(later)),
        ] {
            store.set_disabled(&login, set).await.unwrap();
            let expected = Account { disabled_at: expected, ..before.clone() };
            assert_eq!(account(&*store, name).await, expected);
        }
    }
    assert_wrong_kind(store.set_disabled(&login("group:ui"), Some(first)).await, "group:ui");
    assert_eq!(account(&*store, "bob").await.disabled_at, None);
}

pub async fn what_is_not_there_is_not_changed(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    let before = store.accounts().await.unwrap();
    let (nobody, none, ui) = (login("nobody"), login("group:none"), login("group:ui"));
    assert_eq!(store.account(&nobody).await.unwrap(), None);
    assert_unknown(store.add_member(&ui, &nobody).await, "nobody");
    assert_unknown(store.add_member(&none, &login("alice")).await, "group:none");
    assert_unknown(store.remove_member(&ui, &nobody).await, "nobody");
    assert_unknown(store.remove_member(&none, &login("alice")).await, "group:none");
    assert_unknown(store.set_password(&nobody, Some(&password("salt"))).await, "nobody");
    assert_unknown(store.set_password(&nobody, None).await, "nobody");
    assert_unknown(store.set_disabled(&nobody, Some(Timestamp(1))).await, "nobody");
    assert_unknown(store.set_disabled(&nobody, None).await, "nobody");
    assert_eq!(store.accounts().await.unwrap(), before);
}

pub async fn a_change_of_one_account_leaves_the_others(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    let mut expected = store.accounts().await.unwrap();
    store.add_member(&login("group:ui"), &login("bob")).await.unwrap();
    store.set_password(&login("bob"), Some(&password("salt"))).await.unwrap();
    store.set_disabled(&login("bob"), Some(Timestamp(7))).await.unwrap();
    let bob = expected.iter_mut().find(|account| account.owner.login.as_str() == "bob").unwrap();
    bob.groups = named(&["group:ui"]);
    bob.password = Some(password("salt"));
    bob.disabled_at = Some(Timestamp(7));
    assert_eq!(store.accounts().await.unwrap(), expected);
}

pub async fn a_password_is_not_printed(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    store.set_password(&login("alice"), Some(&password("saltandpepper"))).await.unwrap();
    let account = account(&*store, "alice").await;
    assert!(!format!("{store:?} {account:?}").contains("saltandpepper"));
}

/// As another store has it.
fn there(id: u32, text: &str, kind: AccountKind) -> Account {
    Account {
        owner: Owner { id, login: login(text), name: Some("From there".into()) },
        kind,
        groups: Groups::default(),
        password: None,
        disabled_at: None,
    }
}

pub async fn an_account_is_adopted_as_it_is(bench: Bench<dyn AccountStore>) {
    let store = bench.open().await;
    let dora = Account {
        password: Some(password("salt")),
        disabled_at: Some(Timestamp(7)),
        ..there(41, "dora", User)
    };
    let accounts = [there(7, "group:ui", Group), dora.clone(), there(40, "ci", Service)];
    for account in &accounts {
        store.adopt_account(account).await.unwrap();
        assert_eq!(store.account(&account.owner.login).await.unwrap().as_ref(), Some(account));
    }
    let eve = create(&*store, "eve", User).await;
    assert!(accounts.iter().all(|account| account.owner.id != eve.owner.id), "{eve:?}");
    store.add_member(&login("group:ui"), &login("ci")).await.unwrap();
    // Once more: whoever is disabled in one of the two stays so, and a password that was changed here
    // is not brought back.
    for disabled_at in [None, Some(9)] {
        let password = Some(password("pepper"));
        let disabled_at = disabled_at.map(Timestamp);
        let now = Account { password, disabled_at, ..dora.clone() };
        store.adopt_account(&now).await.unwrap();
        assert_eq!(account(&*store, "dora").await, dora);
    }
    store.adopt_account(&there(40, "ci", User)).await.unwrap();
    let ci = account(&*store, "ci").await;
    assert_eq!((ci.kind, ci.groups), (Service, named(&["group:ui"])));
    store.set_disabled(&login("dora"), None).await.unwrap();
    store.adopt_account(&Account { password: None, ..dora.clone() }).await.unwrap();
    assert_eq!(account(&*store, "dora").await, dora);
}

pub async fn a_login_or_an_id_of_another_account_is_not_adopted(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    let before = store.accounts().await.unwrap();
    let alice = before.iter().find(|account| account.owner.login.as_str() == "alice").unwrap();
    let (alice, bob) = (alice.owner.clone(), account(&*store, "bob").await.owner.id);
    assert_wrong_kind(store.adopt_account(&there(99, "group:x", User)).await, "group:x");
    for (refused, expected) in [
        (
            there(bob, "alice", User),
            AdoptionError::OtherId { login: login("alice"), here: alice.id, there: bob },
        ),
        (
            there(alice.id, "zoe", User),
            AdoptionError::IdTaken { id: alice.id, here: login("alice"), there: login("zoe") },
        ),
    ] {
        match store.adopt_account(&refused).await {
            Err(AccountError::Store(error)) => {
                assert_eq!(error.source.downcast_ref(), Some(&expected));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.accounts().await.unwrap(), before);
}

pub async fn a_login_raced_for_is_one_account(bench: Bench<dyn AccountStore>) {
    let store = bench.open().await;
    race_to_create(&[store]).await;
}

async fn race_to_create(handles: &[Arc<dyn AccountStore>]) {
    let mut writers = JoinSet::new();
    for i in 0..40 {
        let store = Arc::clone(&handles[i % handles.len()]);
        let login = login(["alice", "bob", "carol", "dave"][i / 2 % 4]);
        writers.spawn(async move { store.create_account(&login, None, User).await });
    }
    let mut made = Vec::new();
    for result in writers.join_all().await {
        match result {
            Ok(account) => made.push(account),
            Err(AccountError::Taken { kind: User, .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    made.sort_by_key(|account| account.owner.id);
    let logins: BTreeSet<_> = made.iter().map(|account| account.owner.login.as_str()).collect();
    assert_eq!((made.len(), logins.len()), (4, 4), "{made:?}");
    for store in handles {
        assert_eq!(store.accounts().await.unwrap(), made);
    }
}

pub async fn members_who_come_at_once_are_all_there(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    race_to_join(&[store]).await;
}

async fn race_to_join(handles: &[Arc<dyn AccountStore>]) {
    let mut writers = JoinSet::new();
    let mut i = 0;
    for member in ["alice", "bob", "ci"] {
        for group in ["group:ui", "group:core"] {
            let store = Arc::clone(&handles[i % handles.len()]);
            i += 1;
            writers.spawn(
                async move { store.add_member(&login(group), &login(member)).await.unwrap() },
            );
        }
    }
    writers.join_all().await;
    for store in handles {
        for member in ["alice", "bob", "ci"] {
            let both = named(&["group:core", "group:ui"]);
            assert_eq!(groups(&**store, member).await, both, "{member}");
        }
    }
}

pub async fn every_account_is_there_after_a_restart(bench: Bench<dyn AccountStore>) {
    let store = inhabited(&bench).await;
    store.add_member(&login("group:ui"), &login("alice")).await.unwrap();
    store.set_password(&login("alice"), Some(&password("salt"))).await.unwrap();
    store.set_disabled(&login("ci"), Some(Timestamp(7))).await.unwrap();
    let before = store.accounts().await.unwrap();
    drop(store);
    let store = bench.open().await;
    assert_eq!(store.accounts().await.unwrap(), before);
    let dave = create(&*store, "dave", User).await;
    assert!(before.iter().all(|account| account.owner.id != dave.owner.id));
}

pub async fn two_handles_are_one_store(bench: Bench<dyn AccountStore>) {
    let handles = [bench.open().await, bench.open().await];
    race_to_create(&handles).await;
    drop(handles);
    let handles = [bench.open().await, bench.open().await];
    let alice = login("alice");
    for (i, set) in [Some(Timestamp(7)), None, Some(Timestamp(8))].into_iter().enumerate() {
        handles[i % 2].set_disabled(&alice, set).await.unwrap();
        for handle in &handles {
            assert_eq!(account(&**handle, "alice").await.disabled_at, set);
        }
    }
    for (name, kind) in [("ci", Service), ("group:ui", Group), ("group:core", Group)] {
        create(&*handles[0], name, kind).await;
    }
    race_to_join(&handles).await;
}

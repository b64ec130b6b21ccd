use std::sync::Arc;

use semver::Version;
use tokio::task::JoinSet;

use super::{
    super::Bench, Backends, alice, body, crate_name, download, lines, publish, registry, user,
};
use crate::{
    auth::{AuthError, Caller, Principal},
    name::CanonicalName,
    owner::Login,
    record::Refusal,
    registry::{PublishError, Registry, WriteError},
};

#[doc(hidden)]
pub async fn of_fifty_publishes_of_one_version_one_wins_and_its_file_is_served(
    bench: Bench<Backends>,
) {
    let backends = bench.open().await;
    let registry = registry(&backends.index, &backends.crates);
    let mut publishes = JoinSet::new();
    for variant in 0..50 {
        let registry = registry.clone();
        publishes.spawn(async move {
            let (body, file) = body("foo", "1.0.0", variant);
            (publish(&registry, alice(), &body).await, file)
        });
    }
    let mut winners = vec![];
    for (outcome, file) in publishes.join_all().await {
        match outcome {
            Ok(_) => winners.push(file),
            Err(PublishError::Write(WriteError::Refused(refusal))) => {
                assert_eq!(refusal, Refusal::VersionTaken { version: Version::new(1, 0, 0) });
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let [winner] = &winners[..] else { panic!("{} winners", winners.len()) };
    let (name, canonical) = crate_name("foo");
    assert_eq!(lines(&registry, &name).await.len(), 1);
    assert_eq!(download(&registry, &canonical, &Version::new(1, 0, 0)).await, winner);
    assert_eq!(registry.verify().await.unwrap(), []);
}

/// One of the changes that are made at once: each of a different thing, so that none undoes another.
async fn change(registry: &Registry, name: &CanonicalName, number: u64) -> Result<(), WriteError> {
    match number % 3 {
        0 => {
            let (body, _) = body(name.as_str(), &format!("2.{number}.0"), 0);
            match publish(registry, alice(), &body).await {
                Ok(_) => Ok(()),
                Err(PublishError::Write(error)) => Err(error),
                Err(error) => panic!("{error:?}"),
            }
        }
        1 => {
            let login = Login::new(&format!("owner{number}")).expect("a login");
            registry.add_owners(&alice(), name, &[login]).await
        }
        _ => registry.set_yanked(&alice(), name, &Version::new(1, number, 0), true).await,
    }
}

const CHANGES: u64 = 50;

async fn prepare(registry: &Registry) -> CanonicalName {
    for number in (0..CHANGES).filter(|number| number % 3 == 2) {
        let (body, _) = body("foo", &format!("1.{number}.0"), 0);
        publish(registry, alice(), &body).await.unwrap();
    }
    crate_name("foo").1
}

async fn check(registry: &Registry, name: &CanonicalName) {
    let record = registry.record(&Caller::anonymous(), name).await.unwrap();
    let mut versions: Vec<_> =
        record.releases().iter().map(|r| (r.version().clone(), r.line.yanked())).collect();
    versions.sort();
    let mut expected: Vec<_> = (0..CHANGES)
        .filter_map(|number| match number % 3 {
            0 => Some((Version::new(2, number, 0), false)),
            1 => None,
            _ => Some((Version::new(1, number, 0), true)),
        })
        .collect();
    expected.sort();
    assert_eq!(versions, expected);

    let mut owners: Vec<_> = record.owners().iter().map(|o| o.login.to_string()).collect();
    owners.sort();
    let added = (0..CHANGES).filter(|number| number % 3 == 1);
    let mut expected: Vec<_> = added.map(|number| format!("owner{number}")).collect();
    expected.push("alice".into());
    expected.sort();
    assert_eq!(owners, expected);
    assert_eq!(registry.verify().await.unwrap(), []);
}

#[doc(hidden)]
pub async fn fifty_changes_of_one_crate_are_all_kept(bench: Bench<Backends>) {
    let backends = bench.open().await;
    let registry = registry(&backends.index, &backends.crates);
    let name = prepare(&registry).await;
    let mut changes = JoinSet::new();
    for number in 0..CHANGES {
        let (registry, name) = (registry.clone(), name.clone());
        changes.spawn(async move { change(&registry, &name, number).await });
    }
    for outcome in changes.join_all().await {
        outcome.unwrap();
    }
    check(&registry, &name).await;
}

/// As several processes do it: registries that share nothing but the data. Who is told that
/// others were faster tries again, as its client would.
#[doc(hidden)]
pub async fn changes_by_two_processes_are_all_kept(bench: Bench<Backends>) {
    let (one, other) = (bench.open().await, bench.open().await);
    let registries = [&one, &other].map(|b: &Arc<Backends>| registry(&b.index, &b.crates));
    let name = prepare(&registries[0]).await;
    let mut changes = JoinSet::new();
    for number in 0..CHANGES {
        let registry = registries[(number % 2) as usize].clone();
        let name = name.clone();
        changes.spawn(async move {
            loop {
                match change(&registry, &name, number).await {
                    Err(WriteError::Contended { .. }) => tokio::task::yield_now().await,
                    outcome => return outcome,
                }
            }
        });
    }
    for outcome in changes.join_all().await {
        outcome.unwrap();
    }
    for registry in &registries {
        check(registry, &name).await;
    }
}

/// Has alice and bob each remove an owner at the same moment, at two registries over the same data,
/// and gives the error of who was second.
async fn removals(bench: &Bench<Backends>, name: &str, removed: [&str; 2]) -> WriteError {
    let (one, other) = (bench.open().await, bench.open().await);
    let registries = [&one, &other].map(|b: &Arc<Backends>| registry(&b.index, &b.crates));
    let (upload, _) = body(name, "1.0.0", 0);
    publish(&registries[0], alice(), &upload).await.unwrap();
    let (_, name) = crate_name(name);
    let login = |login: &str| Login::new(login).expect("a login");
    registries[0].add_owners(&alice(), &name, &[login("bob")]).await.unwrap();
    let bob = Caller::from(Principal::from(user("bob")));
    let mut removals = JoinSet::new();
    for (number, caller) in [alice(), bob].into_iter().enumerate() {
        let (registry, name) = (registries[number].clone(), name.clone());
        let removed = [login(removed[number])];
        removals.spawn(async move { registry.remove_owners(&caller, &name, &removed).await });
    }
    let mut errors: Vec<_> =
        removals.join_all().await.into_iter().filter_map(Result::err).collect();
    let owners = registries[0].owners(&Caller::anonymous(), &name).await.unwrap();
    let left: Vec<_> = owners.iter().map(|owner| owner.login.as_str()).collect();
    assert_eq!((left.len(), errors.len()), (1, 1), "{left:?} {errors:?}");
    errors.remove(0)
}

#[doc(hidden)]
pub async fn owners_who_remove_each_other_leave_one(bench: Bench<Backends>) {
    for round in 0..8 {
        let error = removals(&bench, &format!("foo{round}"), ["bob", "alice"]).await;
        // No owner any more when it came to the commit.
        assert!(matches!(error, WriteError::Auth(AuthError::Forbidden { .. })), "{error:?}");
    }
}

#[doc(hidden)]
pub async fn owners_who_leave_at_once_leave_one(bench: Bench<Backends>) {
    for round in 0..8 {
        let error = removals(&bench, &format!("foo{round}"), ["alice", "bob"]).await;
        assert!(matches!(error, WriteError::Refused(Refusal::LastOwner)), "{error:?}");
    }
}

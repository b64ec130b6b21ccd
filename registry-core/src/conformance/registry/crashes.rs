use semver::Version;

use super::{
    super::{
        Bench,
        faulty::{Fault, Faults, FaultyCrateStore, FaultyIndex},
    },
    Backends, alice, body, builder, crate_name, download, lines, publish, registry,
};
use crate::{
    auth::Caller,
    name::CanonicalName,
    owner::Login,
    record::Refusal,
    registry::{PublishError, Registry, WriteError},
};

/// More calls than any use case makes: a scenario that never gets past its fault is caught.
const MOST_CALLS: usize = 100;

/// Runs `story` once for each call and each way to fail. The story is told over a registry with
/// that fault, which ends in an error or in the death of the process; then `check` looks at the
/// registry as it is after a restart.
async fn at_any_call<S>(
    bench: &Bench<Backends>,
    prepare: impl AsyncFn(&Registry, &str) -> S,
    story: impl AsyncFn(&Registry, &S) -> bool,
    check: impl AsyncFn(&Registry, &S, Option<bool>),
) {
    for call in 0..MOST_CALLS {
        for fault in Fault::ALL {
            let backends = bench.open().await;
            // A crate of its own for each run, so that all runs share one set of data.
            let name = format!("crate-{call}-{}", format!("{fault:?}").to_ascii_lowercase());
            let sound = registry(&backends.index, &backends.crates);
            let prepared = prepare(&sound, &name).await;

            let faults = Faults::none();
            let index = FaultyIndex::new(backends.index.clone(), faults.clone());
            let crates = FaultyCrateStore::new(backends.crates.clone(), faults.clone());
            let faulty = builder(index, crates).build();
            faults.arm(call, fault);
            let outcome = faults.run(story(&faulty, &prepared)).await;
            let struck = faults.struck();
            // The fault is lifted: the same process answers again, unless it died.
            faults.lift();
            if outcome.is_some() {
                check(&faulty, &prepared, outcome).await;
            }

            drop((faulty, sound, backends));
            let backends = bench.open().await;
            let restarted = registry(&backends.index, &backends.crates);
            check(&restarted, &prepared, outcome).await;
            assert_eq!(restarted.verify().await.unwrap(), []);
            if !struck {
                assert_eq!(outcome, Some(true), "no fault, and no success");
                return;
            }
        }
    }
    panic!("the story makes more than {MOST_CALLS} calls");
}

async fn publish_at_any_call(bench: &Bench<Backends>, first_version: bool) {
    struct Prepared {
        name: String,
        body: Vec<u8>,
        file: Vec<u8>,
    }
    let version = Version::new(2, 0, 0);
    let prepare = async |registry: &Registry, name: &str| {
        if !first_version {
            publish(registry, alice(), &body(name, "1.0.0", 0).0).await.unwrap();
        }
        let (body, file) = body(name, "2.0.0", 1);
        Prepared { name: name.into(), body, file }
    };
    let story = async |registry: &Registry, prepared: &Prepared| {
        publish(registry, alice(), &prepared.body).await.is_ok()
    };
    let check = async |registry: &Registry, prepared: &Prepared, outcome: Option<bool>| {
        let (name, canonical) = crate_name(&prepared.name);
        let before = usize::from(!first_version);
        let listed = lines(registry, &name).await.len();
        assert!(listed == before || listed == before + 1, "{listed} lines");
        if outcome == Some(true) {
            assert_eq!(listed, before + 1, "acknowledged and not listed");
        }
        // What the client does next: try again.
        let again = publish(registry, alice(), &prepared.body).await;
        match again {
            Ok(_) => assert_eq!(listed, before, "published twice"),
            Err(PublishError::Write(WriteError::Refused(Refusal::VersionTaken { .. }))) => {
                assert_eq!(listed, before + 1, "taken and not listed");
            }
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(lines(registry, &name).await.len(), before + 1);
        assert_eq!(download(registry, &canonical, &version).await, prepared.file);
        assert_eq!(logins(registry, &canonical).await, ["alice"]);
    };
    at_any_call(bench, prepare, story, check).await;
}

async fn logins(registry: &Registry, name: &CanonicalName) -> Vec<String> {
    let owners = registry.owners(&Caller::anonymous(), name).await.unwrap();
    owners.iter().map(|owner| owner.login.to_string()).collect()
}

#[doc(hidden)]
pub async fn a_first_publish_that_fails_at_any_call_is_whole_or_nothing(bench: Bench<Backends>) {
    publish_at_any_call(&bench, true).await;
}

#[doc(hidden)]
pub async fn a_second_publish_that_fails_at_any_call_is_whole_or_nothing(bench: Bench<Backends>) {
    publish_at_any_call(&bench, false).await;
}

#[doc(hidden)]
pub async fn a_yank_that_fails_at_any_call_is_done_or_not(bench: Bench<Backends>) {
    let version = Version::new(1, 0, 0);
    let prepare = async |registry: &Registry, name: &str| {
        publish(registry, alice(), &body(name, "1.0.0", 0).0).await.unwrap();
        let (name, canonical) = crate_name(name);
        let line = lines(registry, &name).await.remove(0);
        (name, canonical, line)
    };
    let story = async |registry: &Registry, (_, name, _): &(_, CanonicalName, String)| {
        registry.set_yanked(&alice(), name, &version, true).await.is_ok()
    };
    let check = async |registry: &Registry, (name, canonical, line): &(_, _, String), outcome| {
        let yanked = line.replace(r#""yanked":false"#, r#""yanked":true"#);
        let now = lines(registry, name).await;
        match outcome {
            Some(true) => assert_eq!(now, std::slice::from_ref(&yanked)),
            _ => assert!(now.len() == 1 && [&yanked, line].contains(&&now[0]), "{now:?}"),
        }
        registry.set_yanked(&alice(), canonical, &version, true).await.unwrap();
        assert_eq!(lines(registry, name).await, [yanked]);
    };
    at_any_call(&bench, prepare, story, check).await;
}

#[doc(hidden)]
pub async fn a_change_of_owners_that_fails_at_any_call_is_done_or_not(bench: Bench<Backends>) {
    let bob = [Login::new("bob").expect("a login")];
    let prepare = async |registry: &Registry, name: &str| {
        publish(registry, alice(), &body(name, "1.0.0", 0).0).await.unwrap();
        crate_name(name).1
    };
    let story = async |registry: &Registry, name: &CanonicalName| {
        registry.add_owners(&alice(), name, &bob).await.is_ok()
    };
    let check = async |registry: &Registry, name: &CanonicalName, outcome| {
        let now = logins(registry, name).await;
        match outcome {
            Some(true) => assert_eq!(now, ["alice", "bob"]),
            _ => assert!(now == ["alice"] || now == ["alice", "bob"], "{now:?}"),
        }
        registry.add_owners(&alice(), name, &bob).await.unwrap();
        assert_eq!(logins(registry, name).await, ["alice", "bob"]);
        // Undone for the next look, and to see that the crate can still be changed.
        registry.remove_owners(&alice(), name, &bob).await.unwrap();
        assert_eq!(logins(registry, name).await, ["alice"]);
        registry.add_owners(&alice(), name, &bob).await.unwrap();
    };
    at_any_call(&bench, prepare, story, check).await;
}

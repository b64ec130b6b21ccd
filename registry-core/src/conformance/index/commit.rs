use std::{num::NonZeroUsize, sync::Arc};

use super::{Tracked, assert_absent, assert_conflict, concurrency::retrying, load};
use crate::{
    conformance::{
        Bench, MOST_POLLS, abandoned_after,
        record_fixture::{
            add_owner, canonical, first, login, name, owner, publish, release, remove_owner,
            set_yanked, version,
        },
    },
    index::{Index, Lookup, Revision, Stored},
    record::{About, CrateRecord, Origin},
};

pub async fn a_new_index_is_ready_and_empty(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    index.ready().await.unwrap();
    assert_eq!(index.names(None, NonZeroUsize::MIN).await.unwrap(), []);
}

pub async fn creating_is_refused_where_a_record_is(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let foo_bar = Tracked::create(&index, first("Foo-Bar", "1.0.0")).await;
    for spelling in ["Foo-Bar", "foo-bar", "FOO_BAR"] {
        let other = owner(2, "bob");
        let (next, change) = CrateRecord::first(
            name(spelling),
            other,
            About::default(),
            release(spelling, "2.0.0"),
            Origin::default(),
        );
        assert_conflict(index.commit(None, &change, &next).await, &foo_bar.name());
        foo_bar.assert_stored().await;
    }
}

pub async fn replacing_is_refused_where_no_record_is(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let there = Tracked::create(&index, first("there", "1.0.0")).await;
    let (record, _) = first("absent", "1.0.0");
    let (next, change) = publish(&record, "1.1.0");
    let result = index.commit(Some(&there.revision), &change, &next).await;
    assert_conflict(result, &canonical("absent"));
    assert_absent(&*index, &canonical("absent")).await;
    there.assert_stored().await;
}

pub async fn replacing_is_refused_with_an_old_revision(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("foo", "1.0.0")).await;
    let (old, old_revision) = (tracked.record.clone(), tracked.revision.clone());
    tracked.commit(add_owner(&tracked.record, owner(2, "bob"))).await;
    for (next, change) in [
        publish(&old, "1.0.1"),
        set_yanked(&old, "1.0.0", true),
        add_owner(&old, owner(3, "carol")),
    ] {
        let result = index.commit(Some(&old_revision), &change, &next).await;
        assert_conflict(result, &tracked.name());
        tracked.assert_stored().await;
    }
    let found = index.load(&tracked.name(), Some(&old_revision)).await.unwrap();
    assert_eq!(found.found().map(|stored| stored.record).as_ref(), Some(&tracked.record));
    // A step that was already taken is no exception: who repeats it must learn of it.
    let (next, change) = add_owner(&old, owner(2, "bob"));
    assert_conflict(index.commit(Some(&old_revision), &change, &next).await, &tracked.name());
    tracked.assert_stored().await;
    tracked.commit(remove_owner(&tracked.record, &login("bob"))).await;
}

pub async fn replacing_is_refused_with_a_revision_of_another_crate(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("foo", "1.0.0")).await;
    let foreign = other_revision(&index).await;
    let (next, change) = publish(&tracked.record, "1.0.1");
    assert_conflict(index.commit(Some(&foreign), &change, &next).await, &tracked.name());
    tracked.assert_stored().await;
    tracked.commit((next, change)).await;
}

/// The revision of a crate that was changed more often than any other: by no count is it theirs.
async fn other_revision(index: &Arc<dyn Index>) -> Revision {
    let mut other = Tracked::create(index, first("other", "1.0.0")).await;
    for minor in 1..10 {
        other.commit(publish(&other.record, &format!("1.{minor}.0"))).await;
    }
    other.revision
}

pub async fn a_known_revision_is_answered_unchanged(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("foo", "1.0.0")).await;
    let foreign = other_revision(&index).await;
    let mut old = vec![foreign.clone()];
    for step in [
        publish(&tracked.record, "1.0.1"),
        // Publishes and owners, what the index file shows and what it does not.
        add_owner(&publish(&tracked.record, "1.0.1").0, owner(2, "bob")),
    ] {
        old.push(tracked.revision.clone());
        tracked.commit(step).await;
        let stored = Stored { record: tracked.record.clone(), revision: tracked.revision.clone() };
        for old in &old {
            let found = index.load(&tracked.name(), Some(old)).await.unwrap();
            assert_eq!(found, Lookup::Found(stored.clone()), "{old:?}");
        }
        let known = index.load(&tracked.name(), Some(&tracked.revision)).await.unwrap();
        assert_eq!(known, Lookup::Unchanged);
    }
    let absent = index.load(&canonical("absent"), Some(&foreign)).await.unwrap();
    assert_eq!(absent, Lookup::Absent);
}

pub async fn no_revision_comes_back(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("foo", "1.0.0")).await;
    let mut seen: Vec<Revision> = vec![tracked.revision.clone()];
    // Each step is undone by the next, and the second round goes through the states of the first.
    for _ in 0..2 {
        for step in 0..4 {
            let record = &tracked.record;
            let step = match step {
                0 => set_yanked(record, "1.0.0", true),
                1 => set_yanked(record, "1.0.0", false),
                2 => add_owner(record, owner(2, "bob")),
                _ => remove_owner(record, &login("bob")),
            };
            tracked.commit(step).await;
            assert!(!seen.contains(&tracked.revision), "{:?} was there before", tracked.revision);
            seen.push(tracked.revision.clone());
        }
    }
    let (next, change) = publish(&tracked.record, "1.0.1");
    for old in &seen[..seen.len() - 1] {
        assert_conflict(index.commit(Some(old), &change, &next).await, &tracked.name());
        tracked.assert_stored().await;
        let found = index.load(&tracked.name(), Some(old)).await.unwrap().found();
        assert_eq!(found.map(|stored| stored.revision).as_ref(), Some(&tracked.revision));
    }
}

pub async fn crates_do_not_touch_each_other(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    // Names of which one begins like another, as keys in a store may.
    let mut crates = Vec::new();
    for name in ["foo", "foo_", "foobar", "fo", "foo_bar"] {
        crates.push(Tracked::create(&index, first(name, "1.0.0")).await);
    }
    for turn in 0..crates.len() {
        let record = &crates[turn].record;
        let step = publish(record, "1.1.0");
        crates[turn].commit(step).await;
        for other in &crates {
            other.assert_stored().await;
        }
    }
}

pub async fn an_abandoned_first_commit_is_whole_or_absent(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    for polls in 1..=MOST_POLLS {
        let (record, change) = first(&format!("crate-{polls}"), "1.0.0");
        let name = record.name().canonical();
        let result = abandoned_after(polls, index.commit(None, &change, &record)).await;
        if let Some(stored) = index.load(&name, None).await.unwrap().found() {
            assert_eq!(stored.record, record);
        }
        let done = result.is_some();
        match result {
            Some(committed) => drop(committed.unwrap()),
            // What was begun may still take place, but it must not be in the way.
            None => match index.commit(None, &change, &record).await {
                Ok(_) => {}
                conflict => assert_conflict(conflict, &name),
            },
        }
        super::assert_stored(&*index, &record).await;
        if done {
            return;
        }
    }
    panic!("a commit was polled {MOST_POLLS} times and was not done");
}

pub async fn an_abandoned_commit_leaves_the_old_or_the_new_record(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("foo", "1.0.0")).await;
    for polls in 1..=MOST_POLLS {
        let (next, change) = publish(&tracked.record, &format!("1.0.{polls}"));
        let commit = || index.commit(Some(&tracked.revision), &change, &next);
        let done = abandoned_after(polls, commit()).await.map(Result::unwrap).is_some();
        let seen = load(&*index, &tracked.name()).await.record;
        assert!(seen == next || (!done && seen == tracked.record), "{seen:?}");
        if !done {
            match commit().await {
                Ok(_) => {}
                conflict => assert_conflict(conflict, &tracked.name()),
            }
        }
        let revision = super::assert_stored(&*index, &next).await;
        tracked = Tracked { index: Arc::clone(&index), record: next, revision };
        if done {
            return;
        }
    }
    panic!("a commit was polled {MOST_POLLS} times and was not done");
}

/// As a registry goes on after [`IndexError::OutcomeUnknown`](crate::IndexError::OutcomeUnknown):
/// it loads, looks whether the change is there, and otherwise decides anew on what it loaded.
pub async fn a_commit_of_unknown_outcome_has_one_effect(bench: Bench<dyn Index>) {
    // Another writer, whose changes show no less if the first one's come late.
    async fn toggle_bob(index: &dyn Index) {
        let toggled = |record: &CrateRecord| match record.owners().contains(&login("bob")) {
            true => remove_owner(record, &login("bob")),
            false => add_owner(record, owner(2, "bob")),
        };
        retrying(index, |record| Some(toggled(record))).await;
    }
    let index = bench.open().await;
    let mut expected = Tracked::create(&index, first("foo", "1.0.0")).await.record;
    for polls in 1..=MOST_POLLS {
        let next_version = format!("1.0.{polls}");
        let before = load(&*index, &canonical("foo")).await;
        let (next, change) = publish(&before.record, &next_version);
        let commit = index.commit(Some(&before.revision), &change, &next);
        let done = abandoned_after(polls, commit).await.map(Result::unwrap).is_some();

        toggle_bob(&*index).await;
        retrying(&*index, |record| {
            let is_there = record.release(&version(&next_version)).is_some();
            (!is_there).then(|| publish(record, &next_version))
        })
        .await;
        toggle_bob(&*index).await;
        expected = publish(&expected, &next_version).0;
        super::assert_stored(&*index, &expected).await;
        if done {
            return;
        }
    }
    panic!("a commit was polled {MOST_POLLS} times and was not done");
}

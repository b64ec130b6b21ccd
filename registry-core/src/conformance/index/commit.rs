use std::{num::NonZeroUsize, sync::Arc};

use super::{Tracked, assert_absent, assert_conflict, load};
use crate::{
    conformance::{
        Bench, abandoned_after,
        record_fixture::{
            add_owner, canonical, first, login, name, owner, publish, release, remove_owner,
            set_yanked,
        },
    },
    index::Index,
    record::{About, CrateRecord},
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
            None,
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

/// More polls than any commit needs, so that the last round is not abandoned at all.
const MOST_POLLS: usize = 200;

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

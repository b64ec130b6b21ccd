use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Tracked, assert_conflict, assert_stored, get, names};
use crate::{
    conformance::{Bench, record_fixture::canonical},
    index::IndexError,
    record_store::RecordStore,
};

const WRITERS: usize = 50;

pub async fn one_of_many_first_puts_wins(bench: Bench<dyn RecordStore>) {
    race_to_create(&[bench.open().await]).await;
}

/// All writers create one value, each with bytes of its own; through any handle.
async fn race_to_create(handles: &[Arc<dyn RecordStore>]) {
    let name = canonical("raced-for");
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, name) = (Arc::clone(&handles[writer % handles.len()]), name.clone());
        writers.spawn(async move {
            let bytes = Bytes::from(format!("of writer {writer}"));
            (store.put(&name, None, bytes.clone()).await, bytes)
        });
    }
    let mut winners = Vec::new();
    for (result, bytes) in writers.join_all().await {
        match result {
            Ok(revision) => winners.push((revision, bytes)),
            conflict => assert_conflict(conflict, &name),
        }
    }
    let [(revision, bytes)] = &winners[..] else { panic!("{} won", winners.len()) };
    for store in handles {
        assert_eq!(assert_stored(&**store, &name, bytes).await, *revision);
    }
}

pub async fn no_concurrent_put_is_lost(bench: Bench<dyn RecordStore>) {
    race_to_replace(&[bench.open().await]).await;
}

/// All writers add a line of their own to one value; through any handle.
async fn race_to_replace(handles: &[Arc<dyn RecordStore>]) {
    let tracked = Tracked::create(&handles[0], "foo", "").await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, name) = (Arc::clone(&handles[writer % handles.len()]), tracked.name.clone());
        writers.spawn(async move {
            loop {
                let (bytes, revision) = get(&*store, &name).await;
                let next = [&bytes[..], format!("writer {writer}\n").as_bytes()].concat();
                // Lets others in, so that even where nothing waits some come too late.
                tokio::task::yield_now().await;
                match store.put(&name, Some(&revision), next.into()).await {
                    Ok(_) => return,
                    Err(IndexError::Conflict { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    }
    writers.join_all().await;
    let (bytes, _) = get(&*handles[0], &tracked.name).await;
    let text = std::str::from_utf8(&bytes).unwrap();
    let lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let expected: BTreeSet<String> = (0..WRITERS).map(|i| format!("writer {i}")).collect();
    assert_eq!(lines, expected);
    assert_eq!(text.lines().count(), WRITERS);
    for store in handles {
        assert_stored(&**store, &tracked.name, &bytes).await;
    }
}

pub async fn everything_is_there_after_a_restart(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    let mut tracked = Tracked::create(&store, "foo", "first").await;
    let mut old = vec![tracked.revision.clone()];
    tracked.put("second").await;
    let other = Tracked::create(&store, "Foo-Bar", "other").await;
    let (name, mut bytes, other_bytes) =
        (tracked.name.clone(), tracked.bytes.clone(), other.bytes.clone());
    drop((store, tracked, other));

    // Each restart is followed by a write, so that a log that is replayed twice would show.
    for restart in 0..3 {
        let store = bench.open().await;
        store.ready().await.unwrap();
        assert_eq!(names(&*store).await, [canonical("foo"), canonical("foo_bar")]);
        assert_stored(&*store, &canonical("foo_bar"), &other_bytes).await;
        let revision = assert_stored(&*store, &name, &bytes).await;
        let mut tracked = Tracked { store, name: name.clone(), bytes, revision };
        for old in &old {
            tracked.assert_refused(Some(old), "late").await;
        }
        old.push(tracked.revision.clone());
        tracked.put(format!("after restart {restart}")).await;
        bytes = tracked.bytes;
    }
}

pub async fn two_handles_see_each_other(bench: Bench<dyn RecordStore>) {
    let handles = [bench.open().await, bench.open().await];
    let mut bytes = Tracked::create(&handles[0], "foo", "0").await.bytes;
    for turn in 1..6 {
        // At once, and with no word from the other handle: a cache would have to ask.
        for store in &handles {
            assert_stored(&**store, &canonical("foo"), &bytes).await;
            assert_eq!(names(&**store).await, [canonical("foo")]);
        }
        let store = Arc::clone(&handles[turn % 2]);
        let revision = assert_stored(&*store, &canonical("foo"), &bytes).await;
        let mut tracked = Tracked { store, name: canonical("foo"), bytes, revision };
        tracked.put(turn.to_string()).await;
        bytes = tracked.bytes;
    }
}

pub async fn two_handles_do_not_overwrite_each_other(bench: Bench<dyn RecordStore>) {
    let handles = [bench.open().await, bench.open().await];
    race_to_create(&handles).await;
    race_to_replace(&handles).await;
}

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Tracked, assert_stored, load};
use crate::{
    conformance::{
        Bench,
        record_fixture::{
            canonical, first, login, name, owner, publish, release, set_yanked, stamp, version,
        },
    },
    index::{ETag, Index, IndexError, Lookup},
    record::{About, CrateRecord, Origin, Stamp, Transition},
};

const WRITERS: u32 = 50;

pub async fn one_of_many_first_publishes_wins(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    race_to_publish_first(&[index]).await;
}

/// All writers publish one version of one name, each as its own first owner; through any handle.
pub(super) async fn race_to_publish_first(handles: &[Arc<dyn Index>]) {
    let mut writers = JoinSet::new();
    for id in 1..=WRITERS {
        let index = Arc::clone(&handles[id as usize % handles.len()]);
        writers.spawn(async move {
            let spelling = ["foo-bar", "Foo_Bar"][id as usize % 2];
            let first_owner = owner(id, &format!("user{id}"));
            let release = release(spelling, "1.0.0");
            let (record, change) = CrateRecord::first(
                name(spelling),
                first_owner,
                About::default(),
                release,
                Origin::default(),
            );
            (index.commit(None, &change, &record).await, record)
        });
    }
    let mut winners = Vec::new();
    while let Some(joined) = writers.join_next().await {
        match joined.unwrap() {
            (Ok(revision), record) => winners.push((revision, record)),
            (conflict, _) => super::assert_conflict(conflict, &canonical("foo_bar")),
        }
    }
    let [(revision, record)] = &winners[..] else { panic!("{} won", winners.len()) };
    for index in handles {
        assert_eq!(assert_stored(&**index, record).await, *revision);
    }
}

pub async fn no_concurrent_change_is_lost(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    race_to_change(&[index]).await;
}

/// All writers change one crate, each in its own way; through any handle.
pub(super) async fn race_to_change(handles: &[Arc<dyn Index>]) {
    let mut tracked = Tracked::create(&handles[0], first("foo", "1.0.0")).await;
    for i in (0..WRITERS).filter(|i| i % 3 == 1) {
        tracked.commit(publish(&tracked.record, &format!("1.0.0-old.{i}"))).await;
    }
    let before = tracked.record.releases().len();
    let mut writers = JoinSet::new();
    for i in 0..WRITERS {
        let index = Arc::clone(&handles[i as usize % handles.len()]);
        writers.spawn(async move {
            retrying(&*index, |record| match i % 3 {
                0 => Some(publish(record, &format!("1.1.{i}"))),
                1 => Some(set_yanked(record, &format!("1.0.0-old.{i}"), true)),
                _ => {
                    let stamp = Stamp { by: login(&format!("user{i}")), ..stamp() };
                    record.add_owners(&[owner(i, &format!("user{i}"))], stamp).unwrap()
                }
            })
            .await;
        });
    }
    while let Some(joined) = writers.join_next().await {
        joined.unwrap();
    }
    let record = load(&*handles[0], &tracked.name()).await.record;
    for index in handles {
        assert_stored(&**index, &record).await;
    }
    let published = (0..WRITERS).filter(|i| i % 3 == 0);
    assert_eq!(record.releases().len(), before + published.clone().count());
    for i in published {
        assert!(record.release(&version(&format!("1.1.{i}"))).is_some(), "publish {i}");
    }
    for i in (0..WRITERS).filter(|i| i % 3 == 1) {
        let release = record.release(&version(&format!("1.0.0-old.{i}"))).unwrap();
        assert!(release.line.yanked(), "yank {i}");
    }
    for i in (0..WRITERS).filter(|i| i % 3 == 2) {
        assert!(record.owners().contains(&login(&format!("user{i}"))), "owner {i}");
    }
}

/// The loop of every writer of `foo`: load, decide, commit, and again if somebody else was faster.
/// It ends when it has committed, or finds nothing to do.
pub(super) async fn retrying(
    index: &dyn Index,
    decide: impl Fn(&CrateRecord) -> Option<Transition>,
) {
    loop {
        let stored = load(index, &canonical("foo")).await;
        let Some((next, change)) = decide(&stored.record) else { return };
        // Lets others in, so that even where nothing waits some come too late.
        tokio::task::yield_now().await;
        match index.commit(Some(&stored.revision), &change, &next).await {
            Ok(_) => return,
            Err(IndexError::Conflict { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

pub async fn readers_see_whole_states_in_order(bench: Bench<dyn Index>) {
    const VERSIONS: usize = 30;
    let index = bench.open().await;
    let mut states = vec![first("foo", "0.0.0")];
    for i in 1..VERSIONS {
        states.push(publish(&states[i - 1].0, &format!("0.{i}.0")));
    }
    let files: Arc<[_]> = states.iter().map(|(record, _)| record.index_file()).collect();
    let records: Arc<[CrateRecord]> = states.iter().map(|(record, _)| record.clone()).collect();
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let (index, files, records) = (Arc::clone(&index), files.clone(), records.clone());
        readers.spawn(async move {
            let (mut seen, mut known): (_, Option<ETag>) = (0, None);
            while seen < VERSIONS {
                match index.index_file(&canonical("foo"), known.as_ref()).await.unwrap() {
                    Lookup::Absent => assert_eq!(seen, 0),
                    Lookup::Unchanged => assert_eq!(known.as_ref(), Some(&files[seen - 1].etag)),
                    Lookup::Found(file) => {
                        let state = files.iter().position(|state| *state == file);
                        let lines = state.expect("one of the states, whole") + 1;
                        assert!(lines > seen, "{lines} lines after {seen}");
                        seen = lines;
                        known = Some(file.etag);
                    }
                }
                if let Some(stored) = index.load(&canonical("foo"), None).await.unwrap().found() {
                    let state = records.iter().position(|state| *state == stored.record);
                    let releases = state.expect("one of the states, whole") + 1;
                    assert!(releases >= seen, "{releases} releases after {seen}");
                }
                // A backend that never waits would not let this task be ended.
                tokio::task::yield_now().await;
            }
        });
    }
    let mut revision = None;
    for (next, change) in &states {
        revision = Some(index.commit(revision.as_ref(), change, next).await.unwrap());
    }
    while let Some(joined) = readers.join_next().await {
        joined.unwrap();
    }
}

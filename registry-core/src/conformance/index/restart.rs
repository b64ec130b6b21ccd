use std::{num::NonZeroUsize, sync::Arc};

use super::{
    Tracked, assert_stored,
    concurrency::{race_to_change, race_to_publish_first},
    load,
};
use crate::{
    conformance::{
        Bench,
        record_fixture::{add_owner, canonical, first, owner, publish, set_yanked},
    },
    index::Index,
};

pub async fn everything_is_there_after_a_restart(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("Foo-Bar", "1.0.0")).await;
    tracked.commit(publish(&tracked.record, "1.1.0+build")).await;
    tracked.commit(set_yanked(&tracked.record, "1.0.0", true)).await;
    tracked.commit(add_owner(&tracked.record, owner(7, "bob"))).await;
    let other = Tracked::create(&index, first("other", "1.0.0")).await.record;
    let mut record = tracked.record;
    drop((tracked.index, index));

    // Each restart is followed by a write, so that a log that is replayed twice would show.
    for restart in 0..3 {
        let index = bench.open().await;
        index.ready().await.unwrap();
        let revision = assert_stored(&*index, &record).await;
        assert_stored(&*index, &other).await;
        let names = index.names(None, NonZeroUsize::new(10).unwrap()).await.unwrap();
        assert_eq!(names, [canonical("foo_bar"), canonical("other")]);

        let mut tracked = Tracked { index, record, revision };
        tracked.commit(publish(&tracked.record, &format!("2.0.{restart}"))).await;
        record = tracked.record;
    }
}

pub async fn two_handles_see_each_other(bench: Bench<dyn Index>) {
    let (one, two) = (bench.open().await, bench.open().await);
    let mut record = Tracked::create(&one, first("foo", "1.0.0")).await.record;
    for turn in 1..6 {
        let index = [&one, &two][turn % 2];
        // At once, and with no word from the other handle: a cache would have to ask.
        let revision = assert_stored(&**index, &record).await;
        let mut tracked = Tracked { index: Arc::clone(index), record, revision };
        tracked.commit(publish(&tracked.record, &format!("1.{turn}.0"))).await;
        record = tracked.record;
    }
    assert_eq!(load(&*one, &canonical("foo")).await.record, record);
    assert_eq!(load(&*two, &canonical("foo")).await.record, record);
}

pub async fn two_handles_take_turns_at_many_crates(bench: Bench<dyn Index>) {
    const CRATES: usize = 12;
    let handles = [bench.open().await, bench.open().await];
    let mut records = Vec::new();
    for i in 0..CRATES {
        let created = first(&format!("crate-{i}"), "1.0.0");
        records.push(Tracked::create(&handles[i % 2], created).await.record);
    }
    // Each handle changes what the other changed last; between its own look at a crate and its
    // next come the other's changes of all of them.
    for turn in 1..4 {
        for (i, record) in records.iter_mut().enumerate() {
            let index = Arc::clone(&handles[(i + turn) % 2]);
            let revision = assert_stored(&*index, record).await;
            let mut tracked = Tracked { index, record: record.clone(), revision };
            tracked
                .commit(match turn {
                    1 => publish(record, "1.1.0"),
                    2 => set_yanked(record, "1.0.0", true),
                    _ => add_owner(record, owner(2, "bob")),
                })
                .await;
            *record = tracked.record;
        }
    }
    let mut expected: Vec<_> = records.iter().map(|record| record.name().canonical()).collect();
    expected.sort();
    for index in &handles {
        for record in &records {
            assert_stored(&**index, record).await;
        }
        let names = index.names(None, NonZeroUsize::new(100).unwrap()).await.unwrap();
        assert_eq!(names, expected);
    }
}

pub async fn two_handles_do_not_overwrite_each_other(bench: Bench<dyn Index>) {
    let handles = [bench.open().await, bench.open().await];
    race_to_publish_first(&handles).await;
    race_to_change(&handles).await;
}

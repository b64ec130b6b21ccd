use std::sync::Arc;

use bytes::Bytes;

use super::{Tracked, assert_conflict, assert_stored, get, names};
use crate::{
    conformance::{Bench, MOST_POLLS, abandoned_after, record_fixture::canonical},
    index::Revision,
    record_store::RecordStore,
};

pub async fn a_new_store_is_ready_and_empty(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    store.ready().await.unwrap();
    assert_eq!(names(&*store).await, []);
    assert_eq!(store.get(&canonical("foo")).await.unwrap(), None);
}

pub async fn creating_is_refused_where_a_value_is(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    let mut tracked = Tracked::create(&store, "foo", "first").await;
    tracked.assert_refused(None, "second").await;
    tracked.put("third").await;
    tracked.assert_refused(None, "fourth").await;
}

pub async fn replacing_is_refused_where_no_value_is(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    let there = Tracked::create(&store, "there", "first").await;
    let absent = canonical("absent");
    let result = store.put(&absent, Some(&there.revision), "second".into()).await;
    assert_conflict(result, &absent);
    assert_eq!(store.get(&absent).await.unwrap(), None);
    assert_eq!(names(&*store).await, [canonical("there")]);
    there.assert_stored().await;
}

pub async fn replacing_is_refused_with_another_revision(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    let mut tracked = Tracked::create(&store, "foo", "first").await;
    let old = tracked.revision.clone();
    tracked.put("second").await;
    tracked.assert_refused(Some(&old), "third").await;

    let mut other = Tracked::create(&store, "other", "first").await;
    for bytes in ["second", "third", "fourth"] {
        // Of another crate, and replaced more often than this one: by no count is it this one's.
        other.put(bytes).await;
    }
    tracked.assert_refused(Some(&other.revision), "fourth").await;
    tracked.put("fifth").await;
}

pub async fn no_revision_comes_back(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    let mut tracked = Tracked::create(&store, "foo", "0").await;
    let mut seen: Vec<Revision> = vec![tracked.revision.clone()];
    // Of one length, and longer and shorter again.
    for bytes in ["1", "2", "", "3", "10", "4", "11"] {
        tracked.put(bytes).await;
        assert!(!seen.contains(&tracked.revision), "{:?} was there before", tracked.revision);
        seen.push(tracked.revision.clone());
    }
    for old in &seen[..seen.len() - 1] {
        tracked.assert_refused(Some(old), "late").await;
    }
}

pub async fn bytes_come_back_verbatim(bench: Bench<dyn RecordStore>) {
    let every_byte: Bytes = (0..=u8::MAX).collect::<Vec<_>>().into();
    let values: [Bytes; 10] = [
        // A value all the same, and not the absence of one.
        "".into(),
        "\0".into(),
        "\n".into(),
        " line\r\nline\n\n".into(),
        "\u{feff}bom".into(),
        "{\"format\":1}\n".into(),
        Bytes::from_static(b"\xff\xfe not UTF-8 \xc3\x28"),
        // As a compressed value begins.
        Bytes::from_static(b"\x1f\x8b\x08\0"),
        "'; DROP TABLE records; -- \"'`$1?%_\\".into(),
        every_byte,
    ];
    let store = bench.open().await;
    let mut replaced = Tracked::create(&store, "replaced", "before all").await;
    let mut created = Vec::new();
    for (number, value) in values.into_iter().enumerate() {
        replaced.put(value.clone()).await;
        created.push(Tracked::create(&store, &format!("created{number}"), value).await);
    }
    for each in &created {
        each.assert_stored().await;
    }
    assert_eq!(names(&*store).await.len(), 11);
}

pub async fn large_values_come_back_whole(bench: Bench<dyn RecordStore>) {
    // Many times what the largest crates of crates.io have, and no power of two.
    const BYTES: u32 = 8 * 1024 * 1024 + 4;
    // Repeats nowhere.
    let large = |from: u32| -> Vec<u8> {
        (from..from + BYTES / 4).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    };
    let store = bench.open().await;
    let mut tracked = Tracked::create(&store, "foo", large(0)).await;
    tracked.put("small").await;
    tracked.put(large(1)).await;
    tracked.put(large(2)).await;
}

pub async fn an_abandoned_first_put_is_whole_or_absent(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    for polls in 1..=MOST_POLLS {
        let name = canonical(&format!("crate-{polls}"));
        let (first, second) = (value(polls, "first"), value(polls, "second"));
        let put = abandoned_after(polls, store.put(&name, None, first.clone())).await;
        if let Some((found, _)) = store.get(&name).await.unwrap() {
            assert!(found == first, "{} bytes, not {}", found.len(), first.len());
        }
        let done = put.map(Result::unwrap).is_some();
        // What was begun may still take place, but not after another put has.
        let expected = match store.put(&name, None, second.clone()).await {
            Ok(_) if !done => &second,
            conflict => {
                assert_conflict(conflict, &name);
                &first
            }
        };
        let revision = assert_stored(&*store, &name, expected).await;
        let bytes = expected.clone();
        let mut tracked = Tracked { store: Arc::clone(&store), name, bytes, revision };
        tracked.put("third").await;
        if done {
            return;
        }
    }
    panic!("a put was polled {MOST_POLLS} times and was not done");
}

pub async fn an_abandoned_put_leaves_the_old_or_the_new_value(bench: Bench<dyn RecordStore>) {
    let store = bench.open().await;
    let mut tracked = Tracked::create(&store, "foo", value(0, "old")).await;
    for polls in 1..=MOST_POLLS {
        let (first, second) = (value(polls, "first"), value(polls, "second"));
        let old = Some(&tracked.revision);
        let put = abandoned_after(polls, store.put(&tracked.name, old, first.clone())).await;
        let done = put.map(Result::unwrap).is_some();
        let (found, _) = get(&*store, &tracked.name).await;
        let is_whole = found == first || (!done && found == tracked.bytes);
        assert!(is_whole, "{} bytes, neither the old value nor the new", found.len());
        // What was begun may still take place, but not after another put has.
        tracked.bytes = match store.put(&tracked.name, old, second.clone()).await {
            Ok(_) if !done => second,
            conflict => {
                assert_conflict(conflict, &tracked.name);
                first
            }
        };
        tracked.revision = assert_stored(&*store, &tracked.name, &tracked.bytes).await;
        tracked.put(format!("after {polls}")).await;
        if done {
            return;
        }
    }
    panic!("a put was polled {MOST_POLLS} times and was not done");
}

/// Some pages of a text that no other put has.
fn value(number: usize, text: &str) -> Bytes {
    format!("{text} {number}\n").repeat(2000).into()
}

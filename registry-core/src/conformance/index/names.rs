use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use super::Tracked;
use crate::{
    conformance::{
        Bench,
        record_fixture::{canonical, first, publish},
    },
    index::Index,
    name::CanonicalName,
};

/// Reads page after page to the end; each page is full but the last.
async fn list(index: &dyn Index, limit: usize) -> Vec<CanonicalName> {
    let limit = NonZeroUsize::new(limit).unwrap();
    let mut all: Vec<CanonicalName> = Vec::new();
    loop {
        let page = index.names(all.last(), limit).await.unwrap();
        let is_last = page.len() < limit.get();
        assert!(page.len() <= limit.get(), "{} names, limit {limit}", page.len());
        all.extend(page);
        if is_last {
            return all;
        }
    }
}

pub async fn names_are_listed_in_pages(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    // In byte order a digit is before `_`, which is before a letter: no dictionary has it so.
    let sorted = ["a", "a1", "a1_b", "a_", "a_b", "a_b_c", "aa", "ab", "b", "con", "z9"];
    for spelling in ["con", "ab", "A-B", "aa", "z9", "a1-b", "A_b-C", "a", "B", "a1", "a-"] {
        let mut created = Tracked::create(&index, first(spelling, "1.0.0")).await;
        // A crate of several versions is one name still.
        created.commit(publish(&created.record, "1.0.1")).await;
    }
    let sorted = sorted.map(canonical);
    for limit in [1, 2, 3, 10, 11, 12, 1000] {
        assert_eq!(list(&*index, limit).await, sorted, "limit {limit}");
    }
    // The name to begin behind needs not be there.
    for (after, first) in [("a0", 1), ("a1_a", 2), ("aaa", 7), ("c", 9), ("z9", 11), ("zz", 11)] {
        let limit = NonZeroUsize::new(100).unwrap();
        let rest = index.names(Some(&canonical(after)), limit).await.unwrap();
        assert_eq!(rest, sorted[first..], "after {after}");
    }
}

pub async fn a_listing_keeps_up_with_inserts(bench: Bench<dyn Index>) {
    const EARLY: usize = 20;
    // Before, between and behind the names that are there.
    const PLACES: [&str; 4] = ["a", "early-1", "early-zz", "late"];
    let index = bench.open().await;
    let early: BTreeSet<_> = (0..EARLY).map(|i| canonical(&format!("early-{i}"))).collect();
    for name in &early {
        Tracked::create(&index, first(name.as_str(), "1.0.0")).await;
    }
    let limit = NonZeroUsize::new(3).unwrap();
    let (mut all, mut pages): (Vec<CanonicalName>, usize) = (Vec::new(), 0);
    loop {
        let page = index.names(all.last(), limit).await.unwrap();
        let is_last = page.len() < limit.get();
        all.extend(page);
        if is_last {
            break;
        }
        // Between one page and the next, and only so often that the listing has an end.
        for place in PLACES.iter().take_while(|_| pages < 5) {
            Tracked::create(&index, first(&format!("{place}-page-{pages}"), "1.0.0")).await;
        }
        pages += 1;
    }
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    assert!(early.iter().all(|name| all.contains(name)), "{all:?}");

    let writers: Vec<_> = PLACES
        .into_iter()
        .map(|place| {
            let index = Arc::clone(&index);
            tokio::spawn(async move {
                for i in 0..10 {
                    Tracked::create(&index, first(&format!("{place}-{i}"), "1.0.0")).await;
                }
            })
        })
        .collect();
    loop {
        let last_round = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let all = list(&*index, 3).await;
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        let listed = early.iter().filter(|name| all.contains(name)).count();
        assert_eq!(listed, EARLY, "{all:?}");
        if last_round {
            assert_eq!(all.len(), EARLY + 20 + 40);
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

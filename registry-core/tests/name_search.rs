//! The search that every index has, over one that is far away. Runs with the feature `conformance`.
#![cfg(feature = "conformance")]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{
    CanonicalName, IndexError, RecordIndex, RecordStore, codec,
    conformance::record_fixture::{canonical, first},
    index::Revision,
    search::{NameSearch, Search as _, SearchQuery},
};

/// Twenty crates, and how many of them are being read, now and at the most; and how many were.
#[derive(Debug, Default)]
struct Distant {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

#[async_trait]
impl RecordStore for Distant {
    async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        let (record, _) = first(name.as_str(), "1.0.0");
        Ok(Some((codec::encode(&record, 1), Revision::from("1"))))
    }

    async fn put(
        &self,
        _: &CanonicalName,
        _: Option<&Revision>,
        _: Bytes,
    ) -> Result<Revision, IndexError> {
        unreachable!("a search writes nothing")
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let names = (10..30).map(|number| canonical(&format!("foo{number}")));
        Ok(names.filter(|name| after.is_none_or(|after| name > after)).take(limit.get()).collect())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_found_is_read_several_at_a_time_and_stays_in_order() {
    let store = Arc::new(Distant::default());
    let search = NameSearch::new(Arc::new(RecordIndex::new(store.clone())));
    let query = SearchQuery::new("foo", 3, NonZeroUsize::new(2).unwrap()).unwrap();
    let page = search.search(&query).await.unwrap();
    let names: Vec<_> = page.crates.iter().map(|found| found.name.as_str()).collect();
    assert_eq!((names, page.total), (vec!["foo13", "foo14"], 20));
    assert_eq!(store.most.load(Ordering::Relaxed), 8);
    // None but those up to the last, and what is begun ahead of it.
    assert!((5..5 + 8).contains(&store.all.load(Ordering::Relaxed)), "{store:?}");
}

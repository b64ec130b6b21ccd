//! The promises of [`RecordStore`]; see
//! [`record_store_conformance!`](crate::record_store_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

mod put;
mod races;

use std::{num::NonZeroUsize, sync::Arc};

use bytes::Bytes;

pub use self::{put::*, races::*};
use super::{Bench, index, record_fixture::canonical};
use crate::{
    index::{Index, IndexError, Revision},
    name::CanonicalName,
    record_store::{RecordIndex, RecordStore},
};

/// Proves a [`RecordStore`], one `#[test]` per promise, in a module of the name given.
///
/// The page of [`record_store`](crate::record_store) has an example, and says what is proven. See
/// [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! record_store_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, record_store;
            any:
                a_new_store_is_ready_and_empty
                creating_is_refused_where_a_value_is
                replacing_is_refused_where_no_value_is
                replacing_is_refused_with_another_revision
                no_revision_comes_back
                bytes_come_back_verbatim
                large_values_come_back_whole
                an_abandoned_first_put_is_whole_or_absent
                an_abandoned_put_leaves_the_old_or_the_new_value
                values_do_not_touch_each_other
                names_at_their_limits_are_kept
                names_are_listed_in_pages
                a_listing_keeps_up_with_inserts
                one_of_many_first_puts_wins
                no_concurrent_put_is_lost
                readers_see_whole_values_in_order;
            durable:
                everything_is_there_after_a_restart
                two_handles_see_each_other
                two_handles_do_not_overwrite_each_other;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl RecordStore) -> Arc<dyn RecordStore> {
    Arc::new(store)
}

/// A value as the test knows it, beside the store that must know the same.
struct Tracked {
    store: Arc<dyn RecordStore>,
    name: CanonicalName,
    bytes: Bytes,
    revision: Revision,
}

impl Tracked {
    async fn create(
        store: &Arc<dyn RecordStore>,
        name: &str,
        bytes: impl Into<Bytes> + Send,
    ) -> Self {
        let (name, bytes) = (canonical(name), bytes.into());
        let revision = store.put(&name, None, bytes.clone()).await.unwrap();
        let created = Self { store: store.clone(), name, bytes, revision };
        created.assert_stored().await;
        created
    }

    async fn put(&mut self, bytes: impl Into<Bytes> + Send) {
        self.bytes = bytes.into();
        let put = self.store.put(&self.name, Some(&self.revision), self.bytes.clone());
        self.revision = put.await.unwrap();
        self.assert_stored().await;
    }

    /// These bytes are there, under this revision.
    async fn assert_stored(&self) {
        let revision = assert_stored(&*self.store, &self.name, &self.bytes).await;
        assert_eq!(revision, self.revision, "{}", self.name);
    }

    /// What a put of `bytes` says that expects `revision`.
    async fn assert_refused(&self, revision: Option<&Revision>, bytes: &'static str) {
        let result = self.store.put(&self.name, revision, bytes.into()).await;
        assert_conflict(result, &self.name);
        self.assert_stored().await;
    }
}

async fn get(store: &dyn RecordStore, name: &CanonicalName) -> (Bytes, Revision) {
    store.get(name).await.unwrap().expect("the value was created")
}

async fn assert_stored(store: &dyn RecordStore, name: &CanonicalName, bytes: &Bytes) -> Revision {
    let (found, revision) = get(store, name).await;
    // Not by `assert_eq`, which would print megabytes.
    assert!(found == *bytes, "{} bytes under {name} are not the {} put", found.len(), bytes.len());
    revision
}

#[track_caller]
fn assert_conflict(result: Result<Revision, IndexError>, expected: &CanonicalName) {
    index::assert_conflict(result, expected);
}

async fn names(store: &dyn RecordStore) -> Vec<CanonicalName> {
    store.names(None, NonZeroUsize::new(100).unwrap()).await.unwrap()
}

/// What is promised of an index in the same words, the index over this store must keep.
fn as_index(bench: Bench<dyn RecordStore>) -> Bench<dyn Index> {
    bench.map(|store| Arc::new(RecordIndex::new(store)))
}

pub async fn values_do_not_touch_each_other(bench: Bench<dyn RecordStore>) {
    index::crates_do_not_touch_each_other(as_index(bench)).await;
}

pub async fn names_at_their_limits_are_kept(bench: Bench<dyn RecordStore>) {
    index::names_at_their_limits_are_kept(as_index(bench)).await;
}

pub async fn names_are_listed_in_pages(bench: Bench<dyn RecordStore>) {
    index::names_are_listed_in_pages(as_index(bench)).await;
}

pub async fn a_listing_keeps_up_with_inserts(bench: Bench<dyn RecordStore>) {
    index::a_listing_keeps_up_with_inserts(as_index(bench)).await;
}

pub async fn readers_see_whole_values_in_order(bench: Bench<dyn RecordStore>) {
    index::readers_see_whole_states_in_order(as_index(bench)).await;
}

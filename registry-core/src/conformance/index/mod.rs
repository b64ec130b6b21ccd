//! The promises of [`Index`]; see [`index_conformance!`](crate::index_conformance).

#[expect(missing_docs, reason = "the names are the promises")]
mod commit;
#[expect(missing_docs, reason = "the names are the promises")]
mod concurrency;
#[expect(missing_docs, reason = "the names are the promises")]
mod files;
mod import;
#[expect(missing_docs, reason = "the names are the promises")]
mod names;
#[expect(missing_docs, reason = "the names are the promises")]
mod restart;
#[expect(missing_docs, reason = "the names are the promises")]
mod round_trip;

use std::sync::Arc;

pub use self::{
    commit::*, concurrency::*, files::*, import::*, names::*, restart::*, round_trip::*,
};
use crate::{
    index::{Index, IndexError, IndexFile, Lookup, Revision, Stored},
    name::CanonicalName,
    record::{CrateRecord, Transition},
};

/// Proves an [`Index`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemoryIndex;
///
/// registry_core::index_conformance!(memory, volatile: async || MemoryIndex::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` indexes.
#[macro_export]
macro_rules! index_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, index;
            any:
                a_new_index_is_ready_and_empty
                creating_is_refused_where_a_record_is
                replacing_is_refused_where_no_record_is
                replacing_is_refused_with_an_old_revision
                replacing_is_refused_with_a_revision_of_another_crate
                a_known_revision_is_answered_unchanged
                no_revision_comes_back
                crates_do_not_touch_each_other
                an_abandoned_first_commit_is_whole_or_absent
                an_abandoned_commit_leaves_the_old_or_the_new_record
                a_commit_of_unknown_outcome_has_one_effect
                unknown_names_are_absent
                every_change_comes_back_whole
                every_state_comes_back_whole
                unusual_texts_come_back_verbatim
                values_at_their_limits_come_back_whole
                names_at_their_limits_are_kept
                many_versions_keep_their_order
                five_thousand_versions_come_back_whole
                an_import_comes_back_whole
                a_known_etag_is_answered_unchanged
                an_etag_changes_only_if_the_bytes_do
                names_are_listed_in_pages
                a_listing_keeps_up_with_inserts
                one_of_many_first_publishes_wins
                no_concurrent_change_is_lost
                readers_see_whole_states_in_order;
            durable:
                everything_is_there_after_a_restart
                two_handles_see_each_other
                two_handles_take_turns_at_many_crates
                two_handles_do_not_overwrite_each_other;
            absent:;
        }
    };
}

/// The index as the tests use it.
pub fn share(index: impl Index) -> Arc<dyn Index> {
    Arc::new(index)
}

/// A crate as the test knows it, beside the index that must know the same.
struct Tracked {
    index: Arc<dyn Index>,
    record: CrateRecord,
    revision: Revision,
}

impl Tracked {
    async fn create(index: &Arc<dyn Index>, (record, change): Transition) -> Self {
        let revision = index.commit(None, &change, &record).await.unwrap();
        let created = Self { index: index.clone(), record, revision };
        created.assert_stored().await;
        created
    }

    async fn commit(&mut self, (next, change): Transition) {
        self.revision = self.index.commit(Some(&self.revision), &change, &next).await.unwrap();
        self.record = next;
        self.assert_stored().await;
    }

    fn name(&self) -> CanonicalName {
        self.record.name().canonical()
    }

    /// Both ways of reading give this state, and its revision.
    async fn assert_stored(&self) {
        let revision = assert_stored(&*self.index, &self.record).await;
        assert_eq!(revision, self.revision);
    }
}

async fn load(index: &dyn Index, name: &CanonicalName) -> Stored {
    index.load(name, None).await.unwrap().found().expect("the crate was created")
}

async fn assert_stored(index: &dyn Index, record: &CrateRecord) -> Revision {
    let name = record.name().canonical();
    let stored = load(index, &name).await;
    assert_eq!(stored.record, *record);
    let known = index.load(&name, Some(&stored.revision)).await.unwrap();
    assert_eq!(known, Lookup::Unchanged);
    assert_file(index, &name, &Lookup::Found(record.index_file())).await;
    stored.revision
}

async fn assert_absent(index: &dyn Index, name: &CanonicalName) {
    assert_eq!(index.load(name, None).await.unwrap(), Lookup::Absent, "{name:?}");
    assert_file(index, name, &Lookup::Absent).await;
}

async fn assert_file(index: &dyn Index, name: &CanonicalName, expected: &Lookup<IndexFile>) {
    // Before and after, what can be told at once is no other.
    let at_once = || index.try_index_file(name, None);
    assert!(at_once().is_none_or(|file| file == *expected), "{name:?}");
    assert_eq!(index.index_file(name, None).await.unwrap(), *expected, "{name:?}");
    assert!(at_once().is_none_or(|file| file == *expected), "{name:?}");
}

#[track_caller]
pub(super) fn assert_conflict(result: Result<Revision, IndexError>, expected: &CanonicalName) {
    match result {
        Err(IndexError::Conflict { name }) if name == *expected => {}
        other => panic!("instead of a conflict about {expected:?}: {other:?}"),
    }
}

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{
    CanonicalName, IndexError, RecordStore,
    conformance::{Bench, record_store},
    index::Revision,
};

use super::{notices, passed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordDefect {
    None,
    Overwrites,
    LooksThenWrites,
    WritesInSteps,
    /// An abandoned put takes place after the next one.
    LandsLate,
    RevisionOfTheLength,
    KeepsOnlyText,
    TakesEmptyForAbsent,
    CutsValues,
    CutsNames(usize),
    ListsPagesOfOneMore,
    PagesByOffset,
    IsNotReady,
}

/// A store in memory with a defect.
#[derive(Debug)]
pub(crate) struct BrokenRecords {
    defect: RecordDefect,
    values: Mutex<BTreeMap<CanonicalName, (u64, Bytes)>>,
    late: Mutex<Vec<(CanonicalName, Bytes)>>,
    gets: AtomicU64,
    looks: AtomicU64,
    /// How many names there were up to the last of a page.
    offsets: Mutex<HashMap<CanonicalName, usize>>,
}

impl BrokenRecords {
    pub(crate) fn new(defect: RecordDefect) -> Self {
        Self {
            defect,
            values: Mutex::default(),
            late: Mutex::default(),
            gets: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            offsets: Mutex::default(),
        }
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<CanonicalName, (u64, Bytes)>> {
        self.values.lock().unwrap()
    }

    fn key(&self, name: &CanonicalName) -> CanonicalName {
        match self.defect {
            RecordDefect::CutsNames(length) => {
                CanonicalName::new(&name.as_str()[..length.min(name.as_str().len())]).unwrap()
            }
            _ => name.clone(),
        }
    }

    fn revision(&self, count: u64, bytes: &Bytes) -> Revision {
        match self.defect {
            RecordDefect::RevisionOfTheLength => Revision::from(bytes.len().to_string()),
            _ => Revision::from(count.to_string()),
        }
    }

    fn write(&self, name: &CanonicalName, bytes: Bytes) -> Revision {
        let mut values = self.values();
        let count = values.get(name).map_or(0, |(count, _)| *count) + 1;
        values.insert(name.clone(), (count, bytes.clone()));
        self.revision(count, &bytes)
    }

    fn write_if(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        bytes: Bytes,
    ) -> Result<Revision, IndexError> {
        self.check(name, expected)?;
        Ok(self.write(name, bytes))
    }

    fn check(&self, name: &CanonicalName, expected: Option<&Revision>) -> Result<(), IndexError> {
        let found = self.values().get(name).map(|(count, bytes)| self.revision(*count, bytes));
        match found.as_ref() == expected {
            true => Ok(()),
            false => Err(IndexError::Conflict { name: name.clone() }),
        }
    }
}

/// Remembers a put that is abandoned.
struct Late<'a>(&'a BrokenRecords, Option<(CanonicalName, Bytes)>);

impl Drop for Late<'_> {
    fn drop(&mut self) {
        self.0.late.lock().unwrap().extend(self.1.take());
    }
}

#[async_trait]
impl RecordStore for BrokenRecords {
    async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        let found = self.values().get(&self.key(name)).cloned();
        let found = found.filter(|(_, bytes)| {
            self.defect != RecordDefect::TakesEmptyForAbsent || !bytes.is_empty()
        });
        Ok(found.map(|(count, bytes)| {
            let revision = self.revision(count, &bytes);
            (bytes, revision)
        }))
    }

    async fn put(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        record: Bytes,
    ) -> Result<Revision, IndexError> {
        let name = self.key(name);
        match self.defect {
            RecordDefect::Overwrites => Ok(self.write(&name, record)),
            RecordDefect::LooksThenWrites => {
                self.check(&name, expected)?;
                // Another writer, if there is one, has looked as well.
                let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
                passed(&self.looks, looks).await;
                Ok(self.write(&name, record))
            }
            RecordDefect::WritesInSteps => {
                let half = record.slice(..record.len() / 2);
                let revision = self.write_if(&name, expected, half)?;
                // A reader, if there is one, comes between the steps.
                passed(&self.gets, self.gets.load(Ordering::Relaxed)).await;
                self.write_if(&name, Some(&revision), record)
            }
            RecordDefect::LandsLate => {
                self.check(&name, expected)?;
                let mut late = Late(self, Some((name.clone(), record.clone())));
                tokio::task::yield_now().await;
                late.1 = None;
                let revision = self.write_if(&name, expected, record)?;
                let abandoned = std::mem::take(&mut *self.late.lock().unwrap());
                for (name, bytes) in abandoned {
                    self.write(&name, bytes);
                }
                Ok(revision)
            }
            RecordDefect::KeepsOnlyText => {
                let text = String::from_utf8_lossy(&record).into_owned();
                self.write_if(&name, expected, text.into())
            }
            RecordDefect::CutsValues => {
                self.write_if(&name, expected, record.slice(..record.len().min(1 << 20)))
            }
            _ => self.write_if(&name, expected, record),
        }
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        if self.defect == RecordDefect::PagesByOffset {
            let mut offsets = self.offsets.lock().unwrap();
            let offset = after.and_then(|after| offsets.get(after)).copied().unwrap_or(0);
            let page: Vec<_> =
                self.values().keys().skip(offset).take(limit.get()).cloned().collect();
            offsets.extend(page.last().map(|last| (last.clone(), offset + page.len())));
            return Ok(page);
        }
        let more = usize::from(self.defect == RecordDefect::ListsPagesOfOneMore);
        let values = self.values();
        let rest = values.keys().filter(|name| after.is_none_or(|after| *name > after));
        Ok(rest.take(limit.get() + more).cloned().collect())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        match self.defect {
            RecordDefect::IsNotReady => {
                Err(IndexError::Backend { backend: "broken", source: "no".into() })
            }
            _ => Ok(()),
        }
    }
}

#[test]
fn of_a_record_store() {
    use RecordDefect::*;

    let broken = |defect| Bench::volatile(BrokenRecords::new(defect), record_store::share);
    notices! { record_store, broken;
        IsNotReady => a_new_store_is_ready_and_empty;
        Overwrites => creating_is_refused_where_a_value_is, replacing_is_refused_where_no_value_is,
            replacing_is_refused_with_another_revision, one_of_many_first_puts_wins,
            no_concurrent_put_is_lost;
        LooksThenWrites => one_of_many_first_puts_wins, no_concurrent_put_is_lost;
        WritesInSteps => an_abandoned_first_put_is_whole_or_absent,
            an_abandoned_put_leaves_the_old_or_the_new_value, readers_see_whole_values_in_order;
        LandsLate => an_abandoned_first_put_is_whole_or_absent,
            an_abandoned_put_leaves_the_old_or_the_new_value;
        RevisionOfTheLength => no_revision_comes_back;
        KeepsOnlyText => bytes_come_back_verbatim;
        TakesEmptyForAbsent => bytes_come_back_verbatim;
        CutsValues => large_values_come_back_whole;
        CutsNames(3) => values_do_not_touch_each_other;
        CutsNames(63) => names_at_their_limits_are_kept;
        ListsPagesOfOneMore => names_are_listed_in_pages;
        PagesByOffset => a_listing_keeps_up_with_inserts;
    }
}

#[test]
fn of_handles_on_a_record_store() {
    use RecordDefect::*;

    // Each handle is a store of its own.
    let apart =
        |defect| Bench::durable(async move || BrokenRecords::new(defect), record_store::share);
    notices! { record_store, apart;
        None => everything_is_there_after_a_restart, two_handles_see_each_other,
            two_handles_do_not_overwrite_each_other;
    }
    let shared = |defect| {
        let store = Arc::new(BrokenRecords::new(defect));
        Bench::durable(async move || store.clone(), record_store::share)
    };
    notices! { record_store, shared;
        LooksThenWrites => two_handles_do_not_overwrite_each_other;
    }
}

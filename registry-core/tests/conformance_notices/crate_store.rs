use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use async_trait::async_trait;
use registry_core::{
    CrateStore, StoreError,
    conformance::{Bench, crate_store},
    memory::MemoryCrateStore,
    store::{CrateBody, CrateFile, CrateKey, StoredCrate},
};

use super::notices;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreDefect {
    KeepsTheLastChunk,
    LeavesAPart,
    FoldsCase,
    ForgetsBuildMetadata,
    RefusesASecondPut,
    FailsToDeleteNothing,
    SortsByText,
    KeepsDeleted,
    TakesEmptyForAbsent,
    ForgetsWhen,
    PagesByOffset,
    IsNotReady,
}

#[derive(Clone, Debug)]
struct BrokenStore {
    inner: MemoryCrateStore,
    defect: StoreDefect,
    /// How many files there were up to the last of a page.
    offsets: Arc<Mutex<HashMap<CrateKey, usize>>>,
}

impl BrokenStore {
    fn new(defect: StoreDefect) -> Self {
        let inner = MemoryCrateStore::new();
        Self { inner, defect, offsets: Arc::default() }
    }

    async fn page_by_offset(
        &self,
        after: Option<&CrateKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<StoredCrate>, StoreError> {
        let offset = match after {
            None => 0,
            Some(after) => self.offsets.lock().unwrap().get(after).copied().unwrap_or(0),
        };
        let all = self.inner.list(None, NonZeroUsize::MAX).await?;
        let page: Vec<_> = all.into_iter().skip(offset).take(limit.get()).collect();
        let last = page.last().map(|last| (last.key.clone(), offset + page.len()));
        self.offsets.lock().unwrap().extend(last);
        Ok(page)
    }

    fn key(&self, key: &CrateKey) -> CrateKey {
        let mut stored = key.clone();
        match self.defect {
            StoreDefect::FoldsCase => {
                stored.version = key.version.to_string().to_lowercase().parse().unwrap();
            }
            StoreDefect::ForgetsBuildMetadata => stored.version.build = Default::default(),
            _ => {}
        }
        stored
    }
}

#[async_trait]
impl CrateStore for BrokenStore {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        let key = self.key(key);
        match self.defect {
            StoreDefect::TakesEmptyForAbsent if file.is_empty() => Ok(()),
            StoreDefect::KeepsTheLastChunk => {
                let last = file.chunks().last().cloned().unwrap_or_default();
                self.inner.put(&key, last.into()).await
            }
            StoreDefect::LeavesAPart => {
                for count in 1..=file.chunks().len() {
                    self.inner.put(&key, file.chunks()[..count].to_vec().into()).await?;
                    tokio::task::yield_now().await;
                }
                self.inner.put(&key, file).await
            }
            StoreDefect::RefusesASecondPut if self.inner.get(&key).await?.is_some() => {
                Err(StoreError::Backend { backend: "broken", source: "is there".into() })
            }
            _ => self.inner.put(&key, file).await,
        }
    }

    async fn get(&self, key: &CrateKey) -> Result<Option<CrateFile>, StoreError> {
        let mut file = self.inner.get(&self.key(key)).await?;
        if let (StoreDefect::ForgetsWhen, Some(file)) = (self.defect, &mut file) {
            file.modified = SystemTime::UNIX_EPOCH;
        }
        Ok(file)
    }

    async fn delete(&self, key: &CrateKey) -> Result<(), StoreError> {
        let is_absent = self.inner.get(key).await?.is_none();
        match self.defect {
            StoreDefect::KeepsDeleted => Ok(()),
            StoreDefect::FailsToDeleteNothing if is_absent => {
                Err(StoreError::Backend { backend: "broken", source: "is not there".into() })
            }
            _ => self.inner.delete(&self.key(key)).await,
        }
    }

    async fn list(
        &self,
        after: Option<&CrateKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<StoredCrate>, StoreError> {
        if self.defect == StoreDefect::PagesByOffset {
            return self.page_by_offset(after, limit).await;
        }
        if self.defect != StoreDefect::SortsByText {
            return self.inner.list(after, limit).await;
        }
        let mut all = self.inner.list(None, NonZeroUsize::MAX).await?;
        all.sort_by_key(|stored| stored.key.to_string());
        all.retain(|stored| after.is_none_or(|after| stored.key.to_string() > after.to_string()));
        all.truncate(limit.get());
        Ok(all)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        match self.defect {
            StoreDefect::IsNotReady => {
                Err(StoreError::Backend { backend: "broken", source: "no".into() })
            }
            _ => self.inner.ready().await,
        }
    }
}

#[test]
fn of_a_crate_store() {
    use StoreDefect::*;

    let broken = |defect| Bench::volatile(BrokenStore::new(defect), crate_store::share);
    notices! { crate_store, broken;
        IsNotReady => a_new_store_is_ready_and_empty;
        TakesEmptyForAbsent => an_empty_file_is_a_file;
        ForgetsWhen => a_file_comes_back_whole;
        PagesByOffset => a_listing_keeps_up_with_puts;
        KeepsTheLastChunk => a_long_file_comes_back_whole;
        LeavesAPart => an_abandoned_put_leaves_the_whole_file_or_none,
            concurrent_puts_of_one_file_all_succeed;
        FoldsCase => files_are_told_apart_by_every_part_of_the_key, keys_at_their_limits_are_kept;
        ForgetsBuildMetadata => files_are_told_apart_by_every_part_of_the_key;
        RefusesASecondPut => putting_a_file_again_changes_nothing,
            concurrent_puts_of_one_file_all_succeed;
        FailsToDeleteNothing => a_deleted_file_is_absent;
        SortsByText => files_are_listed_in_pages;
        KeepsDeleted => a_deleted_file_is_absent;
    }
}

#[test]
fn of_handles_on_a_crate_store() {
    // Each handle is a store of its own.
    let apart = |()| Bench::durable(async || MemoryCrateStore::new(), crate_store::share);
    notices! { crate_store, apart;
        () => every_file_is_there_after_a_restart, two_handles_are_one_store;
    }
}

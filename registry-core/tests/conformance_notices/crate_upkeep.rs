use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use registry_core::{
    CrateStore, StoreError,
    conformance::{Bench, crate_upkeep},
    memory::MemoryCrateStore,
    store::{
        AsideCrate, AsideCrates, AsideReason, ByteRange, CrateBody, CrateFile, CrateKey,
        CrateUpkeep, StoredCrate, StoredCrates,
    },
};

use super::notices;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpkeepDefect {
    LeavesTheFile,
    Deletes,
    LosesBetween,
    RemovesWhatCameLater,
    ForgetsTheReason,
    ServesDamaged,
    HidesUnnamed,
    PrefersAside,
    KeepsOneEntry,
    MakesUpEntries,
    ListsSome,
    TellsAnotherTime,
    ReplacesWhenPuttingBack,
    LosesWhilePuttingBack,
    KeepsTheEntry,
    DoesNotPurge,
    PurgesThePlace,
    FailsWhenGone,
    OpensUnnamedOnly,
    ForgetsBuildMetadata,
}

#[derive(Clone, Debug)]
struct BrokenUpkeep {
    inner: MemoryCrateStore,
    defect: UpkeepDefect,
}

impl BrokenUpkeep {
    fn new(defect: UpkeepDefect) -> Self {
        Self { inner: MemoryCrateStore::new(), defect }
    }

    fn key(&self, key: &CrateKey) -> CrateKey {
        let mut stored = key.clone();
        if self.defect == UpkeepDefect::ForgetsBuildMetadata {
            stored.version.build = Default::default();
        }
        stored
    }

    async fn entries(&self, key: &CrateKey) -> Vec<AsideCrate> {
        let entries: Vec<_> = self.inner.list_aside().try_collect().await.unwrap();
        entries.into_iter().filter(|entry| entry.key == *key).collect()
    }

    async fn in_place(&self, key: &CrateKey) -> Option<CrateFile> {
        let mut listed = self.inner.list();
        while let Some(stored) = listed.next().await {
            if stored.unwrap().key == *key {
                drop(listed);
                return self.inner.get(key, None).await.unwrap();
            }
        }
        None
    }
}

#[async_trait]
impl CrateStore for BrokenUpkeep {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.inner.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let entries = self.entries(key).await;
        let wanted = match self.defect {
            UpkeepDefect::PrefersAside => entries.last(),
            UpkeepDefect::ServesDamaged if self.in_place(key).await.is_none() => entries.last(),
            UpkeepDefect::HidesUnnamed if self.in_place(key).await.is_none() => return Ok(None),
            _ => None,
        };
        match wanted {
            Some(entry) => self.inner.open_aside(entry).await,
            None => self.inner.get(key, range).await,
        }
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.inner.head(key).await
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.inner.location(key).await
    }

    fn list(&self) -> StoredCrates<'_> {
        self.inner.list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

#[async_trait]
impl CrateUpkeep for BrokenUpkeep {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        let stored = self.key(key);
        let file = self.in_place(key).await;
        match self.defect {
            UpkeepDefect::LosesBetween => {
                let Some(file) = file else { return Ok(()) };
                self.inner.set_aside(key, AsideReason::Damaged).await?;
                tokio::task::yield_now().await;
                let entries = self.entries(key).await;
                self.inner.put(key, file.bytes().await?.into()).await?;
                self.inner.set_aside(key, reason).await?;
                for entry in entries {
                    if entry.reason == AsideReason::Damaged {
                        self.inner.purge(&entry).await?;
                    }
                }
                return Ok(());
            }
            UpkeepDefect::MakesUpEntries if file.is_none() => {
                self.inner.put(key, CrateBody::default()).await?;
            }
            UpkeepDefect::KeepsOneEntry => {
                for entry in self.entries(key).await {
                    self.inner.purge(&entry).await?;
                }
            }
            _ => {}
        }
        let reason = match self.defect {
            UpkeepDefect::ForgetsTheReason => AsideReason::Unnamed,
            _ => reason,
        };
        self.inner.set_aside(&stored, reason).await?;
        match (self.defect, file) {
            (UpkeepDefect::LeavesTheFile, Some(file)) => {
                self.inner.put(key, file.bytes().await?.into()).await?;
            }
            (UpkeepDefect::RemovesWhatCameLater, Some(_)) => {
                tokio::task::yield_now().await;
                if self.in_place(key).await.is_some() {
                    self.inner.set_aside(&stored, reason).await?;
                    for entry in self.entries(key).await {
                        self.inner.purge(&entry).await?;
                    }
                }
            }
            (UpkeepDefect::Deletes, _) => {
                for entry in self.entries(key).await {
                    self.inner.purge(&entry).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        let entries = self.inner.list_aside();
        match self.defect {
            UpkeepDefect::ListsSome => Box::pin(entries.skip(1)),
            UpkeepDefect::TellsAnotherTime => Box::pin(entries.map_ok(|entry| AsideCrate {
                since: SystemTime::now() - Duration::from_secs(86_400),
                ..entry
            })),
            _ => entries,
        }
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        match self.defect {
            UpkeepDefect::OpensUnnamedOnly if entry.reason == AsideReason::Damaged => Ok(None),
            _ => self.inner.open_aside(entry).await,
        }
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        let Some(file) = self.inner.open_aside(entry).await? else {
            return match self.defect {
                UpkeepDefect::FailsWhenGone => Err(StoreError::failed("broken", "gone")),
                _ => Ok(()),
            };
        };
        match self.defect {
            UpkeepDefect::ReplacesWhenPuttingBack => {
                self.inner.put(&entry.key, file.bytes().await?.into()).await?;
            }
            UpkeepDefect::LosesWhilePuttingBack => {
                self.inner.purge(entry).await?;
                tokio::task::yield_now().await;
                self.inner.put(&entry.key, file.bytes().await?.into()).await?;
            }
            _ => {}
        }
        self.inner.put_back(entry).await?;
        if self.defect == UpkeepDefect::KeepsTheEntry {
            let file = self.inner.get(&entry.key, None).await?.expect("just put back");
            self.inner.set_aside(&entry.key, entry.reason).await?;
            self.inner.put(&entry.key, file.bytes().await?.into()).await?;
        }
        Ok(())
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        match self.defect {
            UpkeepDefect::DoesNotPurge => Ok(()),
            UpkeepDefect::PurgesThePlace => {
                self.inner.set_aside(&entry.key, AsideReason::Unnamed).await?;
                for entry in self.entries(&entry.key).await {
                    self.inner.purge(&entry).await?;
                }
                Ok(())
            }
            _ => self.inner.purge(entry).await,
        }
    }
}

#[test]
fn of_a_crate_upkeep() {
    use UpkeepDefect::*;

    let broken = |defect| Bench::volatile(BrokenUpkeep::new(defect), crate_upkeep::share);
    notices! { crate_upkeep, broken;
        LeavesTheFile => what_is_put_aside_is_told_and_not_listed, concurrent_moves_lose_no_file;
        Deletes => an_unnamed_file_is_read_as_before;
        LosesBetween => an_abandoned_set_aside_loses_no_file;
        RemovesWhatCameLater => a_put_in_the_middle_of_a_move_is_found;
        ForgetsTheReason => a_damaged_file_is_refused;
        ServesDamaged => a_damaged_file_is_refused;
        HidesUnnamed => an_unnamed_file_is_read_as_before,
            an_unnamed_file_is_read_rather_than_a_damaged_one;
        PrefersAside => a_file_in_its_place_is_read_before_all_others;
        KeepsOneEntry => each_time_aside_is_an_entry_of_its_own;
        MakesUpEntries => where_there_is_no_file_nothing_is_put_aside;
        ListsSome => what_is_put_aside_is_told_and_not_listed;
        TellsAnotherTime => what_is_put_aside_is_told_and_not_listed;
        ReplacesWhenPuttingBack => putting_back_replaces_nothing;
        LosesWhilePuttingBack => an_abandoned_put_back_loses_no_file;
        KeepsTheEntry => a_file_is_put_back_whatever_it_was_aside_for;
        DoesNotPurge => a_purged_file_is_gone;
        PurgesThePlace => a_purged_file_is_gone;
        FailsWhenGone => a_file_is_put_back_whatever_it_was_aside_for, a_purged_file_is_gone;
        OpensUnnamedOnly => a_file_aside_is_opened_whatever_it_is_aside_for;
        ForgetsBuildMetadata => a_file_is_put_aside_by_every_part_of_its_key;
    }
}

#[test]
fn of_handles_on_a_crate_upkeep() {
    // Each handle is a store of its own.
    let apart = |()| Bench::durable(async || MemoryCrateStore::new(), crate_upkeep::share);
    notices! { crate_upkeep, apart;
        () => what_is_aside_is_there_after_a_restart, two_handles_are_one_upkeep;
    }
}

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use registry_core::{
    CrateStore, StoreError,
    conformance::{Bench, crate_store},
    memory::MemoryCrateStore,
    store::{BodyPlace, ByteRange, CrateBody, CrateFile, CrateKey, StoredCrate, StoredCrates},
};

use super::notices;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreDefect {
    KeepsTheLastChunk,
    LeavesAPart,
    FoldsCase,
    ForgetsBuildMetadata,
    RefusesASecondPut,
    IgnoresRanges,
    EndsEarly,
    TellsOfNothing,
    ListsTwice,
    ListsSome,
    RemembersThePath,
    TakesEmptyForAbsent,
    ForgetsWhen,
    IsNotReady,
}

#[derive(Clone, Debug)]
struct BrokenStore {
    inner: MemoryCrateStore,
    defect: StoreDefect,
}

impl BrokenStore {
    fn new(defect: StoreDefect) -> Self {
        let inner = MemoryCrateStore::new();
        Self { inner, defect }
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
                self.inner.put(&key, pieces(&file).last().cloned().unwrap_or_default().into()).await
            }
            StoreDefect::LeavesAPart => {
                for count in 1..=pieces(&file).len() {
                    self.inner.put(&key, pieces(&file)[..count].to_vec().into()).await?;
                    tokio::task::yield_now().await;
                }
                self.inner.put(&key, file).await
            }
            StoreDefect::RefusesASecondPut if self.inner.head(&key).await?.is_some() => {
                Err(StoreError::Backend { backend: "broken", source: "is there".into() })
            }
            StoreDefect::RemembersThePath => {
                if let BodyPlace::Spool(spool) = file.place() {
                    std::fs::rename(spool.path(), spool.path().with_extension("taken"))
                        .map_err(|error| StoreError::failed("broken", error))?;
                }
                self.inner.put(&key, file).await
            }
            _ => self.inner.put(&key, file).await,
        }
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let range = match (self.defect, range) {
            (StoreDefect::IgnoresRanges, _) => None,
            (StoreDefect::EndsEarly, Some(ByteRange::FromTo(first, last))) if last > first => {
                Some(ByteRange::FromTo(first, last - 1))
            }
            _ => range,
        };
        let mut file = self.inner.get(&self.key(key), range).await?;
        if let (StoreDefect::ForgetsWhen, Some(file)) = (self.defect, &mut file) {
            file.modified = SystemTime::UNIX_EPOCH;
        }
        Ok(file)
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        match self.defect {
            StoreDefect::TellsOfNothing => Ok(None),
            _ => self.inner.head(&self.key(key)).await,
        }
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.inner.location(key).await
    }

    fn list(&self) -> StoredCrates<'_> {
        match self.defect {
            StoreDefect::ListsTwice => Box::pin(self.inner.list().chain(self.inner.list())),
            StoreDefect::ListsSome => Box::pin(self.inner.list().skip(1)),
            _ => self.inner.list(),
        }
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

fn pieces(file: &CrateBody) -> &[Bytes] {
    match file.place() {
        BodyPlace::Memory(pieces) => pieces,
        place => panic!("{place:?}"),
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
        ListsTwice => every_file_is_listed_once, a_listing_keeps_up_with_puts;
        ListsSome => every_file_is_listed_once, a_file_comes_back_whole;
        TellsOfNothing => a_file_comes_back_whole;
        IgnoresRanges => a_part_of_a_file_is_read;
        EndsEarly => a_part_of_a_file_is_read;
        RemembersThePath => a_file_from_a_spool_is_kept_when_the_spool_is_gone;
        KeepsTheLastChunk => a_long_file_comes_back_whole;
        LeavesAPart => an_abandoned_put_leaves_the_whole_file_or_none,
            concurrent_puts_of_one_file_all_succeed;
        FoldsCase => files_are_told_apart_by_every_part_of_the_key, keys_at_their_limits_are_kept;
        ForgetsBuildMetadata => files_are_told_apart_by_every_part_of_the_key;
        RefusesASecondPut => putting_a_file_again_changes_nothing,
            concurrent_puts_of_one_file_all_succeed;
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

//! What is done about damage.

use futures_util::TryStreamExt as _;

use super::{Finding, Remedy, Scrub};
use crate::{
    causes::causes,
    registry::Problem,
    store::{
        AsideCrate, AsideReason, Checked, CollectError, CrateKey, CrateStore, CrateUpkeep, Digest,
        StoreError, check, end, renew_from,
    },
};

impl Scrub {
    /// What is the matter with a file that a line names, after doing what is to be done about it.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails as a whole.
    pub(super) async fn see_to(
        &self,
        key: &CrateKey,
        published: u64,
        checked: Checked,
    ) -> Result<Option<Finding>, StoreError> {
        let is_damaged = matches!(checked, Checked::Damaged);
        let Some(problem) = Problem::of_file(key, checked) else { return Ok(None) };
        let mut remedies = Vec::new();
        if let Some(source) = &self.source {
            remedies.push(match self.repair(&**source, key, published).await {
                Ok(()) => Remedy::Repaired,
                Err(error) => Remedy::NotRepaired(causes(&error)),
            });
        }
        if is_damaged && self.quarantines && remedies != [Remedy::Repaired] {
            remedies.push(match quarantine(&self.store, key).await {
                Ok(true) => Remedy::PutAside,
                Ok(false) => Remedy::WholeNow,
                Err(error) => Remedy::NotMoved(causes(&error)),
            });
        }
        Ok(Some(Finding::Broken { problem, remedies }))
    }

    /// Has a file that is aside in its place again: how that ended, and whether it is aside as well.
    pub(super) async fn bring_back(&self, entry: &AsideCrate) -> (Remedy, bool) {
        let stays = entry.may_be_moving(self.now());
        let mut brought = self.copy_back(entry).await;
        if !stays {
            brought = end(&*self.store, entry, brought).await;
        }
        match brought {
            Ok(()) => (Remedy::PutBack, stays),
            Err(error) => (Remedy::NotMoved(causes(&error)), true),
        }
    }

    async fn copy_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        // If it is gone, somebody else has seen to it.
        let Some(file) = self.store.open_aside(entry).await? else { return Ok(()) };
        let (body, found) = self.collector.collect(file).await.map_err(|error| match error {
            CollectError::Read(error) | CollectError::Spool(error) => error,
        })?;
        match found.is_of(&entry.key, None) {
            true => self.store.put(&entry.key, body).await,
            false => Err(StoreError::failed("scrub", DamagedAside)),
        }
    }

    /// Puts the file anew as `source` has it. What is damaged in its place is replaced.
    async fn repair(
        &self,
        source: &dyn CrateStore,
        key: &CrateKey,
        published: u64,
    ) -> Result<(), RepairError> {
        let found = source.get(key, None).await.map_err(RepairError::Source)?;
        let file = found.ok_or(RepairError::NotInSource)?;
        // Looked at first: without a spool it is as much memory as that.
        if file.size != published {
            return Err(RepairError::DamagedInSource);
        }
        let (body, found) = self.collector.collect(file).await.map_err(|error| match error {
            CollectError::Read(error) => RepairError::Source(error),
            CollectError::Spool(error) => RepairError::Spool(error),
        })?;
        if !found.is_of(key, Some(published)) {
            return Err(RepairError::DamagedInSource);
        }
        self.store.put(key, body).await.map_err(RepairError::Store)?;
        match check(&self.store, key, Some(published)).await.map_err(RepairError::Store)? {
            Checked::Whole => Ok(()),
            _ => Err(RepairError::StillDamaged),
        }
    }
}

/// Puts the file under `key` aside as damaged, if it is still found damaged when it is read once
/// more; whether it was.
///
/// What is damaged in memory or on its way is whole the next time, and stays.
///
/// # Errors
/// [`StoreError`] if the file cannot be read or put aside.
pub async fn quarantine(store: &dyn CrateUpkeep, key: &CrateKey) -> Result<bool, StoreError> {
    let Some(file) = store.get(key, None).await? else { return Ok(false) };
    if Digest::of(file).await?.is_of(key, None) {
        return Ok(false);
    }
    store.set_aside(key, AsideReason::Damaged).await?;
    // Whoever repaired it in this moment has had a whole file put aside.
    let mut entries = store.list_aside();
    while let Some(entry) = entries.try_next().await? {
        if entry.key == *key
            && entry.reason == AsideReason::Damaged
            && let Some(file) = store.open_aside(&entry).await?
            && Digest::of(file).await?.is_of(key, None)
        {
            renew_from(store, &entry).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

#[derive(Debug, thiserror::Error)]
#[error("the file that is aside is damaged")]
struct DamagedAside;

/// Why a file could not be put anew.
#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error("the second store does not have it")]
    NotInSource,
    #[error("it is damaged in the second store, too")]
    DamagedInSource,
    #[error("it cannot be read from the second store")]
    Source(#[source] StoreError),
    #[error("it cannot be collected in the spool")]
    Spool(#[source] StoreError),
    #[error("it cannot be put")]
    Store(#[source] StoreError),
    #[error("it was put, and is damaged again")]
    StillDamaged,
}

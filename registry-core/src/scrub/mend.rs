//! What is done about damage.

use super::{Finding, Remedy, Scrub};
use crate::{
    causes::causes,
    checksum::ChecksumHasher,
    registry::Problem,
    store::{
        AsideReason, Checked, CrateBody, CrateKey, CrateStore, CrateUpkeep, Digest, StoreError,
        check,
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

    /// Puts the file anew as `source` has it. What is damaged in its place is replaced.
    async fn repair(
        &self,
        source: &dyn CrateStore,
        key: &CrateKey,
        published: u64,
    ) -> Result<(), RepairError> {
        let found = source.get(key, None).await.map_err(RepairError::Source)?;
        let mut file = found.ok_or(RepairError::NotInSource)?;
        // Checked first, for it is as much memory as that.
        if file.size != published {
            return Err(RepairError::DamagedInSource);
        }
        let (mut hasher, mut chunks) = (ChecksumHasher::new(), Vec::new());
        while let Some(chunk) = file.next_chunk().await {
            let chunk = chunk.map_err(RepairError::Source)?;
            hasher.update(&chunk);
            chunks.push(chunk);
        }
        let body = CrateBody::from(chunks);
        if (hasher.finish(), body.len()) != (key.checksum, published) {
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
    Ok(true)
}

/// Why a file could not be put anew.
#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error("the second store does not have it")]
    NotInSource,
    #[error("it is damaged in the second store, too")]
    DamagedInSource,
    #[error("it cannot be read from the second store")]
    Source(#[source] StoreError),
    #[error("it cannot be put")]
    Store(#[source] StoreError),
    #[error("it was put, and is damaged again")]
    StillDamaged,
}

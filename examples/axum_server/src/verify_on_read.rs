//! `--verify-on-read`.

use registry_core::{CrateStore, store::CrateUpkeep};
use registry_storage::layer::{Consequence, VerifiedCrateStore};

use crate::error::causes;

/// Checks what is downloaded of `crates`, and puts aside in `upkeep` what is damaged there.
pub(crate) fn verified<S: CrateStore>(
    crates: S,
    upkeep: impl CrateUpkeep,
) -> VerifiedCrateStore<S> {
    let verified = VerifiedCrateStore::new(crates, |damaged| {
        let (key, found) = (damaged.key, damaged.found);
        match &damaged.consequence {
            Consequence::PutAside => {
                tracing::error!(%key, %found, "a damaged crate file was put aside");
            }
            Consequence::WholeNow => {
                tracing::warn!(%key, %found, "a crate file was damaged on its way");
            }
            Consequence::NotPutAside(error) => {
                let error = causes(*error);
                tracing::error!(%key, %found, error, "a damaged crate file cannot be put aside");
            }
            _ => tracing::error!(%key, %found, "a crate file is damaged"),
        }
    });
    verified.with_quarantine(upkeep)
}

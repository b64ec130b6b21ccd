//! Which files the lines of a crate name.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc};

use crate::{
    checksum::Checksum,
    index::{Index, IndexError},
    name::CanonicalName,
};

/// The checksums that a crate's releases name in any of some indexes; `None` if that cannot be
/// told.
///
/// The checksum alone counts, so that a file is rather kept than lost: for the spelling of a name,
/// or for build metadata.
pub(super) async fn checksums(
    indexes: &[Arc<dyn Index>],
    name: &CanonicalName,
) -> Result<Option<HashSet<Checksum>>, IndexError> {
    let mut found = HashSet::new();
    for index in indexes {
        match index.load(name, None).await {
            Ok(stored) => {
                let Some(stored) = stored.found() else { continue };
                if stored.record.name().canonical() != *name {
                    return Ok(None);
                }
                let releases = stored.record.releases().iter();
                let kept = releases.filter(|release| release.state.keeps_file());
                found.extend(kept.map(|release| release.line.checksum()));
            }
            Err(_) => {
                // If the index answers at all, it is this crate that is damaged.
                index.names(None, NonZeroUsize::MIN).await?;
                return Ok(None);
            }
        }
    }
    Ok(Some(found))
}

/// Whether there is a crate in any of these indexes.
pub(super) async fn has_crates(indexes: &[Arc<dyn Index>]) -> Result<bool, IndexError> {
    for index in indexes {
        if !index.names(None, NonZeroUsize::MIN).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

//! Which files the lines of a crate name.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc};

use crate::{
    checksum::Checksum,
    index::{Index, IndexError},
    name::{CanonicalName, CrateName},
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
                let Some(stored) = stored.found() else {
                    // One that is listed has lost its record, and not its releases.
                    if lists(&**index, name).await? {
                        return Ok(None);
                    }
                    continue;
                };
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

/// Whether an index lists a crate.
async fn lists(index: &dyn Index, name: &CanonicalName) -> Result<bool, IndexError> {
    let listed = index.names(before(name).as_ref(), NonZeroUsize::MIN).await?;
    Ok(listed.first() == Some(name))
}

/// The name that a listing would have right before `name`, if all names there can be were in it;
/// `None` if that is the first of all.
fn before(name: &CanonicalName) -> Option<CanonicalName> {
    const ALPHABET: &str = "0123456789_abcdefghijklmnopqrstuvwxyz";
    let (rest, last) = name.as_str().split_at_checked(name.as_str().len() - 1)?;
    let before = match ALPHABET[..ALPHABET.find(last)?].chars().next_back() {
        None => rest.into(),
        Some(last) => format!("{rest}{last:z<0$}", CrateName::MAX_CHARS - rest.len()),
    };
    CanonicalName::new(&before).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_between_a_name_and_the_one_before() {
        let z = |text: &str| Some(format!("{text:z<64}"));
        for (name, expected) in [
            ("a", None),
            ("b", z("a")),
            ("a0", Some("a".into())),
            ("a1", z("a0")),
            ("a_", z("a9")),
            ("aa", z("a_")),
            ("serde_json", z("serde_jsom")),
            (&"x".repeat(64), Some("x".repeat(63) + "w")),
        ] {
            let before = before(&CanonicalName::new(name).unwrap());
            assert_eq!(before.map(|name| name.to_string()), expected, "{name}");
        }
    }
}

use std::sync::{Arc, OnceLock};

use crate::{checksum::ChecksumHasher, entry::IndexLine};

/// The lines of a record, hashed when first asked for, so that the validator of the next state takes
/// one line more and not all of them: that of 5,000 is a megabyte or two.
///
/// Says nothing that the lines do not say, so all are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct LinesHash(Arc<OnceLock<ChecksumHasher>>);

impl LinesHash {
    /// The hasher that has taken in `lines`, which are those of this record.
    pub(super) fn of<'a>(&self, lines: impl Iterator<Item = &'a IndexLine>) -> ChecksumHasher {
        let hash = || {
            let mut hasher = ChecksumHasher::new();
            lines.for_each(|line| update(&mut hasher, line));
            hasher
        };
        self.0.get_or_init(hash).clone()
    }

    /// That of a record with one line more at the end.
    pub(super) fn and(&self, line: &IndexLine) -> Self {
        let Some(mut hasher) = self.0.get().cloned() else { return Self::default() };
        update(&mut hasher, line);
        Self(Arc::new(OnceLock::from(hasher)))
    }
}

fn update(hasher: &mut ChecksumHasher, line: &IndexLine) {
    hasher.update(line.as_bytes());
    hasher.update(b"\n");
}

impl PartialEq for LinesHash {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for LinesHash {}

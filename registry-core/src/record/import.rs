use std::sync::Arc;

use super::{ChangeKind, CrateRecord, Refusal, ReleaseRecord, Stamp, Transition};

impl CrateRecord {
    /// The step by which this record, brought over from another index, becomes the first of its
    /// crate in this one.
    pub fn imported(self, stamp: Stamp) -> Transition {
        let change = self.change(ChangeKind::Imported(self.releases.to_vec()), stamp);
        (self, change)
    }

    /// The step by which this record becomes `source`, a later state of the same crate in another
    /// index; `None` if it is the same already.
    ///
    /// What is here stays: lines may be yanked and new releases follow, but none is taken away, put
    /// elsewhere or exchanged.
    ///
    /// # Errors
    /// [`Refusal::NameTaken`] if `source` spells the name otherwise, [`Refusal::Diverged`] for a
    /// release that would not stay.
    pub fn follow(&self, source: &Self, stamp: Stamp) -> Result<Option<Transition>, Refusal> {
        if source.name != self.name {
            return Err(Refusal::NameTaken { existing: self.name.clone() });
        }
        let mut ours = self.releases.iter();
        let mut differing = Vec::new();
        for theirs in source.releases.iter() {
            match ours.next() {
                Some(ours) if ours == theirs => {}
                Some(ours) if !ours.is_same_upload(theirs) => return Err(self.diverged(ours)),
                _ => differing.push(Arc::clone(theirs)),
            }
        }
        if let Some(missing) = ours.next() {
            return Err(self.diverged(missing));
        }
        if self == source {
            return Ok(None);
        }
        let change = self.change(ChangeKind::Imported(differing), stamp);
        Ok(Some((source.clone(), change)))
    }

    fn diverged(&self, release: &ReleaseRecord) -> Refusal {
        Refusal::Diverged { name: self.name.clone(), version: release.version().clone() }
    }
}

impl ReleaseRecord {
    /// Whether both are one upload, in whatever state each is.
    fn is_same_upload(&self, other: &Self) -> bool {
        // Yanked and not the other way round: a line may say nothing of it until it is first yanked.
        self.size == other.size && self.line.with_yanked(true) == other.line.with_yanked(true)
    }
}

#[cfg(test)]
mod tests;

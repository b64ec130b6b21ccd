//! What is to be done with a file, as functions over what is known of it.

use std::time::{Duration, SystemTime};

use crate::store::AsideReason;

/// What becomes of a file in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OfStored {
    /// A line names it.
    Named,
    /// Nothing names it yet; a publish may be about to.
    Young,
    /// It is put aside.
    SetAside,
}

impl OfStored {
    /// Decides. `is_named` is whether a line named the file when it was asked, at `now` or later.
    pub fn decide(
        modified: SystemTime,
        is_named: bool,
        now: SystemTime,
        older_than: Duration,
    ) -> Self {
        match (is_named, is_older(modified, now, older_than)) {
            (true, _) => Self::Named,
            (false, false) => Self::Young,
            (false, true) => Self::SetAside,
        }
    }
}

/// What becomes of a file that is aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OfAside {
    /// It is damaged: no matter of a collector, whoever names it.
    Damaged,
    /// Who put it aside may still be at it, and who publishes it may not have come to the commit.
    Waiting,
    /// A line names it: it is put back.
    PutBack,
    /// Nothing names it, and nothing can any more without having stored it again: it is purged.
    Purge,
}

impl OfAside {
    /// Whether it takes a look at the index to decide.
    pub fn depends_on_index(
        reason: AsideReason,
        since: SystemTime,
        now: SystemTime,
        older_than: Duration,
    ) -> bool {
        matches!(Self::decide(reason, since, false, now, older_than), Self::Purge)
    }

    /// Decides. `is_named` is whether a line named the file when it was asked, at `now` or later;
    /// of no account if it [does not depend on that](Self::depends_on_index).
    pub fn decide(
        reason: AsideReason,
        since: SystemTime,
        is_named: bool,
        now: SystemTime,
        older_than: Duration,
    ) -> Self {
        match (reason, is_older(since, now, older_than), is_named) {
            (AsideReason::Damaged, ..) => Self::Damaged,
            (AsideReason::Unnamed, false, _) => Self::Waiting,
            (AsideReason::Unnamed, true, true) => Self::PutBack,
            (AsideReason::Unnamed, true, false) => Self::Purge,
        }
    }
}

/// How old a file may be when a line comes to name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgeRule {
    pub(crate) limit: Duration,
}

impl AgeRule {
    /// How old a file is when it is stored again, as a part of the limit: that leaves most of it
    /// for storing and for the commit.
    const RENEWED_AFTER: u32 = 3;

    /// Whether the file is to be stored again before a commit. Once: one that takes longer than
    /// that would never be young.
    pub(crate) fn renews_before_commit(self, age: Duration) -> bool {
        age > self.limit / Self::RENEWED_AFTER
    }

    /// Whether a commit may begin.
    pub(crate) fn may_commit(self, age: Duration) -> bool {
        age <= self.limit
    }

    /// Whether the file is to be stored again after a commit: whoever was asleep meanwhile has a
    /// line now, and perhaps no file any more.
    pub(crate) fn renews_after_commit(self, age: Duration) -> bool {
        age > self.limit
    }
}

/// What lies in the future, by the clock of another machine, is young.
fn is_older(time: SystemTime, now: SystemTime, than: Duration) -> bool {
    now.duration_since(time).is_ok_and(|age| age > than)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn only_an_old_file_that_nothing_names_is_put_aside() {
        for (modified, is_named, expected) in [
            (89, false, OfStored::SetAside),
            (90, false, OfStored::Young),
            (100, false, OfStored::Young),
            (101, false, OfStored::Young),
            (0, true, OfStored::Named),
            (100, true, OfStored::Named),
        ] {
            let decided = OfStored::decide(at(modified), is_named, at(100), GRACE);
            assert_eq!(decided, expected, "{modified} {is_named}");
        }
    }

    #[test]
    fn only_what_was_long_aside_and_is_not_named_is_purged() {
        for (reason, since, is_named, expected) in [
            (AsideReason::Unnamed, 89, false, OfAside::Purge),
            (AsideReason::Unnamed, 89, true, OfAside::PutBack),
            (AsideReason::Unnamed, 90, false, OfAside::Waiting),
            (AsideReason::Unnamed, 90, true, OfAside::Waiting),
            (AsideReason::Unnamed, 101, false, OfAside::Waiting),
            (AsideReason::Damaged, 0, false, OfAside::Damaged),
            (AsideReason::Damaged, 0, true, OfAside::Damaged),
        ] {
            let decided = OfAside::decide(reason, at(since), is_named, at(100), GRACE);
            assert_eq!(decided, expected, "{reason:?} {since} {is_named}");
            let depends = OfAside::depends_on_index(reason, at(since), at(100), GRACE);
            assert_eq!(depends, matches!(expected, OfAside::Purge | OfAside::PutBack));
        }
    }
}

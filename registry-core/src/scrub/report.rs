//! What a scrub tells.

use std::{fmt, time::Duration};

use crate::{
    migrate::FileCount,
    registry::Problem,
    store::{AsideCrate, StoredCrate},
};

/// What a scrub has seen, until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Files that lines name, whatever their state. Their lengths are those that were published.
    pub named: FileCount,
    /// Files that no line names. They are harmless: a garbage collection removes them.
    pub orphans: FileCount,
    /// Files that are aside.
    pub aside: FileCount,
    /// How many broken promises were found and have been mended.
    pub mended: u64,
    /// How many were found and have not.
    pub wrong: u64,
}

impl Scrubbed {
    pub(super) fn count(&mut self, finding: Option<&Finding>) {
        if let Some(Finding::Broken { remedies, .. }) = finding {
            match remedies.iter().any(Remedy::mends) {
                true => self.mended += 1,
                false => self.wrong += 1,
            }
        }
    }
}

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A promise is broken.
    Broken {
        /// Which.
        problem: Problem,
        /// What was done about it, in this order.
        remedies: Vec<Remedy>,
    },
    /// A file that no line names: what a publish leaves that fails, or one that is still under way.
    Orphan {
        /// The file.
        file: StoredCrate,
        /// Whether it is what its name says.
        state: OrphanState,
    },
    /// A file that is aside, and is damaged or should not be there.
    Aside {
        /// The file.
        entry: AsideCrate,
        /// What is the matter with it.
        state: AsideState,
        /// What was done about it, in this order.
        remedies: Vec<Remedy>,
    },
}

/// What is the matter with a file that is aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AsideState {
    /// It is damaged.
    Damaged,
    /// It was taken for damaged, and is not.
    Whole,
    /// It was put aside because no line named it, and one does.
    Named,
}

/// Whether an orphan is what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrphanState {
    /// It is.
    Whole,
    /// Its checksum is another. It stays where it is: whoever publishes it replaces it.
    Damaged,
    /// It cannot be read to its end: what the store said, with its causes.
    Unreadable(Box<str>),
}

/// What was done about a finding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Remedy {
    /// Nothing: the file was whole when it was read once more.
    #[error("whole when it was read once more")]
    WholeNow,
    /// The file was put back in its place.
    #[error("put back")]
    PutBack,
    /// The file was put anew, and read back.
    #[error("repaired")]
    Repaired,
    /// The file was put aside.
    #[error("put aside")]
    PutAside,
    /// It could not be repaired: why.
    #[error("not repaired: {0}")]
    NotRepaired(Box<str>),
    /// It could not be put aside or back: why.
    #[error("not moved: {0}")]
    NotMoved(Box<str>),
}

impl Remedy {
    /// Whether all is well then.
    fn mends(&self) -> bool {
        matches!(self, Self::WholeNow | Self::PutBack | Self::Repaired)
    }
}

/// A line for a report, such as ``the file of crate `foo` version `1.0.0` is damaged: repaired``.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedies = match self {
            Self::Broken { problem, remedies } => {
                write!(f, "{problem}")?;
                remedies
            }
            Self::Orphan { file, state } => {
                let StoredCrate { key, size, modified } = file;
                let age = Age(modified.elapsed().unwrap_or_default());
                write!(f, "no line names the file of crate {key}: {size} bytes, {age} old")?;
                return match state {
                    OrphanState::Whole => Ok(()),
                    OrphanState::Damaged => write!(f, ", damaged"),
                    OrphanState::Unreadable(reason) => write!(f, ", cannot be read: {reason}"),
                };
            }
            Self::Aside { entry, state, remedies } => {
                let AsideCrate { key, size, since, .. } = entry;
                let age = Age(since.elapsed().unwrap_or_default());
                write!(f, "the file of crate {key} has been aside for {age}, {size} bytes, ")?;
                f.write_str(match state {
                    AsideState::Damaged => "as damaged",
                    AsideState::Whole => "as damaged, and is whole",
                    AsideState::Named => "because no line named it, and one does",
                })?;
                remedies
            }
        };
        remedies.iter().try_for_each(|remedy| write!(f, ": {remedy}"))
    }
}

/// In the largest unit of which there are two.
struct Age(Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
        match units.into_iter().find(|(unit, _)| seconds >= 2 * unit) {
            Some((unit, name)) => write!(f, "{} {name}", seconds / unit),
            None => write!(f, "{seconds} seconds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_one_unit() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(Age(Duration::from_secs(seconds)).to_string(), text);
        }
    }
}

use std::num::NonZeroUsize;

use futures_util::{StreamExt as _, stream};
use semver::Version;

use super::Registry;
use crate::{
    causes::causes,
    index::{IndexError, Lookup, Stored},
    name::{CanonicalName, CrateName},
    record::{CrateRecord, ReleaseRecord},
    store::{self, Checked, CrateKey, StoreError},
};

/// How many crates are checked at the same time: most of the time goes by waiting for what they
/// are kept in.
const AT_ONCE: usize = 8;

impl Registry {
    /// Checks every crate against the promises, and tells all that is wrong, as
    /// [`Registry::verify_with`].
    ///
    /// # Errors
    /// As [`Registry::verify_with`].
    pub async fn verify(&self) -> Result<Vec<Problem>, VerifyError> {
        let mut problems = Vec::new();
        self.verify_with(|_, of_crate| problems.extend(of_crate)).await?;
        Ok(problems)
    }

    /// Checks every crate against the promises: its record can be read and is its own, the served
    /// index file is the record's, and every file that may be downloaded is there, byte for byte.
    ///
    /// Reads every stored byte; writers may go on meanwhile. `report` is told of each crate in the
    /// order of names, with what is wrong with it: nothing, if all is well.
    ///
    /// # Errors
    /// [`VerifyError`] if a backend fails as a whole: then nothing is known of the crates behind
    /// that point.
    pub async fn verify_with(
        &self,
        mut report: impl FnMut(&CanonicalName, Vec<Problem>) + Send,
    ) -> Result<(), VerifyError> {
        const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
        let mut after: Option<CanonicalName> = None;
        loop {
            let page = self.parts.index.names(after.as_ref(), PAGE).await?;
            let checks = page.clone().into_iter().map(|name| {
                let registry = self.clone();
                async move {
                    let problems = registry.verify_crate(&name).await;
                    (name, problems)
                }
            });
            let mut checks = stream::iter(checks).buffered(AT_ONCE);
            while let Some((name, problems)) = checks.next().await {
                report(&name, problems?);
            }
            if page.len() < PAGE.get() {
                return Ok(());
            }
            after = page.into_iter().next_back();
        }
    }

    async fn verify_crate(&self, name: &CanonicalName) -> Result<Vec<Problem>, VerifyError> {
        let mut problems = Vec::new();
        let record = match self.verify_record(name, &mut problems).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(vec![Problem::NoRecord { name: name.clone() }]),
            Err(error) => {
                // If the index answers at all, it is this crate that is damaged.
                self.parts.index.names(None, NonZeroUsize::MIN).await?;
                let (name, reason) = (name.clone(), causes(&error));
                return Ok(vec![Problem::Unreadable { name, reason }]);
            }
        };
        if record.name().canonical() != *name {
            let (name, found) = (name.clone(), record.name().clone());
            problems.push(Problem::OtherCrate { name, found });
        }
        for release in record.releases().iter().filter(|release| release.state.is_downloadable()) {
            problems.extend(self.verify_file(record.name(), release).await?);
        }
        Ok(problems)
    }

    /// The record, whose index file has been compared with it.
    async fn verify_record(
        &self,
        name: &CanonicalName,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<CrateRecord>, IndexError> {
        let index = &self.parts.index;
        let mut stored = index.load(name, None).await?.found();
        loop {
            let Some(Stored { record, revision }) = stored else { return Ok(None) };
            if index.index_file(name, None).await? == Lookup::Found(record.index_file()) {
                return Ok(Some(record));
            }
            // A writer may have come between the two looks.
            stored = index.load(name, None).await?.found();
            if stored.as_ref().is_some_and(|stored| stored.revision == revision) {
                problems.push(Problem::IndexFile { name: record.name().clone() });
                return Ok(Some(record));
            }
        }
    }

    async fn verify_file(
        &self,
        name: &CrateName,
        release: &ReleaseRecord,
    ) -> Result<Option<Problem>, VerifyError> {
        let (name, version) = (name.clone(), release.version().clone());
        let key = CrateKey { name, version, checksum: release.line.checksum() };
        let checked = store::check(&*self.parts.crates, &key, Some(release.size)).await?;
        Ok(Problem::of_file(&key, checked))
    }
}

/// A promise that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The record cannot be read, so nothing is known of its files.
    #[error("the record of crate `{name}` cannot be read: {reason}")]
    Unreadable {
        /// The crate.
        name: CanonicalName,
        /// What the index said, with its causes.
        reason: Box<str>,
    },
    /// The index lists the crate, and has no record of it: no crate ever goes away.
    #[error("crate `{name}` is listed, and there is no record of it")]
    NoRecord {
        /// The crate.
        name: CanonicalName,
    },
    /// What is under the name of a crate is the record of another one.
    #[error("the record of crate `{name}` is one of crate `{found}`")]
    OtherCrate {
        /// The crate that was looked for.
        name: CanonicalName,
        /// The crate that was found.
        found: CrateName,
    },
    /// What cargo reads is not what the record says.
    #[error("the index file of crate `{name}` differs from its record")]
    IndexFile {
        /// The crate.
        name: CrateName,
    },
    /// A line names a file that is not there.
    #[error("the file of crate `{name}` version `{version}` is missing")]
    MissingFile {
        /// The crate.
        name: CrateName,
        /// The version.
        version: Version,
    },
    /// A file does not have the checksum or the size that was published.
    #[error("the file of crate `{name}` version `{version}` is damaged")]
    DamagedFile {
        /// The crate.
        name: CrateName,
        /// The version.
        version: Version,
    },
    /// A file was damaged, and has been put aside.
    #[error("the file of crate `{name}` version `{version}` is damaged and was put aside")]
    QuarantinedFile {
        /// The crate.
        name: CrateName,
        /// The version.
        version: Version,
    },
    /// A file cannot be read to its end.
    #[error("the file of crate `{name}` version `{version}` cannot be read: {reason}")]
    UnreadableFile {
        /// The crate.
        name: CrateName,
        /// The version.
        version: Version,
        /// What the store said, with its causes.
        reason: Box<str>,
    },
}

impl Problem {
    /// What is the matter with a file that a line names, if anything is.
    pub(crate) fn of_file(key: &CrateKey, checked: Checked) -> Option<Self> {
        let (name, version) = (key.name.clone(), key.version.clone());
        Some(match checked {
            Checked::Whole => return None,
            Checked::Damaged => Self::DamagedFile { name, version },
            Checked::Missing => Self::MissingFile { name, version },
            Checked::Quarantined => Self::QuarantinedFile { name, version },
            Checked::Unreadable(error) => {
                Self::UnreadableFile { name, version, reason: causes(&error) }
            }
        })
    }
}

/// A backend failed while everything was being checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The crate store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

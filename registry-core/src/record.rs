//! One crate's whole state, and every way in which it may change.
//!
//! The transitions are pure functions: they look at a record and a wish, and give the next record
//! with the [`Change`] between the two, or a [`Refusal`]. All that a registry decides about a crate
//! is decided here; storage only replaces one record by the next.

mod change;
mod import;
mod lines_hash;
mod merge;
mod release;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use bytes::BytesMut;
use semver::Version;
use serde::{Deserialize, Serialize};

use self::lines_hash::LinesHash;
pub(crate) use self::merge::SourceLines;
pub use self::{
    change::{Change, ChangeKind, Origin, Refusal, Stamp, Transition},
    merge::{Brought, LeftOut, LineOutcome},
    release::{ReleaseRecord, ReleaseState, ReleaseStateError, Timestamp},
};
use crate::{
    entry::IndexLine,
    index_file::{ETag, IndexFile},
    name::CrateName,
    owner::Owners,
    version::{UniqueVersion, same_version},
};

/// Everything the registry knows about one crate that cannot be rebuilt from elsewhere.
///
/// Clones share the releases: the next state of a crate with 5,000 versions is one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateRecord {
    name: CrateName,
    owners: Owners,
    about: Arc<About>,
    /// One list for all clones: a write, with the caches on its way, makes several of them.
    releases: Arc<Vec<Arc<ReleaseRecord>>>,
    hash: LinesHash,
}

/// What the newest release says of the crate, for searches and listings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// One paragraph on what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Its home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Its documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    /// Its source repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

impl CrateRecord {
    /// Puts a record together from its stored parts.
    ///
    /// # Errors
    /// [`RecordError`] if the parts contradict each other: then the storage was damaged or written
    /// by something else, and nothing may be decided on it.
    pub fn from_parts(
        name: CrateName,
        owners: Owners,
        about: About,
        releases: Vec<Arc<ReleaseRecord>>,
    ) -> Result<Self, RecordError> {
        let mut seen = HashSet::new();
        for release in &releases {
            let version = || release.version().clone();
            if release.line.name() != name.as_str() {
                return Err(RecordError::OtherName { version: version() });
            }
            if !seen.insert(UniqueVersion::from(release.version())) {
                return Err(RecordError::TwoLines { version: version() });
            }
            if release.state.is_listed()
                && (release.state == ReleaseState::Yanked) != release.line.yanked()
            {
                return Err(RecordError::YankedDiffers { version: version() });
            }
        }
        if owners.is_empty() {
            return Err(RecordError::NoOwner);
        }
        let (about, releases) = (Arc::new(about), Arc::new(releases));
        Ok(Self { name, owners, about, releases, hash: LinesHash::default() })
    }

    /// The crate's name as first published.
    pub fn name(&self) -> &CrateName {
        &self.name
    }

    /// Who may write.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// What the newest release says of the crate.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// All releases in the order of publishing, listed or not.
    pub fn releases(&self) -> &[Arc<ReleaseRecord>] {
        &self.releases
    }

    /// The release of a version, build metadata aside.
    pub fn release(&self, version: &Version) -> Option<&Arc<ReleaseRecord>> {
        self.releases.iter().find(|release| same_version(release.version(), version))
    }

    /// The highest version that is not yanked, if there is one: what a search shows.
    pub fn max_version(&self) -> Option<&Version> {
        let published =
            self.releases.iter().filter(|release| release.state == ReleaseState::Published);
        published.map(|release| release.version()).max()
    }

    /// When the first release was published; `None` if there is none.
    pub fn first_published_at(&self) -> Option<Timestamp> {
        self.releases.iter().map(|release| release.published_at).min()
    }

    /// When the newest release was published; `None` if there is none.
    pub fn last_published_at(&self) -> Option<Timestamp> {
        self.releases.iter().map(|release| release.published_at).max()
    }

    /// The index file of this state.
    pub fn index_file(&self) -> IndexFile {
        let mut body = BytesMut::with_capacity(self.lines().map(|l| l.as_bytes().len() + 1).sum());
        for line in self.lines() {
            body.extend_from_slice(line.as_bytes());
            body.extend_from_slice(b"\n");
        }
        IndexFile { name: self.name.clone(), etag: self.etag(), body: body.freeze() }
    }

    /// The validator of [`CrateRecord::index_file`], without putting the file together.
    pub fn etag(&self) -> ETag {
        ETag::of_checksum(&self.hash.of(self.lines()).finish())
    }

    fn lines(&self) -> impl Iterator<Item = &IndexLine> {
        self.releases.iter().filter(|release| release.state.is_listed()).map(|r| &r.line)
    }
}

/// Stored parts that do not make a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A line names another crate.
    #[error("the line of version `{version}` names another crate")]
    OtherName {
        /// The line's version.
        version: Version,
    },
    /// Two releases are one version.
    #[error("version `{version}` is listed twice")]
    TwoLines {
        /// The version of the second.
        version: Version,
    },
    /// State and line disagree.
    #[error("the line of version `{version}` does not show whether it is yanked")]
    YankedDiffers {
        /// The line's version.
        version: Version,
    },
    /// There is no owner.
    #[error("the crate has no owner")]
    NoOwner,
}

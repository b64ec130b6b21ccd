//! One crate's whole state, and every way in which it may change.
//!
//! The transitions are pure functions: they look at a record and a wish, and give the next record
//! with the [`Change`] between the two, or a [`Refusal`]. All that a registry decides about a crate
//! is decided here; storage only replaces one record by the next.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    entry::IndexLine,
    index::{ETag, IndexFile},
    name::CrateName,
    owner::{Login, Owner, Owners},
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
    releases: Vec<Arc<ReleaseRecord>>,
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

/// One release of a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// Its line in the index, verbatim.
    pub line: IndexLine,
    /// Length of the crate file in bytes.
    pub size: u64,
    /// When it was published.
    pub published_at: Timestamp,
    /// Who published it.
    pub published_by: Login,
    /// Whether and how it can be reached.
    pub state: ReleaseState,
}

impl ReleaseRecord {
    /// The version, with build metadata.
    pub fn version(&self) -> &Version {
        self.line.version()
    }
}

/// Whether and how a release can be reached. In every state its version stays taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseState {
    /// In the index, for everyone to resolve to.
    Published,
    /// In the index, only for lockfiles that name it.
    Yanked,
    /// Not in the index, but downloadable.
    Unlisted,
    /// Not in the index, not downloadable, the file kept.
    Archived,
    /// The file is gone for good.
    Disposed,
    /// Removed by an administrator.
    Deleted,
}

impl ReleaseState {
    /// Whether the release has a line in the index.
    pub fn is_listed(self) -> bool {
        matches!(self, Self::Published | Self::Yanked)
    }

    /// Whether its file is handed out.
    pub fn is_downloadable(self) -> bool {
        matches!(self, Self::Published | Self::Yanked | Self::Unlisted)
    }
}

/// Seconds since the Unix epoch: all the precision that an index line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl From<SystemTime> for Timestamp {
    /// A time before the epoch, as a clock that was never set shows it, is taken for the epoch.
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
    }
}

/// Who wrote, when, and at which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The user whose right was used.
    pub by: Login,
    /// When the write was decided.
    pub at: Timestamp,
    /// The id under which the request is logged.
    pub request: Option<String>,
}

/// The difference between a record and the next, and the unit of all that follows a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The crate, spelled as first published.
    pub name: CrateName,
    /// What happened to it.
    pub kind: ChangeKind,
    /// By whom, when, at which request.
    pub stamp: Stamp,
}

/// What happened to a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// A version was published; the release is the last of the new record.
    Published(Arc<ReleaseRecord>),
    /// A version was yanked, or the yank undone; its new state is in the release.
    YankedSet(Arc<ReleaseRecord>),
    /// These owners were added.
    OwnersAdded(Vec<Owner>),
    /// These owners were removed.
    OwnersRemoved(Vec<Owner>),
}

/// The next record, with how it differs from the one before.
pub type Transition = (CrateRecord, Change);

impl CrateRecord {
    /// Most versions a crate has. Source: ours; each client reads all lines.
    pub const MAX_RELEASES: usize = 10_000;

    /// The record of a crate that is published for the first time, by its first owner.
    pub fn first(
        name: CrateName,
        owner: Owner,
        about: About,
        release: ReleaseRecord,
        request: Option<String>,
    ) -> Transition {
        let stamp = Stamp { by: owner.login.clone(), at: release.published_at, request };
        let release = Arc::new(release);
        let record = Self {
            name,
            owners: Owners::from_iter([owner]),
            about: Arc::new(about),
            releases: vec![release.clone()],
        };
        let change = record.change(ChangeKind::Published(release), stamp);
        (record, change)
    }

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
        Ok(Self { name, owners, about: Arc::new(about), releases })
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

    /// The index file of this state.
    pub fn index_file(&self) -> IndexFile {
        let body = self.index_lines();
        IndexFile { name: self.name.clone(), etag: ETag::of(&body), body }
    }

    fn index_lines(&self) -> Bytes {
        let lines =
            || self.releases.iter().filter(|r| r.state.is_listed()).map(|r| r.line.as_bytes());
        let mut body = BytesMut::with_capacity(lines().map(|line| line.len() + 1).sum());
        for line in lines() {
            body.extend_from_slice(line);
            body.extend_from_slice(b"\n");
        }
        body.freeze()
    }

    /// Adds a release. `about` replaces what the record says, unless a higher version is there.
    ///
    /// # Errors
    /// [`Refusal::NameTaken`] for another spelling of the name, [`Refusal::VersionTaken`] for a
    /// version that was ever published, [`Refusal::TooManyReleases`] beyond the limit.
    pub fn publish(
        &self,
        name: &CrateName,
        about: About,
        release: ReleaseRecord,
        request: Option<String>,
    ) -> Result<Transition, Refusal> {
        self.may_publish(name, release.version())?;
        let stamp = Stamp { by: release.published_by.clone(), at: release.published_at, request };
        let newest = self.releases.iter().all(|other| other.version() <= release.version());
        let release = Arc::new(release);
        let mut next = self.clone();
        if newest {
            next.about = Arc::new(about);
        }
        next.releases.push(release.clone());
        let change = next.change(ChangeKind::Published(release), stamp);
        Ok((next, change))
    }

    /// Whether [`CrateRecord::publish`] would take this version under this name.
    ///
    /// # Errors
    /// As [`CrateRecord::publish`].
    pub fn may_publish(&self, name: &CrateName, version: &Version) -> Result<(), Refusal> {
        if *name != self.name {
            return Err(Refusal::NameTaken { existing: self.name.clone() });
        }
        if self.release(version).is_some() {
            return Err(Refusal::VersionTaken { version: version.clone() });
        }
        if self.releases.len() >= Self::MAX_RELEASES {
            return Err(Refusal::TooManyReleases { name: self.name.clone() });
        }
        Ok(())
    }

    /// Yanks a version or undoes it; `None` if it is so already.
    ///
    /// # Errors
    /// [`Refusal::UnknownVersion`] if the crate has no such version in its index.
    pub fn set_yanked(
        &self,
        version: &Version,
        yanked: bool,
        stamp: Stamp,
    ) -> Result<Option<Transition>, Refusal> {
        let position = self
            .releases
            .iter()
            .position(|release| release.state.is_listed() && release.version() == version)
            .ok_or_else(|| Refusal::UnknownVersion {
                name: self.name.clone(),
                version: version.clone(),
            })?;
        let release = &self.releases[position];
        if release.line.yanked() == yanked {
            return Ok(None);
        }
        let release = Arc::new(ReleaseRecord {
            line: release.line.with_yanked(yanked),
            state: if yanked { ReleaseState::Yanked } else { ReleaseState::Published },
            ..ReleaseRecord::clone(release)
        });
        let mut next = self.clone();
        next.releases[position] = release.clone();
        let change = next.change(ChangeKind::YankedSet(release), stamp);
        Ok(Some((next, change)))
    }

    /// Adds owners; `None` if all of them are owners already.
    ///
    /// # Errors
    /// [`Refusal::TooManyOwners`] beyond [`Owners::MAX`].
    pub fn add_owners(
        &self,
        owners: &[Owner],
        stamp: Stamp,
    ) -> Result<Option<Transition>, Refusal> {
        let mut added: Vec<Owner> = Vec::new();
        for owner in owners {
            if !self.owners.contains(&owner.login)
                && added.iter().all(|other| other.login != owner.login)
            {
                added.push(owner.clone());
            }
        }
        if added.is_empty() {
            return Ok(None);
        }
        if self.owners.len() + added.len() > Owners::MAX {
            return Err(Refusal::TooManyOwners { name: self.name.clone() });
        }
        let mut next = self.clone();
        next.owners = self.owners.iter().chain(&added).cloned().collect();
        let change = next.change(ChangeKind::OwnersAdded(added), stamp);
        Ok(Some((next, change)))
    }

    /// Removes owners; `None` if none are named.
    ///
    /// # Errors
    /// [`Refusal::NotAnOwner`] if one of them is none, [`Refusal::LastOwner`] if nobody would be
    /// left (I7).
    pub fn remove_owners(
        &self,
        logins: &[Login],
        stamp: Stamp,
    ) -> Result<Option<Transition>, Refusal> {
        if logins.is_empty() {
            return Ok(None);
        }
        if let Some(login) = logins.iter().find(|login| !self.owners.contains(login)) {
            return Err(Refusal::NotAnOwner { login: login.clone() });
        }
        let (removed, left): (Vec<_>, Vec<_>) =
            self.owners.iter().cloned().partition(|owner| logins.contains(&owner.login));
        if left.is_empty() {
            return Err(Refusal::LastOwner);
        }
        let mut next = self.clone();
        next.owners = left.into_iter().collect();
        let change = next.change(ChangeKind::OwnersRemoved(removed), stamp);
        Ok(Some((next, change)))
    }

    /// Whether `change` is part of this state: how a write of unknown outcome is looked for.
    pub fn shows(&self, change: &Change) -> bool {
        match &change.kind {
            // Whatever became of it since: another writer may have yanked it before this look.
            ChangeKind::Published(release) => {
                let upload = |release: &Arc<ReleaseRecord>| {
                    let checksum = release.line.checksum();
                    (checksum, release.published_at, release.published_by.clone())
                };
                self.release(release.version()).map(upload) == Some(upload(release))
            }
            ChangeKind::YankedSet(release) => self.release(release.version()) == Some(release),
            ChangeKind::OwnersAdded(added) => {
                added.iter().all(|owner| self.owners.contains(&owner.login))
            }
            ChangeKind::OwnersRemoved(removed) => {
                removed.iter().all(|owner| !self.owners.contains(&owner.login))
            }
        }
    }

    fn change(&self, kind: ChangeKind, stamp: Stamp) -> Change {
        Change { name: self.name.clone(), kind, stamp }
    }
}

/// Why a record does not change as it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The name is taken in another spelling.
    #[error("crate was previously named `{existing}`")]
    NameTaken {
        /// The spelling of the first publish.
        existing: CrateName,
    },
    /// The version was published before, build metadata aside, whatever became of it.
    #[error("crate version `{}` is already uploaded", UniqueVersion::from(version))]
    VersionTaken {
        /// The version asked for.
        version: Version,
    },
    /// The crate has no such version.
    #[error("crate `{name}` does not have a version `{version}`")]
    UnknownVersion {
        /// The crate.
        name: CrateName,
        /// The version asked for.
        version: Version,
    },
    /// The crate has [`CrateRecord::MAX_RELEASES`] versions.
    #[error("crate `{name}` has {0} versions, limit {0}", CrateRecord::MAX_RELEASES)]
    TooManyReleases {
        /// The crate.
        name: CrateName,
    },
    /// The crate would have more than [`Owners::MAX`] owners.
    #[error("crate `{name}` would have too many owners, limit {}", Owners::MAX)]
    TooManyOwners {
        /// The crate.
        name: CrateName,
    },
    /// Somebody who is to be removed from the owners is not one of them.
    #[error("could not find owner with login `{login}`")]
    NotAnOwner {
        /// The login.
        login: Login,
    },
    /// Nobody would be left to write to the crate.
    #[error("cannot remove all individual owners of a crate")]
    LastOwner,
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

#[cfg(test)]
mod tests;

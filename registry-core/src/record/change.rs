use std::{net::IpAddr, sync::Arc};

use semver::Version;

use super::{About, CrateRecord, ReleaseRecord, ReleaseState, Timestamp, lines_hash::LinesHash};
use crate::{
    auth::CredentialId,
    name::CrateName,
    owner::{Login, Owner, Owners},
    version::UniqueVersion,
};

/// Who wrote, when, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The user whose right was used.
    pub by: Login,
    /// When the write was decided.
    pub at: Timestamp,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a write came from, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The id under which the request is logged.
    pub request: Option<String>,
    /// The credential that was used.
    pub credential: Option<CredentialId>,
    /// The address of the client.
    pub address: Option<IpAddr>,
}

/// The difference between a record and the next, and the unit of all that follows a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The crate, spelled as first published.
    pub name: CrateName,
    /// What happened to it.
    pub kind: ChangeKind,
    /// By whom, when, from where.
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
    /// The crate was brought over from another index, as it is there. These releases are new here
    /// or differ from what was here; the owners and what the crate says of itself may, too.
    Imported(Vec<Arc<ReleaseRecord>>),
}

/// The next record, with how it differs from the one before.
pub type Transition = (CrateRecord, Change);

impl CrateRecord {
    /// Most versions a crate has. Source: ours; each client reads all lines.
    pub const MAX_RELEASES: usize = 10_000;

    /// Most bytes of all index lines of a crate. Source: ours; each client reads all lines, and each
    /// write of a crate may write all of them.
    pub const MAX_INDEX_BYTES: usize = 32 << 20;

    /// The record of a crate that is published for the first time, by its first owner.
    pub fn first(
        name: CrateName,
        owner: Owner,
        about: About,
        release: ReleaseRecord,
        origin: Origin,
    ) -> Transition {
        let stamp = Stamp { by: owner.login.clone(), at: release.published_at, origin };
        let release = Arc::new(release);
        let record = Self {
            name,
            owners: Owners::from_iter([owner]),
            about: Arc::new(about),
            releases: Arc::new(vec![release.clone()]),
            hash: LinesHash::default(),
        };
        let change = record.change(ChangeKind::Published(release), stamp);
        (record, change)
    }

    /// Adds a release. `about` replaces what the record says, unless a higher version is there.
    ///
    /// # Errors
    /// [`Refusal::NameTaken`] for another spelling of the name, [`Refusal::VersionTaken`] for a
    /// version that was ever published, [`Refusal::TooManyReleases`] or [`Refusal::IndexTooLarge`]
    /// beyond a limit.
    pub fn publish(
        &self,
        name: &CrateName,
        about: About,
        release: ReleaseRecord,
        origin: Origin,
    ) -> Result<Transition, Refusal> {
        self.may_publish(name, release.version())?;
        let bytes = |release: &ReleaseRecord| release.line.as_bytes().len() + 1;
        let bytes = self.releases.iter().map(|other| bytes(other)).sum::<usize>() + bytes(&release);
        if bytes > Self::MAX_INDEX_BYTES {
            return Err(Refusal::IndexTooLarge { name: self.name.clone(), bytes });
        }
        let stamp = Stamp { by: release.published_by.clone(), at: release.published_at, origin };
        let newest = self.releases.iter().all(|other| other.version() <= release.version());
        let release = Arc::new(release);
        let mut next = self.clone();
        if newest {
            next.about = Arc::new(about);
        }
        next.hash = match release.state.is_listed() {
            true => self.hash.and(&release.line),
            false => self.hash.clone(),
        };
        let mut releases = Vec::with_capacity(self.releases.len() + 1);
        releases.extend_from_slice(&self.releases);
        releases.push(release.clone());
        next.releases = Arc::new(releases);
        let change = next.change(ChangeKind::Published(release), stamp);
        Ok((next, change))
    }

    /// Whether [`CrateRecord::publish`] would take this version under this name, if its line is not
    /// too long.
    ///
    /// # Errors
    /// As [`CrateRecord::publish`].
    pub(crate) fn may_publish(&self, name: &CrateName, version: &Version) -> Result<(), Refusal> {
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
        Arc::make_mut(&mut next.releases)[position] = release.clone();
        next.hash = LinesHash::default();
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
    /// [`Refusal::NotAnOwner`] if one of them is none, [`Refusal::LastOwner`] if no user would be
    /// left: a group does not change owners. Source: crates.io.
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
        if left.iter().all(|owner| owner.login.is_group()) {
            return Err(Refusal::LastOwner);
        }
        let mut next = self.clone();
        next.owners = left.into_iter().collect();
        let change = next.change(ChangeKind::OwnersRemoved(removed), stamp);
        Ok(Some((next, change)))
    }

    /// Whether `change` is part of this state: how a write of unknown outcome is looked for.
    pub(crate) fn shows(&self, change: &Change) -> bool {
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
            ChangeKind::Imported(releases) => {
                releases.iter().all(|release| self.release(release.version()) == Some(release))
            }
        }
    }

    pub(super) fn change(&self, kind: ChangeKind, stamp: Stamp) -> Change {
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
    /// The crate would have more than [`CrateRecord::MAX_INDEX_BYTES`] of index lines.
    #[error(
        "the index lines of crate `{name}` would be {bytes} bytes, limit {}",
        CrateRecord::MAX_INDEX_BYTES
    )]
    IndexTooLarge {
        /// The crate.
        name: CrateName,
        /// How many bytes they would be.
        bytes: usize,
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
    /// A release that is here is not there, or another one, in the record to be brought over.
    #[error("version `{version}` of crate `{name}` is another one, or missing, in the source")]
    Diverged {
        /// The crate.
        name: CrateName,
        /// The first version in question.
        version: Version,
    },
    /// No user would be left to change the owners of the crate.
    #[error("cannot remove all individual owners of a crate")]
    LastOwner,
}

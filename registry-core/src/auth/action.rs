use semver::Version;

use crate::{checksum::Checksum, name::CanonicalName};

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// Read what belongs to no crate: `config.json`, a search.
    ReadRegistry,
    /// Read a crate's index file, a file of it, or what is known of it.
    Read(&'a CanonicalName),
    /// List the owners of a crate. No right of its own: an [`Authorizer`](super::Authorizer) is asked
    /// about [`Action::Read`]. But cargo asks for the list with a credential made for changing it.
    ListOwners(&'a CanonicalName),
    /// Publish a version.
    Publish(&'a CanonicalName, &'a Version, Option<Checksum>),
    /// Yank a version.
    Yank(&'a CanonicalName, &'a Version),
    /// Undo a yank.
    Unyank(&'a CanonicalName, &'a Version),
    /// Add or remove owners.
    ChangeOwners(&'a CanonicalName),
    /// Say which CI runs may publish it without a stored token.
    ConfigureTrustedPublishing(&'a CanonicalName),
}

impl Action<'_> {
    /// Whether it leaves everything as it is.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::ReadRegistry | Self::Read(_) | Self::ListOwners(_))
    }

    /// The crate it is about.
    pub fn crate_name(&self) -> Option<&CanonicalName> {
        match *self {
            Self::ReadRegistry => None,
            Self::Read(name)
            | Self::ListOwners(name)
            | Self::Publish(name, ..)
            | Self::Yank(name, _)
            | Self::Unyank(name, _)
            | Self::ChangeOwners(name)
            | Self::ConfigureTrustedPublishing(name) => Some(name),
        }
    }

    /// The version it is about.
    pub fn version(&self) -> Option<&Version> {
        match *self {
            Self::Publish(_, version, _) | Self::Yank(_, version) | Self::Unyank(_, version) => {
                Some(version)
            }
            _ => None,
        }
    }
}

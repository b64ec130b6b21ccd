use semver::Version;

use super::{Action, Once};
use crate::{checksum::Checksum, name::CanonicalName};

/// The one write that a credential was made for. Source: RFC 3231.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What may be done.
    pub mutation: Mutation,
    /// The crate.
    pub name: CanonicalName,
    /// The version, unless it is about owners.
    pub version: Option<Version>,
    /// The checksum of the file, if it is a publish.
    pub checksum: Option<Checksum>,
    /// What is used up when the write takes place; `None` if the claim may be used again.
    pub once: Option<Once>,
}

impl Claim {
    /// Whether `action` is the one this claim is for.
    pub fn allows(&self, action: &Action<'_>) -> bool {
        let (mutation, name, version, checksum) = match *action {
            Action::ReadRegistry | Action::Read(_) | Action::ConfigureTrustedPublishing(_) => {
                return false;
            }
            Action::Publish(name, version, checksum) => {
                // Before the file has been read, its checksum cannot differ yet.
                (Mutation::Publish, name, Some(version), checksum.or(self.checksum))
            }
            Action::Yank(name, version) => (Mutation::Yank, name, Some(version), None),
            Action::Unyank(name, version) => (Mutation::Unyank, name, Some(version), None),
            Action::ListOwners(name) | Action::ChangeOwners(name) => {
                (Mutation::Owners, name, None, None)
            }
        };
        self.mutation == mutation
            && self.name == *name
            && self.version.as_ref() == version
            && self.checksum == checksum
    }
}

/// The writes that a credential can be made for. Source: RFC 3231; `owners` is cargo's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Publish a version.
    Publish,
    /// Yank a version.
    Yank,
    /// Undo a yank.
    Unyank,
    /// Change the owners.
    Owners,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_allows_exactly_what_it_was_made_for() {
        let (name, other) = (CanonicalName::new("a").unwrap(), CanonicalName::new("b").unwrap());
        let (one, two) = (Version::new(1, 0, 0), Version::new(2, 0, 0));
        let checksum = Checksum::of("file");
        let publish = Claim {
            mutation: Mutation::Publish,
            name: name.clone(),
            version: Some(one.clone()),
            checksum: Some(checksum),
            once: None,
        };
        assert!(publish.allows(&Action::Publish(&name, &one, Some(checksum))));
        assert!(publish.allows(&Action::Publish(&name, &one, None)));
        for action in [
            Action::Publish(&name, &one, Some(Checksum::of("other"))),
            Action::Publish(&name, &two, Some(checksum)),
            Action::Publish(&other, &one, Some(checksum)),
            Action::Yank(&name, &one),
            Action::ChangeOwners(&name),
            Action::Read(&name),
            Action::ReadRegistry,
        ] {
            assert!(!publish.allows(&action), "{action:?}");
        }
        let owners =
            Claim { mutation: Mutation::Owners, version: None, checksum: None, ..publish.clone() };
        assert!(owners.allows(&Action::ChangeOwners(&name)));
        assert!(owners.allows(&Action::ListOwners(&name)));
        assert!(!owners.allows(&Action::Unyank(&name, &one)));
    }
}

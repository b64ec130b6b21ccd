//! Who is asking, and what they may do.
//!
//! A request brings a [`Credential`]; an [`Authenticator`] makes a [`Principal`] of it; the
//! [`Caller`] is that principal, or nobody, at one request; an [`Authorizer`] decides whether the
//! caller may do an [`Action`] to a crate with certain owners.

mod authorizer;
mod credential;
mod token;
mod transfer;

use std::fmt;

use async_trait::async_trait;
use semver::Version;

pub use self::{
    authorizer::{AllowAll, OwnersMayWrite},
    credential::{Credential, CredentialError, CredentialForms},
    token::{Token, TokenAuthenticator, TokenDigest, TokenStore, TokenStoreError},
    transfer::{AdoptionError, TokenTransfer, UserTokens},
};
use crate::{
    BoxError,
    checksum::Checksum,
    name::CanonicalName,
    owner::{Login, Owner, Owners},
    record::{Stamp, Timestamp},
};

/// Finds out whose credential it is.
///
/// ```
/// use registry_core::{Owner, Login, auth::*};
///
/// /// Everybody who knows the password is `admin`.
/// #[derive(Debug)]
/// struct OnePassword(TokenDigest);
///
/// impl OnePassword {
///     fn admin() -> Owner {
///         Owner { id: 1, login: Login::new("admin").unwrap(), name: None }
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl Authenticator for OnePassword {
///     async fn authenticate(&self, credential: &Credential) -> Result<Principal, AuthError> {
///         match credential.digest() == self.0 {
///             true => Ok(Principal::from(Self::admin())),
///             false => Err(AuthError::Rejected),
///         }
///     }
///     async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
///         Ok(Some(Self::admin()).filter(|admin| admin.login == *login))
///     }
/// }
/// ```
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// The principal this credential stands for.
    ///
    /// # Errors
    /// [`AuthError::Rejected`] for any credential that does not count (unknown, expired, revoked,
    /// malformed alike), [`AuthError::Backend`] if that cannot be found out now.
    async fn authenticate(&self, credential: &Credential) -> Result<Principal, AuthError>;

    /// The user of this login, as an owner of crates; `None` if there is none.
    ///
    /// # Errors
    /// [`AuthError::Backend`] if that cannot be found out now.
    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError>;
}

/// Decides whether a caller may do something.
#[async_trait]
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Allows or forbids `action`. `owners` are those of the crate it is about, as they are in the
    /// record that will be replaced: empty for a crate that does not exist, and for reads.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] if not, [`AuthError::Backend`] if that cannot be found out now.
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError>;
}

/// Somebody whose credential counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: Owner,
    /// The one write this credential was made for, if it was made for one.
    pub claim: Option<Claim>,
}

impl From<Owner> for Principal {
    fn from(user: Owner) -> Self {
        Self { user, claim: None }
    }
}

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
}

impl Claim {
    /// Whether `action` is the one this claim is for.
    pub fn allows(&self, action: &Action<'_>) -> bool {
        let (mutation, name, version, checksum) = match *action {
            Action::ReadRegistry | Action::Read(_) => return false,
            Action::Publish(name, version, checksum) => {
                // Before the file has been read, its checksum cannot differ yet.
                (Mutation::Publish, name, Some(version), checksum.or(self.checksum))
            }
            Action::Yank(name, version) => (Mutation::Yank, name, Some(version), None),
            Action::Unyank(name, version) => (Mutation::Unyank, name, Some(version), None),
            Action::ChangeOwners(name) => (Mutation::Owners, name, None, None),
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

/// Who is asking, at one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whose credential came with the request; nobody's if there was none.
    pub principal: Option<Principal>,
    /// The id under which the request is logged.
    pub request: Option<String>,
}

impl Caller {
    /// A caller without a credential.
    pub const fn anonymous() -> Self {
        Self { principal: None, request: None }
    }

    /// The principal, for what only somebody may do.
    ///
    /// # Errors
    /// [`AuthError::Missing`] if there is none.
    pub fn principal(&self) -> Result<&Principal, AuthError> {
        self.principal.as_ref().ok_or(AuthError::Missing)
    }

    pub(crate) fn stamp(&self, at: Timestamp) -> Result<Stamp, AuthError> {
        let by = self.principal()?.user.login.clone();
        Ok(Stamp { by, at, request: self.request.clone() })
    }
}

impl From<Principal> for Caller {
    fn from(principal: Principal) -> Self {
        Self { principal: Some(principal), request: None }
    }
}

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// Read what belongs to no crate: `config.json`, a search.
    ReadRegistry,
    /// Read a crate's index file or a file of it, or list its owners.
    Read(&'a CanonicalName),
    /// Publish a version.
    Publish(&'a CanonicalName, &'a Version, Option<Checksum>),
    /// Yank a version.
    Yank(&'a CanonicalName, &'a Version),
    /// Undo a yank.
    Unyank(&'a CanonicalName, &'a Version),
    /// Add or remove owners.
    ChangeOwners(&'a CanonicalName),
}

impl Action<'_> {
    /// Whether it leaves everything as it is.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::ReadRegistry | Self::Read(_))
    }
}

/// Why somebody may not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// There is no credential, and one is needed.
    #[error("this action requires authentication")]
    Missing,
    /// The credential does not count.
    #[error("authentication failed")]
    Rejected,
    /// The caller is known, and may not do it.
    #[error("{reason}")]
    Forbidden {
        /// A sentence for the caller.
        reason: String,
    },
    /// It cannot be found out now.
    #[error("authentication backend failed")]
    Backend(#[source] BoxError),
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
            Claim { mutation: Mutation::Owners, name: name.clone(), version: None, checksum: None };
        assert!(owners.allows(&Action::ChangeOwners(&name)));
        assert!(!owners.allows(&Action::Unyank(&name, &one)));
    }
}

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Action, AuthError, Claim, Scopes, TokenId, Vouched};
use crate::owner::{Login, Owner};

/// Somebody whose credential counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: Owner,
    /// What others than this registry say of the user.
    pub vouched: Vouched,
    /// The groups of this registry that the user is in. [`Principal::is`] asks for those that others
    /// vouch for, too.
    pub groups: Groups,
    /// By which credential they came.
    pub credential: CredentialId,
    /// What that credential may be used for.
    pub scopes: Scopes,
    /// The one write it was made for, if it was made for one.
    pub claim: Option<Claim>,
}

impl Principal {
    /// Whether this credential may be used for an action at all, whatever the user may do.
    /// `creates` says that a publish would be of a new name.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] says what it lacks.
    pub fn may_be_used_for(&self, action: &Action<'_>, creates: bool) -> Result<(), AuthError> {
        if self.claim.as_ref().is_some_and(|claim| !claim.allows(action)) {
            let reason = "this token was made for another action".into();
            return Err(AuthError::Forbidden { reason });
        }
        let checked = self.scopes.check(action, creates);
        checked.map_err(|error| AuthError::Forbidden { reason: error.to_string() })
    }

    /// Whether the owners of a crate have let this CI run publish it in their place. Of which
    /// crates that is true is in its scopes.
    pub fn is_trusted_publisher(&self) -> bool {
        matches!(self.credential, CredentialId::TrustedPublisher(_))
    }

    /// Whether the principal is this user or in this group: for what that gives.
    ///
    /// A group that others vouch for counts while they do, which is when somebody has just said who
    /// they are. Of what a token or key has kept of them, nobody knows whether it is still so.
    pub fn is(&self, login: &Login) -> bool {
        match login.is_group() {
            true => {
                self.groups.contains(login)
                    || self.credential.is_person() && self.vouched.groups.contains(login)
            }
            false => self.user.login == *login,
        }
    }

    /// Whether the principal is this user or in this group, or was when their token or key was
    /// made: for what that takes away.
    pub fn is_or_was(&self, login: &Login) -> bool {
        self.is(login) || self.vouched.groups.contains(login)
    }
}

/// A user whom the host of the registry vouches for: in no group, with a credential for all.
impl From<Owner> for Principal {
    fn from(user: Owner) -> Self {
        Self {
            user,
            vouched: Vouched::default(),
            groups: Groups::default(),
            credential: CredentialId::Host,
            scopes: Scopes::all(),
            claim: None,
        }
    }
}

/// The groups that a user is in. Clones are cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Login>")]
pub struct Groups(Arc<[Login]>);

impl Groups {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this group is among them.
    pub fn contains(&self, group: &Login) -> bool {
        self.0.contains(group)
    }

    /// These groups, and the others that are not among them.
    pub(super) fn and(&self, others: &Self) -> Self {
        let new = others.iter().filter(|group| !self.contains(group));
        self.iter().chain(new).cloned().collect()
    }

    /// The groups, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Login> {
        self.0.iter()
    }
}

/// Of what is no group, nothing is kept: see [`Login::is_group`].
impl FromIterator<Login> for Groups {
    fn from_iter<I: IntoIterator<Item = Login>>(groups: I) -> Self {
        Self(groups.into_iter().filter(Login::is_group).collect())
    }
}

/// As they are stored: of what denies, nothing may be lost without a word.
impl TryFrom<Vec<Login>> for Groups {
    type Error = NoGroup;

    fn try_from(groups: Vec<Login>) -> Result<Self, NoGroup> {
        match groups.iter().find(|login| !login.is_group()) {
            Some(login) => Err(NoGroup { login: login.clone() }),
            None => Ok(Self(groups.into())),
        }
    }
}

/// Something else is where groups are to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{login}` is no group")]
pub struct NoGroup {
    /// What it is.
    pub login: Login,
}

/// By which credential somebody came: for the audit trail, which holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialId {
    /// None of the registry's: the program around it says who it is.
    Host,
    /// A token of a user.
    Token(TokenId),
    /// A token that a CI run got for what an identity provider says of it.
    TrustedPublisher(TokenId),
    /// A token signed with the key of this id. Source: RFC 3231.
    Key(Arc<str>),
    /// A password.
    Password,
    /// A token of an identity provider.
    IdentityToken,
    /// A header that a trusted proxy has set.
    Proxy,
    /// None: somebody who holds the data ran a command on it.
    Command,
}

impl CredentialId {
    /// Whether somebody has just said who they are, to this registry or to an authority it trusts.
    /// Only they make and revoke tokens: a token that leaks must not make others.
    pub fn is_person(&self) -> bool {
        matches!(self, Self::Host | Self::Password | Self::IdentityToken | Self::Proxy)
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Token(id) => write!(f, "token {id}"),
            Self::TrustedPublisher(id) => write!(f, "trusted-publisher {id}"),
            Self::Key(id) => write!(f, "key {id}"),
            Self::Password => f.write_str("password"),
            Self::IdentityToken => f.write_str("identity-token"),
            Self::Proxy => f.write_str("proxy"),
            Self::Command => f.write_str("command"),
        }
    }
}

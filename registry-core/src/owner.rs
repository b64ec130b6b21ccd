//! Who may write to a crate.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{auth::Principal, echo::Echo};

/// The name a user logs in with: 1 to 64 ASCII letters, digits, `-`, `_`, `.`, `@` and `:`, the
/// first of them a letter or digit. Compared as it is spelled. Source: ours.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Login(Arc<str>);

impl Login {
    /// Most characters a login has.
    pub const MAX_CHARS: usize = 64;

    /// Checks a login.
    ///
    /// # Errors
    /// [`LoginError`] if the text is empty, too long or has another character.
    pub fn new(login: &str) -> Result<Self, LoginError> {
        let mut bytes = login.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let goes_on = bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.@:".contains(&b));
        if starts && goes_on && login.len() <= Self::MAX_CHARS {
            Ok(Self(login.into()))
        } else {
            Err(LoginError { login: login.into() })
        }
    }

    /// The login.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of a group: those begin with `group:`, and no user's does. Source: ours,
    /// after the `github:org:team` of crates.io.
    pub fn is_group(&self) -> bool {
        self.0.starts_with("group:")
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.0)
    }
}

impl std::str::FromStr for Login {
    type Err = LoginError;
    fn from_str(text: &str) -> Result<Self, LoginError> {
        Self::new(text)
    }
}

impl Serialize for Login {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Login {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// A text is not a login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a login: use 1 to {} ASCII letters, digits, `-`, `_`, `.`, `@` or `:`, beginning with a letter or digit",
    Echo(login),
    Login::MAX_CHARS
)]
pub struct LoginError {
    login: Box<str>,
}

/// One owner, as `cargo owner --list` shows it: `login (name)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// A number of its own; cargo insists on an unsigned 32-bit one.
    pub id: u32,
    /// The name to log in with.
    pub login: Login,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
}

/// The owners of one crate, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owners(Arc<[Owner]>);

impl Owners {
    /// Most owners a crate has. Source: ours.
    pub const MAX: usize = 100;

    /// The owners, in the order in which they were added.
    pub fn iter(&self) -> std::slice::Iter<'_, Owner> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, as before the first publish.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the principal owns the crate by themselves: only they change its owners. Source:
    /// crates.io.
    pub fn include(&self, principal: &Principal) -> bool {
        let login = &principal.user.login;
        !login.is_group() && self.contains(login)
    }

    /// Whether the principal owns the crate, by themselves or as one of a group, or publishes it
    /// for who does.
    pub fn include_for_releases(&self, principal: &Principal) -> bool {
        principal.is_trusted_publisher() || self.iter().any(|owner| principal.is(&owner.login))
    }

    /// Whether `login` is an owner.
    pub fn contains(&self, login: &Login) -> bool {
        self.iter().any(|owner| owner.login == *login)
    }
}

impl FromIterator<Owner> for Owners {
    fn from_iter<I: IntoIterator<Item = Owner>>(owners: I) -> Self {
        Self(owners.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Owners {
    type Item = &'a Owner;
    type IntoIter = std::slice::Iter<'a, Owner>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_plain_words() {
        for login in ["a", "alice", "9", "ci@example.com", "github:org:team", &"x".repeat(64)] {
            assert_eq!(Login::new(login).unwrap().as_str(), login);
        }
        for login in ["", "-a", "a b", "a\n", "ä", &"x".repeat(65)] {
            assert_eq!(Login::new(login), Err(LoginError { login: login.into() }));
        }
    }
}

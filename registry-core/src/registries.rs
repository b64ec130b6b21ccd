//! Several registries over the same data: what they are called, and what keeps a list of them.
//!
//! Users, tokens, keys and crate files are those of all registries of a database. Each has crates,
//! owners, trusted publishers, approved names and an audit trail of its own.

mod description;

use std::{fmt, num::NonZeroUsize, str::FromStr, sync::Arc};

use async_trait::async_trait;

pub use self::description::{InvalidRegistryDescription, RegistryDescription};
use crate::{echo::Echo, index::IndexError, record::Timestamp, short_text::ShortText};

/// What a registry, or who owns several, is called in its URL: 1 to 64 lowercase ASCII letters,
/// digits, `-` and `_`, the first of them a letter or digit, and no word that a server or cargo
/// needs for something else.
///
/// So it is a segment of a URL, a key in TOML, the name of a folder and, once `-` is `_`, a part of
/// an environment variable, and needs no quotes in any of them. It holds no dot: nothing that ends in
/// `.git` is one, which cargo would take for a git repository. Source: ours.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryName(ShortText<{ RegistryName::MAX_CHARS }>);

impl RegistryName {
    /// Most characters a name has.
    pub const MAX_CHARS: usize = 64;

    /// What no registry is called. The first segments that a server has beside its registries, those
    /// that a registry has, and the word that cargo has for crates.io.
    pub const RESERVED: [&str; 24] = [
        "api",
        "assets",
        "crates",
        "crates-io",
        "dl",
        "docs",
        "health",
        "healthz",
        "index",
        "livez",
        "login",
        "logout",
        "me",
        "metrics",
        "public",
        "readyz",
        "registries",
        "registry",
        "static",
        "status",
        "t",
        "ui",
        "v1",
        "v2",
    ];

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidRegistryName`] if the text is empty, too long, reserved or has another character.
    pub fn new(name: &str) -> Result<Self, InvalidRegistryName> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts = name.bytes().next().is_some_and(is_word);
        let goes_on = name.bytes().all(|byte| is_word(byte) || b"-_".contains(&byte));
        let Some(text) = ShortText::new(name).filter(|_| starts && goes_on) else {
            return Err(InvalidRegistryName::Text { name: name.into() });
        };
        match Self::RESERVED.contains(&name) {
            true => Err(InvalidRegistryName::Reserved { name: name.into() }),
            false => Ok(Self(text)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryName({})", self.as_str())
    }
}

impl FromStr for RegistryName {
    type Err = InvalidRegistryName;
    fn from_str(text: &str) -> Result<Self, InvalidRegistryName> {
        Self::new(text)
    }
}

/// A text is not what a registry is called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRegistryName {
    /// It has another form.
    #[error(
        "`{}` is not the name of a registry: use 1 to {} lowercase ASCII letters, digits, `-` and \
         `_`, beginning with a letter or digit",
        Echo(name),
        RegistryName::MAX_CHARS
    )]
    Text {
        /// The text.
        name: Box<str>,
    },
    /// It stands for something else.
    #[error("`{name}` is no name for a registry: servers, or cargo, need it for something else")]
    Reserved {
        /// The text.
        name: Box<str>,
    },
}

/// What is said of one registry, beside what is said of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Whether it asks for a token at every read.
    pub private: bool,
    /// Whether it refuses every write.
    pub read_only: bool,
    /// What it is for; empty if nobody said so.
    pub description: RegistryDescription,
}

/// One registry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryRecord {
    /// What it is called.
    pub name: RegistryName,
    /// Under what its crates and all else that is its own are kept: what an index of the same
    /// database is asked for by. No other registry ever has it, not even one of the same name.
    pub key: Arc<str>,
    /// What is said of it.
    pub settings: RegistrySettings,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What became of a registry that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, with so many crates.
    Deleted {
        /// How many it had.
        crates: u64,
    },
    /// It is there as it was: there are so many crates in it.
    HasCrates {
        /// How many it has.
        crates: u64,
    },
    /// There is none of this name.
    Unknown,
}

/// Keeps a list of the registries of a database.
///
/// Whoever serves them looks them up by name, at run time: they may be made and deleted at any time,
/// by any process on the same data.
#[async_trait]
pub trait RegistryStore: fmt::Debug + Send + Sync + 'static {
    /// Makes a registry, empty and under a key that no other has ever had. Durable when this returns.
    /// `None` if there is one of this name.
    async fn create(
        &self,
        name: &RegistryName,
        settings: &RegistrySettings,
    ) -> Result<Option<RegistryRecord>, IndexError>;

    /// The registry of a name; `None` if there is none.
    async fn find(&self, name: &RegistryName) -> Result<Option<RegistryRecord>, IndexError>;

    /// The registries whose names begin with `prefix`, in the order of their names: the first `limit`
    /// of those behind `after`.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&RegistryName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<RegistryRecord>, IndexError>;

    /// Says something else of a registry; answers whether there is one. Durable when this returns.
    async fn change(
        &self,
        name: &RegistryName,
        settings: &RegistrySettings,
    ) -> Result<bool, IndexError>;

    /// Deletes a registry with all that is its own, but for its audit trail; if there are crates in
    /// it, only `with_crates`. At once and as a whole: a publish that comes to its commit later fails,
    /// whoever takes it. Crate files stay, for a garbage collection to find.
    async fn delete(&self, name: &RegistryName, with_crates: bool) -> Result<Deletion, IndexError>;

    /// Every key under which there are crates, or may be: those of the registries of the list, and of
    /// any others. For a garbage collection, which takes what no registry names for garbage.
    async fn keys(&self) -> Result<Vec<Arc<str>>, IndexError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_no_quotes_anywhere() {
        for name in ["main", "a", "9", "my-crates", "my_crates", "team-2", &"x".repeat(64)] {
            assert_eq!(RegistryName::new(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "-a",
            "_a",
            "A",
            "Main",
            "a.git",
            ".git",
            ".",
            "..",
            "...",
            "a.b",
            "a/b",
            "a\\b",
            "/",
            "a%2e",
            "%2e%2e",
            "a b",
            " a",
            "a\n",
            "a\0",
            "ä",
            "a#1",
            "a?b",
            "a\"b",
            "a'b",
            "a=b",
            "~a",
            "a:b",
            "a@b",
            "a+b",
            "a,b",
            "a;b",
            "[a]",
            &"x".repeat(65),
        ] {
            assert_eq!(
                RegistryName::new(name),
                Err(InvalidRegistryName::Text { name: name.into() })
            );
        }
    }

    /// All texts of up to two of the characters that there are in ASCII.
    #[test]
    fn every_short_name_is_plain_or_refused() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let all = || (0..=127_u8).map(char::from);
        for one in all() {
            let name = one.to_string();
            let expected = plain(one) && one != 't';
            assert_eq!(RegistryName::new(&name).is_ok(), expected, "{name:?}");
            for two in all() {
                let name = format!("{one}{two}");
                let expected = plain(one) && (plain(two) || two == '-' || two == '_');
                let reserved = ["dl", "me", "ui", "v1", "v2"].contains(&&*name);
                assert_eq!(RegistryName::new(&name).is_ok(), expected && !reserved, "{name:?}");
            }
        }
    }

    #[test]
    fn what_a_server_needs_is_no_registry() {
        for name in RegistryName::RESERVED {
            assert_eq!(
                RegistryName::new(name),
                Err(InvalidRegistryName::Reserved { name: name.into() })
            );
        }
    }
}

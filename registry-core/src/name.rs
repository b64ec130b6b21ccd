//! Crate names, and the key that decides whether two names are one crate.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{echo::Echo, short_text::ShortText};

/// A crate name as its author spelled it: an ASCII letter, then ASCII letters, digits, `-` and `_`;
/// at most 64 characters.
///
/// Stricter than cargo, which lets Unicode through: a name becomes a path on disk, a key in a
/// bucket and a segment of a URL, and has to mean the same in each. Source: crates.io's rule.
///
/// ```
/// use registry_core::CrateName;
///
/// let name = CrateName::new("Serde-JSON")?;
/// assert_eq!(name.canonical().as_str(), "serde_json");
/// assert_eq!(name.sparse_path(), "se/rd/serde-json");
/// # Ok::<(), registry_core::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrateName(ShortText<{ CrateName::MAX_CHARS }>);

impl CrateName {
    /// Most characters a crate name has. Source: crates.io.
    pub const MAX_CHARS: usize = 64;

    /// Checks `name` and keeps its spelling.
    ///
    /// # Errors
    /// [`NameError`] says which character is wrong, or how long the name is.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name, |first| first.is_ascii_alphabetic())?;
        Ok(Self(ShortText::new(name).expect("it is short, and ASCII")))
    }

    /// The name with the spelling its author gave it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The key under which this name is unique in a registry.
    pub fn canonical(&self) -> CanonicalName {
        CanonicalName(self.0.folded())
    }

    /// Where cargo looks for the index file: by the lower-case name, with `-` and `_` kept apart.
    ///
    /// Source: Cargo book, "Registry Index", index files.
    pub fn sparse_path(&self) -> String {
        sparse_path(&self.as_str().to_ascii_lowercase())
    }

    /// What cargo puts for `{lowerprefix}` in a `dl` template: `se/rd` for `Serde-JSON`.
    ///
    /// Source: Cargo book, "Registry Index", Index Configuration.
    pub fn lower_prefix(&self) -> String {
        let path = self.sparse_path();
        path[..path.len() - self.0.as_bytes().len() - 1].into()
    }

    /// Reads a path such as `se/rd/serde` back: `None` unless it is exactly the path of a name.
    ///
    /// The name comes back in lower case, as the path has it.
    pub fn from_sparse_path(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/')?;
        let (name, spelled) = (Self::new(name).ok()?, name);
        let is_its = match folders(spelled) {
            (first, None) => folder == first,
            (first, second) => folder.split_once('/') == second.map(|second| (first, second)),
        };
        (is_its && !spelled.bytes().any(|b| b.is_ascii_uppercase())).then_some(name)
    }

    /// Whether `self` and `other` have one sparse path: equal but for case.
    pub(crate) fn same_sparse_path(&self, other: &Self) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(other.0.as_bytes())
    }
}

/// Checks the alias under which a manifest knows a dependency: as a [`CrateName`], but it may also
/// start with `_`. Source: crates.io.
pub(crate) fn check_dependency_alias(alias: &str) -> Result<(), NameError> {
    check(alias, |first| first.is_ascii_alphabetic() || first == '_')
}

/// A crate name folded to lower case with `-` as `_`: the key by which a name is unique.
///
/// `Foo-Bar` and `foo_bar` would overwrite each other on a case-insensitive disk and be taken for
/// each other by people, so a registry holds only one of them. Source: crates.io.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalName(ShortText<{ CrateName::MAX_CHARS }>);

impl CanonicalName {
    /// Folds any accepted spelling of a name.
    ///
    /// # Errors
    /// [`NameError`] if `name` is not a crate name in any spelling.
    pub fn new(name: &str) -> Result<Self, NameError> {
        CrateName::new(name).map(|name| name.canonical())
    }

    /// The folded name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn sparse_path(lower: &str) -> String {
    match folders(lower) {
        (first, Some(second)) => format!("{first}/{second}/{lower}"),
        (first, None) => format!("{first}/{lower}"),
    }
}

/// The folder of a name's index file, and that in it.
fn folders(lower: &str) -> (&str, Option<&str>) {
    match lower.len() {
        1 => ("1", None),
        2 => ("2", None),
        3 => ("3", Some(&lower[..1])),
        _ => (&lower[..2], Some(&lower[2..4])),
    }
}

fn check(name: &str, may_start: impl Fn(char) -> bool) -> Result<(), NameError> {
    // The length first: nothing below is done for a name of a megabyte.
    if name.len() > CrateName::MAX_CHARS {
        return Err(NameError::TooLong { chars: name.chars().count() });
    }
    let Some(first) = name.chars().next() else {
        return Err(NameError::Empty);
    };
    if let Some(character) =
        name.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_'))
    {
        return Err(NameError::InvalidCharacter { name: name.into(), character });
    }
    if !may_start(first) {
        return Err(NameError::InvalidStart { name: name.into(), character: first });
    }
    Ok(())
}

/// Why a text is not a crate name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no text at all.
    #[error("the crate name is empty")]
    Empty,
    /// The text is longer than a name may be.
    #[error("the crate name is {chars} characters, limit {}", CrateName::MAX_CHARS)]
    TooLong {
        /// How long it is.
        chars: usize,
    },
    /// The first character may not stand first.
    #[error(
        "invalid character `{}` at the start of crate name: `{}`, the first character must be an ASCII letter",
        character.escape_debug(), Echo(name)
    )]
    InvalidStart {
        /// The text.
        name: Box<str>,
        /// Its first character.
        character: char,
    },
    /// A character may not stand in a name.
    #[error(
        "invalid character `{}` in crate name: `{}`, characters must be ASCII letters, digits, `-` or `_`",
        character.escape_debug(), Echo(name)
    )]
    InvalidCharacter {
        /// The text.
        name: Box<str>,
        /// The first character that may not stand in a name.
        character: char,
    },
}

macro_rules! text_traits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
text_traits!(CrateName);
text_traits!(CanonicalName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_their_limits_are_accepted() {
        for name in ["a", "Z", "a1", "a-_9", &"x".repeat(64)] {
            assert_eq!(CrateName::new(name).map(|n| n.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_its_place() {
        let invalid =
            |name: &str, character| NameError::InvalidCharacter { name: name.into(), character };
        let start =
            |name: &str, character| NameError::InvalidStart { name: name.into(), character };
        for (name, error) in [
            ("", NameError::Empty),
            (&"x".repeat(65), NameError::TooLong { chars: 65 }),
            ("a/b", invalid("a/b", '/')),
            ("a\\b", invalid("a\\b", '\\')),
            ("..", invalid("..", '.')),
            ("C:x", invalid("C:x", ':')),
            (".git", invalid(".git", '.')),
            ("%2e%2e", invalid("%2e%2e", '%')),
            ("a\0", invalid("a\0", '\0')),
            // The Kelvin sign folds to `k` under Unicode rules.
            ("\u{212a}ey", invalid("\u{212a}ey", '\u{212a}')),
            ("ａｂ", invalid("ａｂ", 'ａ')),
            ("9a", start("9a", '9')),
            ("-a", start("-a", '-')),
            ("_a", start("_a", '_')),
        ] {
            assert_eq!(CrateName::new(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn an_alias_may_start_with_an_underscore() {
        assert_eq!(check_dependency_alias("_a"), Ok(()));
        assert_eq!(
            check_dependency_alias("0a"),
            Err(NameError::InvalidStart { name: "0a".into(), character: '0' })
        );
    }

    #[test]
    fn sparse_paths_are_those_of_the_cargo_book() {
        for (name, path) in [
            ("a", "1/a"),
            ("Ab", "2/ab"),
            ("abc", "3/a/abc"),
            ("Cargo", "ca/rg/cargo"),
            ("a-b_c", "a-/b_/a-b_c"),
        ] {
            let parsed = CrateName::new(name).unwrap();
            assert_eq!(parsed.sparse_path(), path);
            assert_eq!(
                CrateName::from_sparse_path(path).unwrap().as_str(),
                name.to_ascii_lowercase()
            );
        }
    }

    #[test]
    fn a_path_that_is_not_the_path_of_its_name_is_none() {
        for path in [
            "",
            "a",
            "2/a",
            "1/A",
            "3/ab/abc",
            "se/rd/Serde",
            "se/rd/serde/",
            "/se/rd/serde",
            "se/rd/../serde",
            "se//serde",
            "se/rd//serde",
            "se/serde",
            "x/se/rd/serde",
            "3/a/abcd",
            "1/2/a",
            "/a",
        ] {
            assert_eq!(CrateName::from_sparse_path(path), None, "{path:?}");
        }
    }

    #[test]
    fn canonical_names_fold_case_and_hyphens() {
        for name in ["Foo-Bar", "foo_bar", "FOO_BAR", "foo-bar"] {
            assert_eq!(CanonicalName::new(name).unwrap().as_str(), "foo_bar");
        }
    }
}

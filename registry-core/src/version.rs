//! Versions: what one is, and when two are the same.

use std::fmt;

use semver::{BuildMetadata, Version};

use crate::echo::Echo;

/// Most characters a version has. Source: crates.io.
pub const MAX_VERSION_CHARS: usize = 150;

/// Reads a version strictly: Semantic Versioning 2.0, no leading `v`, at most
/// [`MAX_VERSION_CHARS`], and spelled as it will be printed.
///
/// # Errors
/// [`VersionError`] if the text is too long or not a semantic version.
pub fn parse_version(text: &str) -> Result<Version, VersionError> {
    if text.len() > MAX_VERSION_CHARS {
        return Err(VersionError::TooLong);
    }
    match Version::parse(text) {
        Ok(version) if version.to_string() == text => Ok(version),
        _ => Err(VersionError::Invalid { version: text.into() }),
    }
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Not a semantic version.
    #[error("\"{}\" is an invalid semver version", Echo(version))]
    Invalid {
        /// The text.
        version: Box<str>,
    },
    /// Longer than [`MAX_VERSION_CHARS`].
    #[error("the version number is too long (max {MAX_VERSION_CHARS} characters)")]
    TooLong,
}

/// A version without its build metadata: what a crate can have only once.
///
/// `1.0.0+a` and `1.0.0+b` are one version to cargo, and may not both be listed.
/// Source: Cargo book, "Registry Index", JSON schema.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueVersion(Version);

impl From<&Version> for UniqueVersion {
    fn from(version: &Version) -> Self {
        Self(Version { build: BuildMetadata::EMPTY, ..version.clone() })
    }
}

impl fmt::Display for UniqueVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UniqueVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueVersion({})", self.0)
    }
}

/// Whether two versions are one, build metadata aside.
pub(crate) fn same_version(a: &Version, b: &Version) -> bool {
    (a.major, a.minor, a.patch) == (b.major, b.minor, b.patch) && a.pre == b.pre
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_semver_is_a_version() {
        for text in ["0.0.0", "1.2.3-rc.1+build.5", "1.0.0+a-b"] {
            assert_eq!(parse_version(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "1.0",
            "v1.0.0",
            "01.0.0",
            "1.0.0 ",
            "1.0.0+../../x",
            "18446744073709551616.0.0",
        ] {
            assert_eq!(parse_version(text), Err(VersionError::Invalid { version: text.into() }));
        }
    }

    #[test]
    fn a_version_has_at_most_150_characters() {
        let longest = format!("1.0.0-{}", "a".repeat(144));
        assert_eq!(parse_version(&longest).unwrap().to_string(), longest);
        assert_eq!(parse_version(&format!("{longest}a")), Err(VersionError::TooLong));
    }

    #[test]
    fn build_metadata_does_not_make_another_version() {
        let (a, b) = (parse_version("1.0.0+a").unwrap(), parse_version("1.0.0+b").unwrap());
        assert!(same_version(&a, &b));
        assert_eq!(UniqueVersion::from(&a), UniqueVersion::from(&b));
        assert_eq!(UniqueVersion::from(&a).to_string(), "1.0.0");
        assert!(!same_version(&a, &parse_version("1.0.0-a").unwrap()));
    }
}

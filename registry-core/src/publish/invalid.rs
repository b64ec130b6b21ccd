//! Why a publish is refused.

use super::archive::ArchiveError;
use crate::{
    echo::Echo,
    entry::IndexLine,
    name::{CrateName, NameError},
    version::VersionError,
};

/// Why an upload is not a release.
///
/// Every text is fit to be shown to the publisher: what it repeats of the upload is cut and
/// escaped. The texts that release tools look for are those of crates.io.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The metadata are not JSON as the protocol has it.
    #[error("invalid upload request: {0}")]
    Request(String),
    /// The name of the crate is not a crate name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The version is not a version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The name is nobody's to publish under.
    #[error("cannot upload a crate with a reserved name")]
    ReservedName,
    /// A character that a backend cannot hold or a terminal obeys.
    #[error("invalid character U+{:04X} in field `{field}`", u32::from(*character))]
    Character {
        /// The metadata field.
        field: &'static str,
        /// The character.
        character: char,
    },
    /// A text is too long.
    #[error("field `{field}` is {chars} characters, limit {max}")]
    TooLong {
        /// The metadata field.
        field: &'static str,
        /// How long it is.
        chars: usize,
        /// How long it may be.
        max: usize,
    },
    /// A text is too long where its bytes are counted.
    #[error("field `{field}` is {bytes} bytes, limit {max}")]
    TooManyBytes {
        /// The metadata field.
        field: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// There are too many of something.
    #[error("a maximum number of {max} {what} is allowed, but the crate has {count}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A text is not in the form that its field demands.
    #[error("invalid value in field `{field}`: `{}`, {expected}", Echo(value))]
    Value {
        /// The metadata field.
        field: &'static str,
        /// The text.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// A URL is not one of the web.
    #[error("URL for field `{field}` must begin with http:// or https:// (url: {})", Echo(url))]
    UrlScheme {
        /// The metadata field.
        field: &'static str,
        /// The text.
        url: String,
    },
    /// Fields are missing that the registry demands.
    #[error(
        "missing or empty metadata fields: {}. Please see \
         https://doc.rust-lang.org/cargo/reference/manifest.html for more information on \
         configuring these fields",
        fields.join(", ")
    )]
    Missing {
        /// The fields.
        fields: Vec<&'static str>,
    },
    /// A dependency cannot stand in the index.
    #[error("dependency `{}`: {reason}", Echo(dependency))]
    Dependency {
        /// The name it has in the manifest.
        dependency: String,
        /// What is wrong with it; values in it are escaped.
        reason: String,
    },
    /// A feature cannot stand in the index.
    #[error("feature `{}`: {reason}", Echo(feature))]
    Feature {
        /// Its name.
        feature: String,
        /// What is wrong with it; values in it are escaped.
        reason: String,
    },
    /// The crate file is not an archive that every reader reads alike.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The manifest in the crate file cannot be read, or is not one cargo would have packaged.
    #[error("Cargo.toml manifest is invalid: {0}")]
    Manifest(String),
    /// All of it together is more than a line of the index may hold.
    #[error("the index line would be {bytes} bytes, limit {}", IndexLine::MAX_BYTES)]
    LineTooLong {
        /// How long it would be.
        bytes: usize,
    },
    /// The metadata and the manifest name different crates.
    #[error("metadata name `{metadata}` does not match manifest name `{}`", Echo(manifest))]
    NameMismatch {
        /// The name in the metadata.
        metadata: CrateName,
        /// The name in the manifest.
        manifest: String,
    },
    /// The metadata and the manifest name different versions.
    #[error("metadata version `{metadata}` does not match manifest version `{}`", Echo(manifest))]
    VersionMismatch {
        /// The version in the metadata.
        metadata: semver::Version,
        /// The version in the manifest.
        manifest: String,
    },
    /// The metadata and the manifest differ in what a resolver goes by.
    #[error("metadata does not match Cargo.toml: {part}")]
    Mismatch {
        /// `dependencies`, `features`, `links` or `rust-version`.
        part: &'static str,
    },
    /// A dependency comes from this registry according to the metadata, and from an index we do not
    /// know as ours according to the manifest: the client uses an address that the configuration
    /// lacks, see [`RegistryConfig::with_index_alias`](crate::RegistryConfig::with_index_alias).
    #[error(
        "metadata does not match Cargo.toml: dependencies (`{}` is not an index of this registry)",
        Echo(registry)
    )]
    UnknownIndex {
        /// The index URL in the manifest.
        registry: String,
    },
}

//! What may be published: limits, and how much a crate has to say of itself.

use std::collections::BTreeSet;

use super::reserved;
use crate::name::CanonicalName;

/// Limits and requirements that a publish is held to.
///
/// Start from [`ValidationRules::private`] (the default) or [`ValidationRules::crates_io`], then
/// change single fields:
///
/// ```
/// use registry_core::publish::ValidationRules;
///
/// let rules = ValidationRules { max_keywords: 10, ..ValidationRules::private() };
/// let rules = rules.with_max_crate_bytes(64 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationRules {
    /// Largest `.crate` file accepted, in bytes. Default 10 MiB.
    ///
    /// Compared with the length prefix before any of the file is read, so an oversized upload costs
    /// the server its metadata and no more. What may come out of a file is a limit of its own:
    /// [`ValidationRules::with_max_crate_bytes`] raises both. Source: ours; crates.io has the same.
    pub max_crate_bytes: u32,
    /// Largest metadata JSON accepted, in bytes. Default 1 MiB. Source: crates.io.
    pub max_metadata_bytes: u32,
    /// Most bytes that come out of a crate file when it is decompressed. Default 512 MiB.
    ///
    /// More would be refused by cargo when it unpacks the file. Never less than
    /// [`ValidationRules::max_crate_bytes`]. Source: cargo; crates.io.
    pub max_unpacked_bytes: u64,
    /// Most bytes out for each byte in, once more than 32 MiB are out. Default 100.
    ///
    /// Ends a decompression bomb long before [`ValidationRules::max_unpacked_bytes`].
    /// Source: ours.
    pub max_ratio: u32,
    /// Most members of a crate file. Default 50,000.
    ///
    /// Each costs readers a file, however short it is. Source: ours.
    pub max_entries: u32,
    /// Most bytes of a header that gives a member of a crate file its long path. Default 64 KiB.
    ///
    /// It is held in memory, so its length must not be the uploader's choice. Source: ours.
    pub max_extension_bytes: u32,
    /// Largest packaged `Cargo.toml`, in bytes. Default 1 MiB. Source: ours.
    pub max_manifest_bytes: u32,
    /// Most tokens of a packaged `Cargo.toml`, white space included. Default 100,000.
    ///
    /// Parsed, a token takes some hundred bytes: by its length alone, a manifest of 1 MiB could
    /// take 80 MiB of memory. 300 features of 20 values each come to a quarter of it. Source: ours.
    pub max_manifest_tokens: usize,
    /// Largest README in the metadata, in bytes. Default 1 MiB. Source: ours.
    pub max_readme_bytes: usize,
    /// Most dependencies, all kinds and targets together. Default 500. Source: crates.io.
    pub max_dependencies: usize,
    /// Most features. Default 300. Source: crates.io.
    pub max_features: usize,
    /// Most things that one feature turns on. Default 300. Source: crates.io.
    pub max_feature_values: usize,
    /// Most keywords. Default 5. Source: crates.io.
    pub max_keywords: usize,
    /// Most characters of a keyword. Default 20. Source: crates.io.
    pub max_keyword_chars: usize,
    /// Most categories. Default 5. Source: crates.io.
    pub max_categories: usize,
    /// Most characters of a description; most bytes of one under [`Descriptive::CratesIo`]. Default
    /// 1,000. Source: crates.io.
    pub max_description_chars: usize,
    /// Most characters of a URL. Default 2,048. Source: ours.
    pub max_url_chars: usize,
    /// Most characters of any other text. Default 1,024. Source: ours.
    pub max_text_chars: usize,
    /// How much a crate has to say of itself, and what it may depend on.
    pub descriptive: Descriptive,
    /// Whether a file that Windows cannot have by that name (`src/aux.rs`) is refused. Default:
    /// it is accepted with a warning. Source: ours.
    pub refuse_windows_reserved_paths: bool,
    /// Names nobody may publish under, beside those that are always reserved: names of Windows
    /// devices and of crates that come with the compiler.
    pub reserved_names: BTreeSet<CanonicalName>,
}

/// How much a crate has to say of itself, and what it may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptive {
    /// Nothing is demanded. Dependencies may come from other registries and have any requirement.
    Lax,
    /// As on crates.io: a description; a licence as an SPDX expression, or a licence file; keywords
    /// and categories in their grammar; no dependency on another registry, and none on just any
    /// version (`*`). Whether there is such a category or such a dependency is not looked up: that
    /// is for a [policy](crate::policy).
    CratesIo,
}

impl ValidationRules {
    /// Rules for a registry behind a company's door: safe, and not curious. The default.
    pub fn private() -> Self {
        Self {
            max_crate_bytes: 10 << 20,
            max_metadata_bytes: 1 << 20,
            max_unpacked_bytes: 512 << 20,
            max_ratio: 100,
            max_entries: 50_000,
            max_extension_bytes: 64 << 10,
            max_manifest_bytes: 1 << 20,
            max_manifest_tokens: 100_000,
            max_readme_bytes: 1 << 20,
            max_dependencies: 500,
            max_features: 300,
            max_feature_values: 300,
            max_keywords: 5,
            max_keyword_chars: 20,
            max_categories: 5,
            max_description_chars: 1000,
            max_url_chars: 2048,
            max_text_chars: 1024,
            descriptive: Descriptive::Lax,
            refuse_windows_reserved_paths: false,
            reserved_names: BTreeSet::new(),
        }
    }

    /// Rules as crates.io has them, for a public registry: limits as [`ValidationRules::private`],
    /// and [`Descriptive::CratesIo`].
    pub fn crates_io() -> Self {
        Self { descriptive: Descriptive::CratesIo, ..Self::private() }
    }

    /// Takes crate files of up to so many bytes, and of what comes out of them as much as cargo
    /// unpacks: 512 MiB or 20 times the file. Source: cargo, `max_unpack_size`.
    #[must_use]
    pub fn with_max_crate_bytes(self, max_crate_bytes: u32) -> Self {
        let unpacked_by_cargo = (512 << 20).max(20 * u64::from(max_crate_bytes));
        let max_unpacked_bytes = self.max_unpacked_bytes.max(unpacked_by_cargo);
        Self { max_crate_bytes, max_unpacked_bytes, ..self }
    }

    /// Whether nobody may publish under `name`.
    pub(super) fn is_reserved(&self, name: &CanonicalName) -> bool {
        reserved::is_reserved(name) || self.reserved_names.contains(name)
    }

    /// Longest publish body that can be within the limits, in bytes: both lengths, the metadata and
    /// the crate file.
    pub fn max_body_bytes(&self) -> u64 {
        8 + u64::from(self.max_metadata_bytes) + u64::from(self.max_crate_bytes)
    }
}

impl Default for ValidationRules {
    fn default() -> Self {
        Self::private()
    }
}

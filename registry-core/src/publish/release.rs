//! A release: the only thing that can be published.

use super::{
    Invalid, Metadata, archive, crates_io, features,
    manifest::Manifest,
    rules::{Descriptive, ValidationRules},
    text::Texts,
};
use crate::{
    checksum::Checksum,
    config::RegistryConfig,
    echo::Echo,
    entry::{IndexEntry, IndexLine, IndexLineError},
    record::{About, Timestamp},
    store::CrateBody,
};

/// A crate file that has passed every check, with the line it will have in the index.
///
/// [`Release::validate`] is the only way to one: whoever holds it knows that the file is an archive
/// every reader reads alike, and that the line says what the manifest in it says.
#[derive(Clone, Debug)]
pub struct Release {
    entry: IndexEntry,
    about: About,
    file: CrateBody,
    warnings: Vec<Warning>,
}

impl Release {
    /// Checks the crate file, and the metadata against the manifest in it.
    ///
    /// # Errors
    /// [`Invalid`] says what is wrong, in words for the publisher.
    pub fn validate(
        metadata: &Metadata,
        file: CrateBody,
        checksum: Checksum,
        rules: &ValidationRules,
        config: &RegistryConfig,
    ) -> Result<Self, Invalid> {
        let root = format!("{}-{}", metadata.name(), metadata.version());
        let archive = archive::check(&file, &root, rules)?;
        let manifest = Manifest::parse(&archive.manifest, rules)?;
        if manifest.name != metadata.name().as_str() {
            let metadata = metadata.name().clone();
            return Err(Invalid::NameMismatch { metadata, manifest: manifest.name });
        }
        if manifest.version != metadata.version().to_string() {
            let metadata = metadata.version().clone();
            return Err(Invalid::VersionMismatch { metadata, manifest: manifest.version });
        }
        let declared = manifest.declared.with_own_registry(config);
        metadata.declared.clone().with_own_registry(config).must_equal(&declared)?;
        if rules.descriptive == Descriptive::CratesIo {
            crates_io::check(&manifest.texts, &declared, rules)?;
        }
        let (features, features2) = features::split(declared.features);
        let has_artifacts = declared.dependencies.iter().any(|dep| dep.artifact.is_some());
        let entry = IndexEntry {
            name: metadata.name().clone(),
            version: metadata.version().clone(),
            v: match (has_artifacts, features2.is_empty()) {
                (true, _) => Some(3),
                (false, false) => Some(2),
                (false, true) => None,
            },
            dependencies: declared.dependencies,
            checksum,
            features,
            features2,
            yanked: false,
            links: declared.links,
            rust_version: declared.rust_version,
            pubtime: None,
            other: serde_json::Map::new(),
        };
        let warnings = windows_warnings(&archive.windows_reserved);
        let release = Self { entry, about: manifest.texts.into(), file, warnings };
        // Every time of publication is written in as many bytes.
        match release.to_line(Timestamp(0)) {
            Err(LineError::Line(IndexLineError::TooLong { bytes })) => {
                Err(Invalid::LineTooLong { bytes })
            }
            _ => Ok(release),
        }
    }

    /// Checks a crate file that comes without metadata: the manifest in it says what it is.
    ///
    /// # Errors
    /// [`Invalid`] says what is wrong, by the same rules as [`Release::validate`].
    pub fn of_file(
        file: CrateBody,
        rules: &ValidationRules,
        config: &RegistryConfig,
    ) -> Result<Self, Invalid> {
        let root = archive::find_root(&file, rules)?;
        let manifest = Manifest::parse(&archive::check(&file, &root, rules)?.manifest, rules)?;
        let metadata = Metadata::of_manifest(manifest, rules)?;
        let checksum = Checksum::of_reader(file.reader())
            .map_err(|error| archive::ArchiveError::unreadable(&error))?;
        Self::validate(&metadata, file, checksum, rules, config)
    }

    /// The line as it will stand in the index, but for the time of publication.
    pub fn entry(&self) -> &IndexEntry {
        &self.entry
    }

    /// What the crate says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The crate file, to be stored byte for byte.
    pub fn file(&self) -> &CrateBody {
        &self.file
    }

    /// Checksum of the crate file.
    pub fn checksum(&self) -> Checksum {
        self.entry.checksum
    }

    /// What the publisher should hear although the release is accepted.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Writes the line with its time of publication, and reads it back by the index's own rules.
    ///
    /// # Errors
    /// [`LineError::Time`] if the time cannot be written; any other is a mistake of ours, found
    /// before the line can do harm in the index.
    pub fn to_line(&self, published_at: Timestamp) -> Result<IndexLine, LineError> {
        let entry = IndexEntry { pubtime: Some(pubtime(published_at)?), ..self.entry.clone() };
        let line = IndexLine::parse(entry.to_line().as_bytes().clone())?;
        if line.to_entry()? != entry {
            return Err(LineError::Changed);
        }
        Ok(line)
    }
}

/// Names the first few paths: the rest tells the publisher nothing new.
fn windows_warnings(paths: &[String]) -> Vec<Warning> {
    const MAX_SHOWN: usize = 5;
    let shown =
        |path: &String| Warning(format!("file `{}` cannot be unpacked on Windows", Echo(path)));
    paths.iter().take(MAX_SHOWN).map(shown).collect()
}

impl From<Texts> for About {
    fn from(texts: Texts) -> Self {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            description: said(texts.description),
            keywords: texts.keywords,
            homepage: said(texts.homepage),
            documentation: said(texts.documentation),
            repository: said(texts.repository),
        }
    }
}

/// With a fraction or another offset, cargo would take the line for no version at all.
fn pubtime(at: Timestamp) -> Result<String, LineError> {
    at.to_rfc3339().ok_or(LineError::Time { seconds: at.0 })
}

/// A sentence that cargo prints after a successful publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

/// Why a release has no line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is not one an index may hold.
    #[error(transparent)]
    Line(#[from] IndexLineError),
    /// The line does not say what was written.
    #[error("the index line does not read back as it was written")]
    Changed,
    /// The time of publication is behind the year 9999.
    #[error("a publication time of {seconds} seconds since 1970 cannot be written")]
    Time {
        /// The time.
        seconds: u64,
    },
}

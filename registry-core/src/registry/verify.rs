use std::num::NonZeroUsize;

use semver::Version;

use super::Registry;
use crate::{
    checksum::ChecksumHasher,
    index::{IndexError, Lookup, Stored},
    name::{CanonicalName, CrateName},
    record::ReleaseRecord,
    store::{CrateKey, StoreError},
};

impl Registry {
    /// Checks every crate against the promises: the served index file is the record's, and every
    /// file it names is there, byte for byte.
    ///
    /// Reads every stored byte; writers may go on meanwhile. Problems come in the order of names;
    /// none means all is well.
    ///
    /// # Errors
    /// [`VerifyError`] if a backend fails: then nothing is known of the crates behind that point.
    pub async fn verify(&self) -> Result<Vec<Problem>, VerifyError> {
        const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
        let mut problems = Vec::new();
        let mut after: Option<CanonicalName> = None;
        loop {
            let page = self.parts.index.names(after.as_ref(), PAGE).await?;
            for name in &page {
                self.verify_crate(name, &mut problems).await?;
            }
            if page.len() < PAGE.get() {
                return Ok(problems);
            }
            after = page.into_iter().next_back();
        }
    }

    async fn verify_crate(
        &self,
        name: &CanonicalName,
        problems: &mut Vec<Problem>,
    ) -> Result<(), VerifyError> {
        let index = &self.parts.index;
        let mut stored = index.load(name, None).await?.found();
        let record = loop {
            let Some(Stored { record, revision }) = stored else { return Ok(()) };
            if index.index_file(name, None).await? == Lookup::Found(record.index_file()) {
                break record;
            }
            // A writer may have come between the two looks.
            stored = index.load(name, None).await?.found();
            if stored.as_ref().is_some_and(|stored| stored.revision == revision) {
                problems.push(Problem::IndexFile { name: record.name().clone() });
                break record;
            }
        };
        for release in record.releases().iter().filter(|release| release.state.is_downloadable()) {
            problems.extend(self.verify_file(record.name(), release).await?);
        }
        Ok(())
    }

    async fn verify_file(
        &self,
        name: &CrateName,
        release: &ReleaseRecord,
    ) -> Result<Option<Problem>, VerifyError> {
        let (version, checksum) = (release.version().clone(), release.line.checksum());
        let key = CrateKey { name: name.canonical(), version: version.clone(), checksum };
        let Some(mut file) = self.parts.crates.get(&key).await? else {
            return Ok(Some(Problem::MissingFile { name: name.clone(), version }));
        };
        let (mut hasher, mut size) = (ChecksumHasher::new(), 0);
        while let Some(chunk) = file.next_chunk().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            hasher.update(&chunk);
        }
        let whole = (hasher.finish(), size) == (checksum, release.size);
        Ok((!whole).then(|| Problem::DamagedFile { name: name.clone(), version }))
    }
}

/// A promise that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// What cargo reads is not what the record says.
    #[error("the index file of crate `{name}` differs from its record")]
    IndexFile {
        /// The crate.
        name: CrateName,
    },
    /// A line names a file that is not there.
    #[error("the file of crate `{name}` version `{version}` is missing")]
    MissingFile {
        /// The crate.
        name: CrateName,
        /// The version.
        version: Version,
    },
    /// A file does not have the checksum or the size that was published.
    #[error("the file of crate `{name}` version `{version}` is damaged")]
    DamagedFile {
        /// The crate.
        name: CrateName,
        /// The version.
        version: Version,
    },
}

/// A backend failed while everything was being checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The crate store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

use bytes::Bytes;
use semver::Version;

use super::Registry;
use crate::{
    auth::{Action, AuthError, Caller},
    index::{ETag, IndexError, IndexFile, Lookup},
    listing::CrateListing,
    name::{CanonicalName, CrateName},
    owner::Owners,
    record::CrateRecord,
    search::{SearchPage, SearchQuery},
    store::{CrateKey, StoreError},
};

/// Most crates that one search goes through where some are hidden, so that a word in every crate
/// does not keep the database busy for anybody who asks. Source: ours.
const MOST_PASSED: usize = 5_000;

impl Registry {
    /// The document at the index root, `config.json`.
    ///
    /// # Errors
    /// [`ReadError::Auth`] if the caller may not read here.
    pub async fn config_json(&self, caller: &Caller) -> Result<Bytes, ReadError> {
        self.authorize(caller, &Action::ReadRegistry, &Owners::default()).await?;
        // Cargo sends its token to the index and to downloads if this document says so.
        match self.auth_required() {
            true => Ok(self.parts.private_config_json.clone()),
            false => Ok(self.parts.config_json.clone()),
        }
    }

    /// The index file at the path of `name`. `known` is a validator the client holds.
    ///
    /// Cargo asks for other spellings of a name it misses, and each has a path of its own: only
    /// the spelling of the first publish, case aside, has a file. A crate that the caller may not
    /// see has none either.
    ///
    /// # Errors
    /// [`ReadError::Auth`] if the caller may not read here, [`ReadError::Index`] if the index
    /// failed.
    pub async fn index_file(
        &self,
        caller: &Caller,
        name: &CrateName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, ReadError> {
        let canonical = name.canonical();
        let place = self.place(caller, &Action::Read(&canonical), &canonical).await?;
        let index = &*self.parts.index;
        let found = match index.try_index_file(&place, known) {
            Some(found) => found,
            None => index.index_file(&place, known).await?,
        };
        match found {
            Lookup::Found(file) if !file.name.same_sparse_path(name) => Ok(Lookup::Absent),
            found => Ok(found),
        }
    }

    /// What the file of a version is stored under.
    ///
    /// # Errors
    /// [`ReadError::UnknownCrate`] or [`ReadError::UnknownVersion`] if there is none to download.
    pub async fn crate_key(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        version: &Version,
    ) -> Result<CrateKey, ReadError> {
        let record = self.record(caller, name).await?;
        let release = record
            .release(version)
            .filter(|release| release.version() == version && release.state.is_downloadable())
            .ok_or_else(|| ReadError::unknown_version(name, version))?;
        let checksum = release.line.checksum();
        Ok(CrateKey { name: record.name().clone(), version: version.clone(), checksum })
    }

    /// Finds crates by words. What the caller may not see is neither shown nor counted.
    ///
    /// If there may be such crates, what is found is gone through in pages of
    /// [`SearchQuery::MAX_LIMIT`], each with a question to the search, and with one to the authorizer
    /// for each crate: the first 5,000, as the search ranks them. What comes behind them is neither
    /// shown nor counted either, so a page may begin no further on; an exact name comes first.
    ///
    /// # Errors
    /// [`ReadError::Auth`] if the caller may not read here, [`ReadError::Index`] if the search
    /// failed.
    pub async fn search(
        &self,
        caller: &Caller,
        query: &SearchQuery,
    ) -> Result<SearchPage, ReadError> {
        self.authorize(caller, &Action::ReadRegistry, &Owners::default()).await?;
        let search = &self.parts.search;
        if !self.sees_only_some(caller) {
            return Ok(search.search(query).await?);
        }
        let mut seen = SearchPage::default();
        let mut passed = 0;
        while passed < MOST_PASSED {
            let page = search.search(&query.with_offset(passed)).await?;
            if page.crates.is_empty() {
                break;
            }
            passed += page.crates.len();
            for found in page.crates {
                if self.sees(caller, &found.name.canonical()).await? {
                    if seen.total >= query.offset() && seen.crates.len() < query.limit().get() {
                        seen.crates.push(found);
                    }
                    seen.total += 1;
                }
            }
            if passed >= page.total {
                break;
            }
        }
        Ok(seen)
    }

    /// A crate's whole record, if the caller may see the crate.
    ///
    /// # Errors
    /// [`ReadError::UnknownCrate`] if not, or if there is none of that name.
    pub async fn record(
        &self,
        caller: &Caller,
        name: &CanonicalName,
    ) -> Result<CrateRecord, ReadError> {
        self.record_for(caller, &Action::Read(name), name).await
    }

    pub(super) async fn record_for(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        name: &CanonicalName,
    ) -> Result<CrateRecord, ReadError> {
        let place = self.place(caller, action, name).await?;
        let stored = self.parts.index.load(&place, None).await?.found();
        Ok(stored.ok_or_else(|| ReadError::UnknownCrate { name: name.clone() })?.record)
    }
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The caller may not read here.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// There is no such crate, or none that the caller may see.
    #[error("crate `{name}` does not exist")]
    UnknownCrate {
        /// The name asked for.
        name: CanonicalName,
    },
    /// The crate has no such version.
    #[error("crate `{name}` does not have a version `{version}`")]
    UnknownVersion {
        /// The crate.
        name: CanonicalName,
        /// The version asked for.
        version: Version,
    },
    /// To answer, more records would have to be read than
    /// [`CrateListing::MOST_READ`](crate::listing::CrateListing::MOST_READ).
    #[error(
        "more than {} crates begin with `{prefix}`: ask for a longer `prefix`, or for no `status` \
         and no order by time",
        CrateListing::MOST_READ
    )]
    TooManyCrates {
        /// How the names were to begin.
        prefix: String,
    },
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The crate store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError {
    pub(super) fn unknown_version(name: &CanonicalName, version: &Version) -> Self {
        Self::UnknownVersion { name: name.clone(), version: version.clone() }
    }
}

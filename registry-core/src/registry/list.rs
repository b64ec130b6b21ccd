use std::{cmp::Reverse, num::NonZeroUsize, sync::Arc};

use futures_util::TryStreamExt as _;

use super::{ReadError, Registry};
use crate::{
    auth::{Action, Caller},
    index::{self, IndexError},
    listing::{CrateListing, CrateSort, Listed, ReleaseListing, ReleaseSort},
    name::CanonicalName,
    owner::Owners,
    record::{CrateRecord, ReleaseRecord},
};

impl Registry {
    /// What `of` makes of the crates that the caller may see, a page at a time. A record may be of
    /// many megabytes: it is dropped before many more are read.
    ///
    /// Reads the names that begin with the prefix, [`CrateListing::MOST_LISTED`] of them, and the
    /// records of the page. With a state or by [`CrateSort::New`] it reads the record of each of
    /// those names, for every page. A crate that is published between two pages may move others
    /// from one to the other.
    ///
    /// # Errors
    /// [`ReadError::Auth`] if the caller may not read here, [`ReadError::TooManyCrates`] if more
    /// records than [`CrateListing::MOST_READ`] would have to be read, [`ReadError::Index`] if the
    /// index failed.
    pub async fn crates<T: Send>(
        &self,
        caller: &Caller,
        listing: &CrateListing,
        of: impl Fn(&CrateRecord) -> T + Send,
    ) -> Result<Listed<T>, ReadError> {
        self.authorize(caller, &Action::ReadRegistry, &Owners::default()).await?;
        let mut names = self.names_with_prefix(&listing.prefix).await?;
        if self.sees_only_some(caller) {
            let mut seen = Vec::new();
            for name in names {
                if self.sees(caller, &name).await? {
                    seen.push(name);
                }
            }
            names = seen;
        }
        if listing.state.is_some() || listing.sort == CrateSort::New {
            if names.len() > CrateListing::MOST_READ {
                return Err(ReadError::TooManyCrates { prefix: listing.prefix.clone() });
            }
            names = self.chosen(names, listing).await?;
        }
        let Listed { page, total } = Listed::part_of(names, listing.offset, listing.limit);
        let records = index::records(self.parts.index.clone(), page);
        let page = records.map_ok(move |record| of(&record)).try_collect().await?;
        Ok(Listed { page, total })
    }

    /// The releases of a crate, a page at a time, in whatever state they are.
    ///
    /// Reads the crate's record.
    ///
    /// # Errors
    /// [`ReadError::UnknownCrate`] if there is none of that name that the caller may see.
    pub async fn releases(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        listing: &ReleaseListing,
    ) -> Result<Listed<Arc<ReleaseRecord>>, ReadError> {
        let record = self.record(caller, name).await?;
        let is_wanted = |release: &&Arc<ReleaseRecord>| {
            listing.state.is_none_or(|state| release.state == state)
        };
        let mut releases: Vec<_> = record.releases().iter().filter(is_wanted).cloned().collect();
        match listing.sort {
            ReleaseSort::Version => releases.sort_by(|a, b| b.version().cmp(a.version())),
            // Of those of one second, the one that came last is the newest.
            ReleaseSort::New => {
                releases.reverse();
                releases.sort_by_key(|release| Reverse(release.published_at));
            }
        }
        Ok(Listed::part_of(releases, listing.offset, listing.limit))
    }

    /// The first names that begin so, no more than [`CrateListing::MOST_LISTED`].
    async fn names_with_prefix(&self, prefix: &str) -> Result<Vec<CanonicalName>, IndexError> {
        const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
        let prefix = prefix.to_ascii_lowercase().replace('-', "_");
        // Not far behind the prefix without its last character, which is a name if anything is
        // that begins with the prefix, comes the first name that is wanted.
        let mut shorter = prefix.clone();
        shorter.pop();
        let mut after = CanonicalName::new(&shorter).ok();
        let mut names = Vec::new();
        loop {
            let page = self.parts.index.names(after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE.get();
            for name in &page {
                if names.len() == CrateListing::MOST_LISTED {
                    return Ok(names);
                }
                if name.as_str().starts_with(&prefix) {
                    names.push(name.clone());
                } else if *name.as_str() > *prefix {
                    return Ok(names);
                }
            }
            if is_last {
                return Ok(names);
            }
            after = page.last().cloned();
        }
    }

    /// Those of `names` that are wanted, in the wanted order, by a look at each record.
    async fn chosen(
        &self,
        names: Vec<CanonicalName>,
        listing: &CrateListing,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let mut chosen = Vec::new();
        let mut records = index::records(self.parts.index.clone(), names);
        while let Some(record) = records.try_next().await? {
            let is_wanted = |state| record.releases().iter().any(|r| r.state == state);
            if listing.state.is_none_or(is_wanted) {
                chosen.push((record.first_published_at(), record.name().canonical()));
            }
        }
        match listing.sort {
            CrateSort::Name => {}
            CrateSort::New => chosen.sort_by_key(|(at, _)| Reverse(*at)),
        }
        Ok(chosen.into_iter().map(|(_, name)| name).collect())
    }
}

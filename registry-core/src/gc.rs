//! Garbage collection: removing the crate files that no line names, beside running publishes.
//!
//! [`collect`] does it, in two steps that lie far apart: a file is first put aside, where it can
//! still be read, and purged by a later run.
//!
#![doc = include_str!("gc/argument.md")]

mod decision;
#[cfg(test)]
mod model;
mod names;
mod report;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

pub(crate) use self::decision::AgeRule;
pub use self::{
    decision::{OfAside, OfStored},
    report::{Collection, Outcome, Step},
};
use crate::{
    checksum::Checksum,
    index::{Index, IndexError},
    name::CanonicalName,
    store::{
        AsideCrate, AsideReason, CrateKey, CrateUpkeep, StoreError, StoredCrate, bring_back,
        of_one_file, renew,
    },
};

/// How many crates are looked at at the same time: most of the time goes by waiting for what they
/// are kept in.
const AT_ONCE: usize = 8;

/// How many files are held to bring those of one crate together. Stores list them side by side, so
/// that a record is loaded once or twice in a run.
const HELD: usize = 4096;

/// How a collection goes about it.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// How long a file must not have been stored, and how long it must then have been aside,
    /// before it is put aside, and purged.
    ///
    /// At least twice the [`file_age_limit`](crate::registry::RegistryBuilder::file_age_limit) of
    /// every registry over the store.
    pub older_than: Duration,
    /// The time at which the collection begins.
    pub now: SystemTime,
    /// Whether nothing is to be changed, and only told what would be.
    pub dry_run: bool,
    /// Whether to go on if more files are garbage than are named. Publishes that failed leave a few:
    /// so many are rather those of a registry whose index was left out, or mistaken for another.
    pub even_most: bool,
}

impl GcOptions {
    /// A collection that begins now, and does what it tells.
    pub fn new(older_than: Duration) -> Self {
        Self { older_than, now: SystemTime::now(), dry_run: false, even_most: false }
    }
}

/// Puts files aside that no line in any of `indexes` names, and purges those that an earlier run has
/// put aside; puts back what a line names after all. `report` is told of every file, with the sums
/// so far.
///
/// **`indexes` have to be those of all registries over this store**, each as the writers see it: no
/// cache that may be stale, no replica that may lag. The files of a registry that is left out would
/// be lost with the second run. So nothing is done if there is no crate in any of them; nor if more
/// files would go than are named, unless that is [said to be right](GcOptions::even_most), which takes
/// a look at all files before the first is touched.
///
/// Any number of collections and publishes may go on at the same time, in any number of processes;
/// one that is cut short is made good by the next. Remembers the names of a few thousand files,
/// however many there are. All bytes of a file are in memory only if it is published in the moment in
/// which it is moved, for then it is stored again; of at most eight files at a time.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use registry_core::{Index, gc::{GcOptions, collect}, store::CrateUpkeep};
///
/// # async fn program(
/// #     crates: impl CrateUpkeep, index: Arc<dyn Index>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let day = GcOptions::new(Duration::from_secs(24 * 60 * 60));
/// let collection = collect(&crates, &[index], &day, |_, _| {}).await?;
/// println!("{} bytes are free", collection.purged.bytes);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`GcError`] if a backend fails as a whole, or names nothing or too little. What was done until then
/// stays.
pub async fn collect(
    crates: &dyn CrateUpkeep,
    indexes: &[Arc<dyn Index>],
    options: &GcOptions,
    mut report: impl FnMut(&Step<'_>, &Collection) + Send,
) -> Result<Collection, GcError> {
    if !names::has_crates(indexes).await? {
        // A registry that nothing was ever published to has no garbage.
        return match has_files(crates).await? {
            false => Ok(Collection::default()),
            true => Err(GcError::NoCrates),
        };
    }
    let run = Run { crates, indexes, options };
    if !options.dry_run && !options.even_most {
        let dry = GcOptions { dry_run: true, ..*options };
        let would = Run { options: &dry, ..run }.all(|_, _| {}).await?;
        let (garbage, named) = (would.garbage(), would.named.files + would.put_back.files);
        if garbage > named {
            return Err(GcError::MostUnnamed { garbage, named });
        }
    }
    run.all(&mut report).await
}

async fn has_files(crates: &dyn CrateUpkeep) -> Result<bool, StoreError> {
    let stored = crates.list().try_next().await?;
    Ok(stored.is_some() || crates.list_aside().try_next().await?.is_some())
}

/// A collection under way.
#[derive(Clone, Copy)]
struct Run<'a> {
    crates: &'a dyn CrateUpkeep,
    indexes: &'a [Arc<dyn Index>],
    options: &'a GcOptions,
}

enum File {
    Stored(StoredCrate),
    Aside(AsideCrate),
}

impl File {
    fn key(&self) -> &CrateKey {
        match self {
            Self::Stored(stored) => &stored.key,
            Self::Aside(entry) => &entry.key,
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Stored(stored) => stored.size,
            Self::Aside(entry) => entry.size,
        }
    }
}

struct Done {
    key: CrateKey,
    size: u64,
    outcome: Outcome,
}

impl Run<'_> {
    async fn all(
        self,
        mut report: impl FnMut(&Step<'_>, &Collection) + Send,
    ) -> Result<Collection, GcError> {
        let mut collection = Collection::default();
        let mut tell = |Done { key, size, outcome }| {
            let step = Step { key: &key, size, outcome };
            collection.count(&step);
            report(&step, &collection);
        };
        // First what makes room.
        self.each(self.crates.list_aside().map_ok(File::Aside), &mut tell).await?;
        self.each(self.crates.list().map_ok(File::Stored), &mut tell).await?;
        Ok(collection)
    }

    async fn each(
        self,
        files: impl Stream<Item = Result<File, StoreError>> + Send,
        tell: &mut (impl FnMut(Done) + Send),
    ) -> Result<(), GcError> {
        let mut held = std::pin::pin!(files.try_chunks(HELD));
        while let Some(files) = held.next().await {
            let files = files.map_err(|failed| failed.1)?;
            let mut done = stream::iter(by_crate(files))
                .map(|(name, files)| self.of_crate(name, files))
                .buffer_unordered(AT_ONCE);
            while let Some(of_crate) = done.try_next().await? {
                of_crate.into_iter().for_each(&mut *tell);
            }
        }
        Ok(())
    }

    async fn of_crate(self, name: CanonicalName, files: Vec<File>) -> Result<Vec<Done>, GcError> {
        let GcOptions { older_than, now, .. } = *self.options;
        let depends = files.iter().any(|file| match file {
            File::Stored(_) => true,
            File::Aside(entry) => {
                OfAside::depends_on_index(entry.reason, entry.since, now, older_than)
            }
        });
        let named = match depends {
            true => names::checksums(self.indexes, &name).await?,
            false => Some(HashSet::new()),
        };
        let mut done = Vec::with_capacity(files.len());
        for file in files {
            let outcome = match (&named, &file) {
                (_, File::Aside(entry)) if entry.reason == AsideReason::Damaged => {
                    Ok(Outcome::Damaged)
                }
                (None, _) => Ok(Outcome::InDoubt),
                (Some(named), File::Stored(stored)) => self.of_stored(&name, stored, named).await,
                (Some(named), File::Aside(entry)) => self.of_aside(entry, named).await,
            };
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(Failure::Of(error)) => Outcome::Failed(error),
                Err(Failure::OfAll(error)) => return Err(error),
            };
            done.push(Done { key: file.key().clone(), size: file.size(), outcome });
        }
        Ok(done)
    }

    async fn of_stored(
        self,
        name: &CanonicalName,
        stored: &StoredCrate,
        named: &HashSet<Checksum>,
    ) -> Result<Outcome, Failure> {
        let GcOptions { older_than, now, dry_run, .. } = *self.options;
        let (key, is_named) = (&stored.key, named.contains(&stored.key.checksum));
        let decide = |modified| OfStored::decide(modified, is_named, now, older_than);
        match decide(stored.modified) {
            OfStored::Named => return Ok(Outcome::Named),
            OfStored::Young => return Ok(Outcome::Young),
            OfStored::SetAside if dry_run => return Ok(Outcome::SetAside),
            OfStored::SetAside => {}
        }
        // It is some time since the listing came by: a publish may have stored it again.
        match self.of_store(self.crates.head(key).await).await? {
            Some(stored) if decide(stored.modified) == OfStored::SetAside => {}
            _ => return Ok(Outcome::Young),
        }
        let moved = self.crates.set_aside(key, AsideReason::Unnamed).await;
        // A publish that stored it before it was moved may have come to its commit meanwhile.
        let named = names::checksums(self.indexes, name).await.map_err(GcError::from)?;
        let is_named = named.is_none_or(|named| named.contains(&key.checksum));
        if is_named {
            // The entry stays: a removal that comes late may still hit what is in the place now.
            self.of_store(renew(self.crates, key).await).await?;
        }
        self.of_store(moved).await?;
        Ok(if is_named { Outcome::PutBack } else { Outcome::SetAside })
    }

    async fn of_aside(
        self,
        entry: &AsideCrate,
        named: &HashSet<Checksum>,
    ) -> Result<Outcome, Failure> {
        let GcOptions { older_than, now, dry_run, .. } = *self.options;
        let is_named = named.contains(&entry.key.checksum);
        let outcome = match OfAside::decide(entry.reason, entry.since, is_named, now, older_than) {
            OfAside::Damaged => return Ok(Outcome::Damaged),
            OfAside::Waiting => return Ok(Outcome::Waiting),
            OfAside::PutBack => Outcome::PutBack,
            OfAside::Purge => Outcome::Purged,
        };
        let ended = match outcome {
            _ if dry_run => Ok(()),
            Outcome::PutBack => bring_back(self.crates, entry).await,
            _ => self.crates.purge(entry).await,
        };
        self.of_store(ended).await.map(|()| outcome)
    }

    /// Tells a failure of one file from that of the whole store.
    async fn of_store<T>(self, result: Result<T, StoreError>) -> Result<T, Failure> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => match of_one_file(self.crates, error).await {
                Ok(error) => Err(Failure::Of(error)),
                Err(error) => Err(Failure::OfAll(error.into())),
            },
        }
    }
}

enum Failure {
    Of(StoreError),
    OfAll(GcError),
}

impl From<GcError> for Failure {
    fn from(error: GcError) -> Self {
        Self::OfAll(error)
    }
}

/// The files of each crate, in their order.
fn by_crate(files: Vec<File>) -> Vec<(CanonicalName, Vec<File>)> {
    let mut files: Vec<_> =
        files.into_iter().map(|file| (file.key().name.canonical(), file)).collect();
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut crates: Vec<(CanonicalName, Vec<File>)> = Vec::new();
    for (name, file) in files {
        match crates.last_mut() {
            Some((last, of_crate)) if *last == name => of_crate.push(file),
            _ => crates.push((name, vec![file])),
        }
    }
    crates
}

/// Why a collection did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GcError {
    /// There are files, and no crate in any index: rather the wrong index than a store full of
    /// garbage.
    #[error("the index names no crate at all, so that every file would be garbage")]
    NoCrates,
    /// More files would go than stay: rather one index too few than so much garbage.
    #[error(
        "{garbage} files would be put aside or purged, and only {named} are named by the index: is it \
         that of these files, and is none left out? If so, allow it by `even-most`"
    )]
    MostUnnamed {
        /// Files that would be put aside or purged.
        garbage: u64,
        /// Files that a line names.
        named: u64,
    },
    /// An index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The crate store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

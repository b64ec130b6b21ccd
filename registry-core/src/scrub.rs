//! Checking every stored file, and mending what can be: [`Scrub`].

mod mend;
mod report;

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroUsize,
    sync::Arc,
    time::SystemTime,
};

use futures_util::{StreamExt as _, TryStreamExt as _, future::ready, stream};

pub use self::{
    mend::quarantine,
    report::{AsideState, Finding, OrphanState, Remedy, Scrubbed},
};
use crate::{
    causes::causes,
    index::{self, Index, IndexError},
    name::CanonicalName,
    record::{CrateRecord, ReleaseRecord},
    registry::{Problem, Runtime, VerifyError},
    store::{
        AsideCrate, AsideReason, Checked, Collector, CrateKey, CrateStore, CrateUpkeep, Digest,
        SpoolFolder, StoredCrate, check,
    },
};

/// How many files are read at the same time: most of the time goes by waiting for what they are
/// kept in.
const AT_ONCE: usize = 8;

/// Checks every file of a store: those that lines of its indexes name, those that no line names, and
/// those that are aside.
///
/// Reads every stored byte, as a stream; publishes, downloads and a garbage collection may go on
/// meanwhile. Remembers 16 bytes of each file that a line names, which is up to 72 MB for two
/// million. By itself it changes nothing.
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{memory::{MemoryCrateStore, MemoryIndex}, scrub::Scrub};
///
/// # async fn program() -> Result<(), Box<dyn std::error::Error>> {
/// let (crates, copy) = (MemoryCrateStore::new(), MemoryCrateStore::new());
/// let indexes: [Arc<dyn registry_core::Index>; 1] = [Arc::new(MemoryIndex::new())];
/// let scrub = Scrub::new(crates, indexes).with_quarantine().with_repair_from(copy);
/// let scrubbed = scrub.run(|so_far, finding| {
///     if let Some(finding) = finding {
///         eprintln!("{finding}");
///     }
///     eprintln!("{} files checked", so_far.named.files);
/// });
/// assert_eq!(scrubbed.await?.wrong, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Scrub {
    store: Arc<dyn CrateUpkeep>,
    indexes: Arc<[Arc<dyn Index>]>,
    quarantines: bool,
    source: Option<Arc<dyn CrateStore>>,
    collector: Collector,
    now: Option<SystemTime>,
}

impl Scrub {
    /// Checks `store`. A file is an orphan if no line in any of `indexes` names it: give all those
    /// whose registries share the store.
    pub fn new(store: impl CrateUpkeep, indexes: impl IntoIterator<Item = Arc<dyn Index>>) -> Self {
        let indexes = indexes.into_iter().collect();
        let (store, collector) = (Arc::new(store), Collector::default());
        Self { store, indexes, quarantines: false, source: None, collector, now: None }
    }

    /// Puts damaged files aside that a line names: they are refused from then on, and not handed out
    /// damaged. A file is read once more before.
    ///
    /// Puts back, too, what is aside and should not be: a file that a line names, or one that was
    /// taken for damaged and is not. What was put aside in the last hour is copied back, and stays
    /// aside as well. Purges damaged files that have been aside for longer while there is a whole one
    /// in their place.
    pub fn with_quarantine(self) -> Self {
        Self { quarantines: true, ..self }
    }

    /// Puts files anew that a line names and that are missing or damaged, as `source` has them, if
    /// their checksum there is right. One file at a time is in memory for that, unless there is a
    /// [spool](Self::with_spool).
    ///
    /// The damaged copy is replaced, if it is in its place. Puts back what is aside and should not
    /// be, as [`Scrub::with_quarantine`].
    pub fn with_repair_from(self, source: impl CrateStore) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Collects files of more than 1 MiB in a folder on their way into the store, rather than in memory.
    ///
    /// In the file system of a store that is a folder, so that they are renamed and not copied.
    pub fn with_spool(self, folder: SpoolFolder, runtime: impl Runtime) -> Self {
        Self { collector: Collector::with_spool(folder, Arc::new(runtime)), ..self }
    }

    /// Takes `now` for the time at which it runs. Default: when that is.
    pub fn at(self, now: SystemTime) -> Self {
        Self { now: Some(now), ..self }
    }

    /// Checks everything. `report` is told after each file how far it is, and what was found if all
    /// is not well with it.
    ///
    /// # Errors
    /// [`VerifyError`] if a backend fails as a whole: then nothing is known of what was not
    /// reported.
    pub async fn run(
        &self,
        report: impl FnMut(&Scrubbed, Option<&Finding>) + Send,
    ) -> Result<Scrubbed, VerifyError> {
        let (named, scrubbed) = (Named::default(), Scrubbed::default());
        let mut run = Run { scrub: self, named, scrubbed, report };
        // What can be put back by itself need not be fetched.
        run.look_aside().await?;
        for index in &*self.indexes {
            run.check_lines(index).await?;
        }
        run.check_rest().await?;
        if self.mends() {
            run.purge_replaced().await?;
        }
        Ok(run.scrubbed)
    }

    /// Whether a line names this file; `None` if that cannot be told.
    async fn is_named(&self, key: &CrateKey) -> Result<Option<bool>, IndexError> {
        let name = key.name.canonical();
        for index in &*self.indexes {
            match load(&**index, &name).await? {
                Ok(record) if files_of(&record).any(|(named, _)| named == *key) => {
                    return Ok(Some(true));
                }
                Ok(_) | Err(Problem::NoRecord { .. }) => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(false))
    }

    /// What is the matter with a file that is aside, if anything is.
    async fn look_at_aside(&self, entry: &AsideCrate) -> Result<Option<AsideState>, VerifyError> {
        Ok(match entry.reason {
            AsideReason::Unnamed => {
                let is_named = self.is_named(&entry.key).await? == Some(true);
                is_named.then_some(AsideState::Named)
            }
            AsideReason::Damaged => match self.store.open_aside(entry).await? {
                None => None,
                // One that cannot be read is no better than a damaged one.
                Some(file) => Some(match Digest::of(file).await {
                    Ok(digest) if digest.is_of(&entry.key, None) => AsideState::Whole,
                    _ => AsideState::Damaged,
                }),
            },
        })
    }

    async fn look_at_rest(&self, stored: &StoredCrate) -> Result<Rest, VerifyError> {
        Ok(match self.is_named(&stored.key).await? {
            None => Rest::Unknown,
            // By a publish that has ended since.
            Some(true) => Rest::Named(check(&self.store, &stored.key, Some(stored.size)).await?),
            Some(false) => match check(&self.store, &stored.key, None).await? {
                Checked::Whole => Rest::Orphan(OrphanState::Whole),
                Checked::Damaged => Rest::Orphan(OrphanState::Damaged),
                Checked::Unreadable(error) => Rest::Orphan(OrphanState::Unreadable(causes(&error))),
                Checked::Missing | Checked::Quarantined => Rest::Unknown,
            },
        })
    }

    fn now(&self) -> SystemTime {
        self.now.unwrap_or_else(SystemTime::now)
    }

    fn mends(&self) -> bool {
        self.quarantines || self.source.is_some()
    }
}

/// A file that no line was seen to name.
enum Rest {
    Orphan(OrphanState),
    Named(Checked),
    /// It is gone since, or a record that may name it cannot be read.
    Unknown,
}

/// A scrub under way.
struct Run<'a, R> {
    scrub: &'a Scrub,
    named: Named,
    scrubbed: Scrubbed,
    report: R,
}

impl<R: FnMut(&Scrubbed, Option<&Finding>) + Send> Run<'_, R> {
    async fn look_aside(&mut self) -> Result<(), VerifyError> {
        let scrub = self.scrub.clone();
        let looks = self.scrub.store.list_aside().map_err(VerifyError::from).map_ok(|entry| {
            let scrub = scrub.clone();
            async move {
                let state = scrub.look_at_aside(&entry).await?;
                Ok((entry, state))
            }
        });
        let mut looks = looks.try_buffer_unordered(AT_ONCE);
        while let Some((entry, state)) = looks.try_next().await? {
            self.scrubbed.aside += entry.size;
            let finding = match state {
                None => None,
                Some(state) => {
                    let mut remedies = Vec::new();
                    if state != AsideState::Damaged && self.scrub.mends() {
                        let (remedy, is_aside) = self.scrub.bring_back(&entry).await;
                        remedies.push(remedy);
                        if !is_aside {
                            self.scrubbed.aside -= entry.size;
                        }
                    }
                    Some(Finding::Aside { entry, state, remedies })
                }
            };
            (self.report)(&self.scrubbed, finding.as_ref());
        }
        Ok(())
    }

    /// Checks every file that a line of `index` names, unless one of another index did already.
    async fn check_lines(&mut self, index: &Arc<dyn Index>) -> Result<(), VerifyError> {
        let names = index::all_names(&**index).await?;
        let loads = stream::iter(names).map(|name| {
            let index = index.clone();
            async move { load(&*index, &name).await }
        });
        let lines = loads.buffered(AT_ONCE).map_ok(|record| {
            let files = match record {
                Ok(record) => files_of(&record).map(Ok).collect(),
                Err(problem) => vec![Err(problem)],
            };
            stream::iter(files.into_iter().map(Ok::<_, IndexError>))
        });
        let (store, named) = (self.scrub.store.clone(), &mut self.named);
        let files = lines.try_flatten().map_err(VerifyError::from).try_filter(|file| {
            let is_new = file.as_ref().map_or(true, |(key, _)| named.insert(key));
            ready(is_new)
        });
        let checks = files.map_ok(|file| {
            let store = store.clone();
            async move {
                Ok::<_, VerifyError>(match file {
                    Ok((key, release)) if release.state.is_downloadable() => {
                        let checked = check(&store, &key, Some(release.size)).await?;
                        Some(Ok((key, release.size, checked)))
                    }
                    Ok(_) => None,
                    Err(problem) => Some(Err(problem)),
                })
            }
        });
        let mut checks = Box::pin(checks.try_buffer_unordered(AT_ONCE));
        while let Some(checked) = checks.try_next().await? {
            let finding = match checked {
                None => continue,
                Some(Ok((key, size, checked))) => {
                    self.scrubbed.named += size;
                    self.scrub.see_to(&key, size, checked).await?
                }
                Some(Err(problem)) => Some(Finding::Broken { problem, remedies: vec![] }),
            };
            self.scrubbed.count(finding.as_ref());
            (self.report)(&self.scrubbed, finding.as_ref());
        }
        Ok(())
    }

    /// Looks at every file that no line was seen to name.
    async fn check_rest(&mut self) -> Result<(), VerifyError> {
        let (scrub, named) = (self.scrub.clone(), &self.named);
        let rest = self.scrub.store.list().map_err(VerifyError::from);
        let rest = rest.try_filter(|stored| ready(!named.contains(&stored.key)));
        let looks = rest.map_ok(|stored| {
            let scrub = scrub.clone();
            async move {
                let rest = scrub.look_at_rest(&stored).await?;
                Ok((stored, rest))
            }
        });
        let mut looks = looks.try_buffer_unordered(AT_ONCE);
        while let Some((stored, rest)) = looks.try_next().await? {
            let finding = match rest {
                Rest::Unknown => continue,
                Rest::Orphan(state) => {
                    self.scrubbed.orphans += stored.size;
                    Some(Finding::Orphan { file: stored, state })
                }
                Rest::Named(checked) => {
                    self.scrubbed.named += stored.size;
                    self.scrub.see_to(&stored.key, stored.size, checked).await?
                }
            };
            self.scrubbed.count(finding.as_ref());
            (self.report)(&self.scrubbed, finding.as_ref());
        }
        Ok(())
    }

    /// Removes the damaged files that have been aside for long while there is a whole one in their
    /// place. The young ones tell whoever puts a file that a removal may be under way.
    async fn purge_replaced(&mut self) -> Result<(), VerifyError> {
        let (store, now) = (&self.scrub.store, self.scrub.now());
        let mut entries = store.list_aside();
        while let Some(entry) = entries.try_next().await? {
            if entry.reason == AsideReason::Damaged
                && !entry.may_be_moving(now)
                && let Checked::Whole = check(store, &entry.key, None).await?
            {
                store.purge(&entry).await?;
                self.scrubbed.aside -= entry.size;
            }
        }
        Ok(())
    }
}

/// The files that a record names, and that are kept.
fn files_of(record: &CrateRecord) -> impl Iterator<Item = (CrateKey, Arc<ReleaseRecord>)> {
    let kept = record.releases().iter().filter(|release| release.state.keeps_file());
    kept.map(|release| {
        let (name, version) = (record.name().clone(), release.version().clone());
        (CrateKey { name, version, checksum: release.line.checksum() }, release.clone())
    })
}

/// The record of a crate, or what is wrong with it.
async fn load(
    index: &dyn Index,
    name: &CanonicalName,
) -> Result<Result<CrateRecord, Problem>, IndexError> {
    match index.load(name, None).await {
        Ok(stored) => Ok(match stored.found().map(|stored| stored.record) {
            Some(record) if record.name().canonical() == *name => Ok(record),
            Some(record) => {
                Err(Problem::OtherCrate { name: name.clone(), found: record.name().clone() })
            }
            None => Err(Problem::NoRecord { name: name.clone() }),
        }),
        Err(error) => {
            // If the index answers at all, it is this crate that is damaged.
            index.names(None, NonZeroUsize::MIN).await?;
            Ok(Err(Problem::Unreadable { name: name.clone(), reason: causes(&error) }))
        }
    }
}

/// The files that lines were seen to name, by 16 bytes of each, which nobody can foresee.
#[derive(Default)]
struct Named {
    seen: HashSet<u128>,
    keys: [RandomState; 2],
}

impl Named {
    fn mark(&self, key: &CrateKey) -> u128 {
        let [high, low] = self.keys.each_ref().map(|state| u128::from(state.hash_one(key)));
        high << 64 | low
    }

    /// Whether it is new.
    fn insert(&mut self, key: &CrateKey) -> bool {
        self.seen.insert(self.mark(key))
    }

    fn contains(&self, key: &CrateKey) -> bool {
        self.seen.contains(&self.mark(key))
    }
}

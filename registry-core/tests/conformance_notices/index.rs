use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, CrateRecord, ETag, Index, IndexError, IndexFile, RecordIndex,
    conformance::{Bench, index},
    index::{Lookup, Revision, Stored},
    memory::MemoryIndex,
    record::{About, Change, ChangeKind, ReleaseRecord, ReleaseState},
};

use super::{
    notices, passed,
    record_store::{BrokenRecords, RecordDefect},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    Overwrites,
    LooksThenWrites,
    WritesInSteps,
    AnswersTooEarly,
    LandsLate,
    ForgetsAbout,
    ListsEveryRelease,
    CutsSizes,
    KeepsAThousandReleases,
    AppendsImports,
    SortsReleases,
    RewritesLines,
    NeverUnchanged,
    AlwaysUnchanged,
    KnowsNoRevision,
    KnowsEveryRevision,
    RevisionOfTheFile,
    ETagOfTheRevision,
    RepeatsAName,
    SortsNamesBackwards,
    ListsPagesOfOneMore,
    FailsToReplace,
}

/// Memory with a defect.
#[derive(Clone, Debug)]
struct BrokenIndex {
    inner: MemoryIndex,
    defect: Defect,
    reads: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
    late: Arc<Mutex<Vec<(Change, CrateRecord)>>>,
}

/// Remembers a commit that is abandoned.
struct Late<'a>(&'a BrokenIndex, Option<(Change, CrateRecord)>);

impl Drop for Late<'_> {
    fn drop(&mut self) {
        self.0.late.lock().unwrap().extend(self.1.take());
    }
}

impl BrokenIndex {
    fn new(defect: Defect) -> Self {
        Self {
            inner: MemoryIndex::new(),
            defect,
            reads: Arc::default(),
            looks: Arc::default(),
            late: Arc::default(),
        }
    }

    async fn overwrite(&self, change: &Change, next: &CrateRecord) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        loop {
            let there = self.inner.load(&name, None).await?.found().map(|stored| stored.revision);
            match self.inner.commit(there.as_ref(), change, next).await {
                Err(IndexError::Conflict { .. }) => {}
                result => return result,
            }
        }
    }

    fn altered(&self, record: &CrateRecord) -> CrateRecord {
        let mut about = record.about().clone();
        let mut releases = record.releases().to_vec();
        match self.defect {
            Defect::ForgetsAbout => about = About::default(),
            Defect::SortsReleases => releases.sort_by(|a, b| a.version().cmp(b.version())),
            Defect::KeepsAThousandReleases => releases.truncate(1000),
            Defect::ListsEveryRelease | Defect::CutsSizes => {
                for release in &mut releases {
                    let mut altered = ReleaseRecord::clone(release);
                    match self.defect {
                        Defect::CutsSizes => altered.size &= 0xffff_ffff,
                        _ if altered.state.is_listed() => {}
                        _ => altered.state = ReleaseState::Published,
                    }
                    *release = Arc::new(altered);
                }
            }
            Defect::RewritesLines => {
                for release in &mut releases {
                    if let Ok(entry) = release.line.to_entry() {
                        let line = entry.to_line();
                        *release =
                            Arc::new(ReleaseRecord { line, ..ReleaseRecord::clone(release) });
                    }
                }
            }
            _ => {}
        }
        CrateRecord::from_parts(record.name().clone(), record.owners().clone(), about, releases)
            .unwrap()
    }
}

#[async_trait]
impl Index for BrokenIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let asked = if self.defect == Defect::NeverUnchanged { None } else { known };
        let mut lookup = self.inner.index_file(name, asked).await?;
        if self.defect == Defect::AlwaysUnchanged && known.is_some() && lookup != Lookup::Absent {
            lookup = Lookup::Unchanged;
        }
        if let (Defect::ETagOfTheRevision, Lookup::Found(file)) = (self.defect, &mut lookup) {
            let revision = self.inner.load(name, None).await?.found().unwrap().revision;
            file.etag = ETag::of(revision.as_str().as_bytes());
        }
        Ok(lookup)
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let lookup = match self.defect {
            Defect::KnowsNoRevision => self.inner.load(name, None).await?,
            Defect::RevisionOfTheFile => {
                let found = self.inner.load(name, None).await?.found().map(|stored| Stored {
                    revision: revision_of_the_file(&stored.record),
                    ..stored
                });
                Lookup::of_stored(found, known)
            }
            _ => self.inner.load(name, known).await?,
        };
        match (self.defect, known, lookup) {
            (Defect::KnowsEveryRevision, Some(_), Lookup::Found(_)) => Ok(Lookup::Unchanged),
            (.., lookup) => Ok(lookup),
        }
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        match self.defect {
            Defect::Overwrites => self.overwrite(change, next).await,
            Defect::LooksThenWrites => {
                let there =
                    self.inner.load(&name, None).await?.found().map(|stored| stored.revision);
                if there.as_ref() != expected {
                    return Err(IndexError::Conflict { name });
                }
                // Another writer, if there is one, has looked as well.
                let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
                passed(&self.looks, looks).await;
                self.overwrite(change, next).await
            }
            Defect::WritesInSteps => {
                let first = CrateRecord::from_parts(
                    next.name().clone(),
                    next.owners().clone(),
                    About { homepage: Some("half".into()), ..About::default() },
                    next.releases().to_vec(),
                );
                let revision = self.inner.commit(expected, change, &first.unwrap()).await?;
                tokio::task::yield_now().await;
                self.inner.commit(Some(&revision), change, next).await
            }
            Defect::AnswersTooEarly => {
                let there =
                    self.inner.load(&name, None).await?.found().map(|stored| stored.revision);
                if there.as_ref() != expected {
                    return Err(IndexError::Conflict { name });
                }
                let (inner, change, next) = (self.inner.clone(), change.clone(), next.clone());
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    inner.commit(there.as_ref(), &change, &next).await
                });
                Ok(Revision::from("soon"))
            }
            Defect::LandsLate => {
                let mut late = Late(self, Some((change.clone(), next.clone())));
                tokio::task::yield_now().await;
                late.1 = None;
                let revision = self.inner.commit(expected, change, next).await?;
                let abandoned = std::mem::take(&mut *self.late.lock().unwrap());
                for (change, next) in abandoned {
                    self.overwrite(&change, &next).await?;
                }
                Ok(revision)
            }
            Defect::AppendsImports => match (&change.kind, self.inner.load(&name, None).await?) {
                (ChangeKind::Imported(releases), Lookup::Found(stored)) => {
                    let old = stored.record;
                    let added = releases.iter().filter(|r| old.release(r.version()).is_none());
                    let releases = old.releases().iter().chain(added).cloned().collect();
                    let (owners, about) = (old.owners().clone(), old.about().clone());
                    let next = CrateRecord::from_parts(old.name().clone(), owners, about, releases);
                    self.inner.commit(expected, change, &next.unwrap()).await
                }
                _ => self.inner.commit(expected, change, next).await,
            },
            Defect::RevisionOfTheFile => {
                let there = self.inner.load(&name, None).await?.found();
                let revision = there.as_ref().map(|there| revision_of_the_file(&there.record));
                if revision.as_ref() != expected {
                    return Err(IndexError::Conflict { name });
                }
                self.overwrite(change, next).await?;
                Ok(revision_of_the_file(next))
            }
            Defect::FailsToReplace if expected.is_some() => {
                // Until the readers of the test are at work, which must not hide the failure.
                while self.reads.load(Ordering::Relaxed) < 1000 {
                    tokio::task::yield_now().await;
                }
                Err(IndexError::Backend { backend: "broken", source: "no".into() })
            }
            _ => self.inner.commit(expected, change, &self.altered(next)).await,
        }
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let mut names = match self.defect {
            Defect::ListsPagesOfOneMore => self.inner.names(after, limit.saturating_add(1)).await?,
            _ => self.inner.names(after, limit).await?,
        };
        match self.defect {
            Defect::RepeatsAName if names.len() > 1 => names[1] = names[0].clone(),
            Defect::SortsNamesBackwards => names.reverse(),
            _ => {}
        }
        Ok(names)
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.inner.ready().await
    }
}

fn revision_of_the_file(record: &CrateRecord) -> Revision {
    Revision::from(format!("{:?} {}", record.owners(), record.index_file().etag.as_str()))
}

#[test]
fn of_an_index() {
    use Defect::*;

    let broken = |defect| Bench::volatile(BrokenIndex::new(defect), index::share);
    notices! { index, broken;
        Overwrites => creating_is_refused_where_a_record_is, replacing_is_refused_where_no_record_is,
            replacing_is_refused_with_an_old_revision,
            replacing_is_refused_with_a_revision_of_another_crate, one_of_many_first_publishes_wins,
            no_concurrent_change_is_lost;
        LooksThenWrites => one_of_many_first_publishes_wins, no_concurrent_change_is_lost;
        WritesInSteps => an_abandoned_commit_leaves_the_old_or_the_new_record,
            an_abandoned_first_commit_is_whole_or_absent;
        LandsLate => a_commit_of_unknown_outcome_has_one_effect;
        AnswersTooEarly => every_change_comes_back_whole;
        ForgetsAbout => every_change_comes_back_whole, unusual_texts_come_back_verbatim;
        SortsReleases => many_versions_keep_their_order, every_change_comes_back_whole;
        ListsEveryRelease => every_state_comes_back_whole;
        CutsSizes => values_at_their_limits_come_back_whole;
        KeepsAThousandReleases => five_thousand_versions_come_back_whole;
        AppendsImports => an_import_comes_back_whole;
        RewritesLines => unusual_texts_come_back_verbatim;
        NeverUnchanged => a_known_etag_is_answered_unchanged;
        AlwaysUnchanged => a_known_etag_is_answered_unchanged;
        KnowsNoRevision => a_known_revision_is_answered_unchanged;
        KnowsEveryRevision => a_known_revision_is_answered_unchanged;
        RevisionOfTheFile => no_revision_comes_back;
        ETagOfTheRevision => an_etag_changes_only_if_the_bytes_do;
        RepeatsAName => names_are_listed_in_pages;
        SortsNamesBackwards => names_are_listed_in_pages;
        ListsPagesOfOneMore => names_are_listed_in_pages;
        FailsToReplace => readers_see_whole_states_in_order;
    }
}

#[test]
fn of_an_index_over_a_record_store() {
    use RecordDefect::*;

    let over = |defect| RecordIndex::new(Arc::new(BrokenRecords::new(defect)));
    let broken = |defect| Bench::volatile(over(defect), index::share);
    notices! { index, broken;
        IsNotReady => a_new_index_is_ready_and_empty;
        CutsNames(3) => crates_do_not_touch_each_other, unknown_names_are_absent;
        CutsNames(63) => names_at_their_limits_are_kept;
        PagesByOffset => a_listing_keeps_up_with_inserts;
    }
    // Each handle is an index of its own.
    let apart = |defect| Bench::durable(async move || over(defect), index::share);
    notices! { index, apart;
        None => everything_is_there_after_a_restart, two_handles_see_each_other,
            two_handles_take_turns_at_many_crates, two_handles_do_not_overwrite_each_other;
    }
    let shared = |defect| {
        let index = over(defect);
        Bench::durable(async move || index.clone(), index::share)
    };
    notices! { index, shared;
        LooksThenWrites => two_handles_do_not_overwrite_each_other;
    }
}

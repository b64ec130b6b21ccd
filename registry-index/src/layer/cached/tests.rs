//! What is kept and when it is used, call by call.

mod model;
mod stage;

use std::{
    num::NonZeroUsize,
    pin::{Pin, pin},
};

use registry_core::{
    conformance::record_fixture::{add_owner, canonical, first, line, owner, publish},
    record::{Origin, ReleaseRecord, Transition},
};

use self::stage::{Call, Gone, Stage, Step, advance, clock, once};
use super::*;

const BYTES: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

fn cached(stage: &Stage) -> CachedIndex<Stage> {
    CachedIndex { now: clock, ..CachedIndex::new(stage.clone(), BYTES) }
}

/// Two states of one crate, with the steps to them.
struct Foo {
    name: CanonicalName,
    old: Transition,
    new: Transition,
}

impl Foo {
    fn new() -> Self {
        let old = first("foo", "1.0.0");
        let new = publish(&old.0, "1.1.0");
        Self { name: canonical("foo"), old, new }
    }

    fn old_file(&self) -> Lookup<IndexFile> {
        Lookup::Found(self.old.0.index_file())
    }

    fn new_file(&self) -> Lookup<IndexFile> {
        Lookup::Found(self.new.0.index_file())
    }
}

/// Runs what is done at the first poll.
fn now<T>(future: impl Future<Output = T>) -> T {
    once(pin!(future).as_mut()).expect("nothing to wait for")
}

fn finish<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> T {
    loop {
        if let Some(output) = once(future.as_mut()) {
            return output;
        }
    }
}

fn write(index: &impl Index, revision: Option<&Revision>, step: &Transition) -> Revision {
    now(index.commit(revision, &step.1, &step.0)).unwrap()
}

#[test]
fn without_staleness_each_read_asks_for_what_has_changed() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage);
    let ask = |known: Option<&ETag>| now(index.index_file(&foo.name, known)).unwrap();
    assert_eq!(ask(None), Lookup::Absent);
    let revision = write(&stage.elsewhere(), None, &foo.old);
    assert_eq!(ask(None), foo.old_file());
    assert_eq!(ask(None), foo.old_file());
    assert_eq!(ask(Some(&foo.old.0.index_file().etag)), Lookup::Unchanged);
    write(&stage.elsewhere(), Some(&revision), &foo.new);
    // The asker has what the cache has not, and the other way round.
    assert_eq!(ask(Some(&foo.old.0.index_file().etag)), foo.new_file());
    assert_eq!(ask(Some(&foo.old.0.index_file().etag)), foo.new_file());
    assert_eq!(
        stage.calls(),
        [
            Call::File(Gone::Absent),
            Call::File(Gone::Found),
            Call::File(Gone::Unchanged),
            Call::File(Gone::Unchanged),
            Call::File(Gone::Found),
            Call::File(Gone::Unchanged),
        ]
    );
}

#[test]
fn within_the_staleness_nobody_asks() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let ask = |name| now(index.index_file(&canonical(name), None)).unwrap();
    let revision = write(&stage.elsewhere(), None, &foo.old);
    assert_eq!((ask("foo"), ask("bar")), (foo.old_file(), Lookup::Absent));
    write(&stage.elsewhere(), Some(&revision), &foo.new);
    advance(SECOND);
    assert_eq!((ask("foo"), ask("bar")), (foo.old_file(), Lookup::Absent));
    assert_eq!(stage.calls(), [Call::File(Gone::Found), Call::File(Gone::Absent)]);
    advance(Duration::from_nanos(1));
    assert_eq!((ask("foo"), ask("bar")), (foo.new_file(), Lookup::Absent));
    assert_eq!(stage.calls().len(), 4);
}

#[test]
fn what_is_kept_and_true_is_told_at_once() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let at_once = |known: Option<&ETag>| index.try_index_file(&foo.name, known);
    let revision = write(&stage.elsewhere(), None, &foo.old);
    assert_eq!(at_once(None), None);
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.old_file());
    let etag = foo.old.0.index_file().etag;
    assert_eq!(at_once(None), Some(foo.old_file()));
    assert_eq!(at_once(Some(&etag)), Some(Lookup::Unchanged));
    advance(SECOND + Duration::from_nanos(1));
    assert_eq!(at_once(None), None);
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.old_file());
    write(&index, Some(&revision), &foo.new);
    assert_eq!(at_once(None), None);
    // It never asks.
    let expected = [Call::File(Gone::Found), Call::File(Gone::Unchanged), Call::Commit(true)];
    assert_eq!(stage.calls(), expected);
}

#[test]
fn the_meter_is_told_which_reads_asked() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let told: Arc<std::sync::Mutex<Vec<CacheRead>>> = Arc::default();
    let meter = told.clone();
    let index = cached(&stage).with_staleness(SECOND);
    let index = index.with_meter(move |read| meter.lock().unwrap().push(read));
    let file = || now(index.index_file(&foo.name, None)).unwrap();
    file();
    file();
    advance(SECOND + Duration::from_nanos(1));
    file();
    now(index.load(&foo.name, None)).unwrap();
    let expected = [CacheRead::Miss, CacheRead::Hit, CacheRead::Miss, CacheRead::Miss];
    assert_eq!(*told.lock().unwrap(), expected);
    assert_eq!(stage.calls().len(), 3);
}

#[test]
fn staleness_is_not_for_loads() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let revision = write(&stage.elsewhere(), None, &foo.old);
    let load = || now(index.load(&foo.name, None)).unwrap().found().unwrap();
    assert_eq!(load().record, foo.old.0);
    assert_eq!(load().record, foo.old.0);
    write(&stage.elsewhere(), Some(&revision), &foo.new);
    assert_eq!(load().record, foo.new.0);
    let calls = [Gone::Found, Gone::Unchanged, Gone::Found].map(Call::Load);
    assert_eq!(stage.calls(), calls);
}

#[test]
fn while_nothing_is_written_anywhere_nobody_asks() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let source = stage.clone();
    let index = cached(&stage).with_generation(move || source.generation());
    let file = || now(index.index_file(&foo.name, None)).unwrap();
    let load = || now(index.load(&foo.name, None)).unwrap();
    assert_eq!((file(), load()), (Lookup::Absent, Lookup::Absent));
    assert_eq!((file(), load()), (Lookup::Absent, Lookup::Absent));
    assert_eq!(stage.calls(), [Call::File(Gone::Absent), Call::Load(Gone::Absent)]);

    let revision = write(&stage.elsewhere(), None, &foo.old);
    for _ in 0..2 {
        assert_eq!(file(), foo.old_file());
        let stored = Stored { record: foo.old.0.clone(), revision: revision.clone() };
        assert_eq!(load(), Lookup::Found(stored));
        assert_eq!(now(index.load(&foo.name, Some(&revision))).unwrap(), Lookup::Unchanged);
    }
    assert_eq!(stage.calls()[2..], [Call::File(Gone::Found), Call::Load(Gone::Found)]);

    // Of another crate: it cannot be told from one of this, but nothing is sent again.
    write(&stage.elsewhere(), None, &first("bar", "1.0.0"));
    assert_eq!(file(), foo.old_file());
    assert_eq!(file(), foo.old_file());
    assert_eq!(stage.calls()[4..], [Call::File(Gone::Unchanged)]);

    stage.hide_generation();
    assert_eq!((file(), file()), (foo.old_file(), foo.old_file()));
    assert_eq!(stage.calls()[5..], [Call::File(Gone::Unchanged), Call::File(Gone::Unchanged)]);
}

#[test]
fn a_commit_is_seen_by_the_next_read_through_any_clone() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let clone = index.clone();
    assert_eq!(now(clone.index_file(&foo.name, None)).unwrap(), Lookup::Absent);
    let revision = write(&index, None, &foo.old);
    assert_eq!(now(clone.index_file(&foo.name, None)).unwrap(), foo.old_file());
    write(&clone, Some(&revision), &foo.new);
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.new_file());
}

#[test]
fn what_was_committed_is_not_sent_back() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage);
    let revision = write(&index, None, &foo.old);
    let stored = Stored { record: foo.old.0.clone(), revision };
    assert_eq!(now(index.load(&foo.name, None)).unwrap(), Lookup::Found(stored));
    assert_eq!(stage.calls(), [Call::Commit(true), Call::Load(Gone::Unchanged)]);
}

#[test]
fn a_commit_that_did_not_succeed_drops_what_was_kept() {
    let foo = Foo::new();
    for fault in [Step::FailBefore, Step::FailAfter] {
        let stage = Stage::free();
        let index = cached(&stage).with_staleness(SECOND);
        let revision = write(&index, None, &foo.old);
        assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.old_file());
        stage.next(fault);
        now(index.commit(Some(&revision), &foo.new.1, &foo.new.0)).unwrap_err();
        let expected = if fault == Step::FailAfter { foo.new_file() } else { foo.old_file() };
        assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), expected);
        now(index.load(&foo.name, None)).unwrap();
        // Both were sent again.
        assert_eq!(stage.calls()[3..], [Call::File(Gone::Found), Call::Load(Gone::Found)]);
    }
    // A conflict.
    let stage = Stage::free();
    let index = cached(&stage).with_staleness(SECOND);
    let revision = write(&index, None, &foo.old);
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.old_file());
    write(&stage.elsewhere(), Some(&revision), &foo.new);
    now(index.commit(Some(&revision), &foo.new.1, &foo.new.0)).unwrap_err();
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.new_file());
    // One that is abandoned half way.
    let stage = Stage::held();
    let index = cached(&stage).with_staleness(SECOND);
    write(&stage.elsewhere(), None, &foo.old);
    let mut read = pin!(index.index_file(&foo.name, None));
    assert_eq!(finish(read.as_mut()).unwrap(), foo.old_file());
    let revision = now(stage.elsewhere().load(&foo.name, None)).unwrap().found().unwrap().revision;
    let (next, change) = &foo.new;
    let mut commit = index.commit(Some(&revision), change, next);
    for _ in 0..2 {
        assert!(once(commit.as_mut()).is_none());
    }
    // Readers do not wait for it.
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.old_file());
    drop(commit);
    let mut read = pin!(index.index_file(&foo.name, None));
    assert_eq!(finish(read.as_mut()).unwrap(), foo.new_file());
}

/// A commit of unknown outcome may take place after the answer, and after the reads that follow.
#[test]
fn what_a_load_has_shown_is_not_taken_back() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let revision = write(&index, None, &foo.old);
    stage.next(Step::FailBefore);
    now(index.commit(Some(&revision), &foo.new.1, &foo.new.0)).unwrap_err();
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.old_file());
    write(&stage.elsewhere(), Some(&revision), &foo.new);
    assert_eq!(now(index.load(&foo.name, None)).unwrap().found().unwrap().record, foo.new.0);
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.new_file());
}

#[test]
fn a_read_that_began_before_a_commit_is_not_kept() {
    let (stage, foo) = (Stage::held(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let mut early = index.index_file(&foo.name, None);
    // Held up when it has found nothing and has not said so.
    for _ in 0..2 {
        assert!(once(early.as_mut()).is_none());
    }
    finish(index.commit(None, &foo.old.1, &foo.old.0).as_mut()).unwrap();
    assert_eq!(finish(early.as_mut()).unwrap(), Lookup::Absent);
    assert_eq!(finish(index.index_file(&foo.name, None).as_mut()).unwrap(), foo.old_file());
}

#[test]
fn of_many_readers_one_asks_for_all_who_came_before_it_did() {
    let (stage, foo) = (Stage::held(), Foo::new());
    let index = cached(&stage);
    let mut first_reader = index.index_file(&foo.name, None);
    for _ in 0..2 {
        assert!(once(first_reader.as_mut()).is_none());
    }
    // It has found nothing by now, so its answer is nobody's who comes after this.
    write(&stage.elsewhere(), None, &foo.old);
    let mut readers: Vec<_> = (0..10).map(|_| index.index_file(&foo.name, None)).collect();
    for reader in &mut readers {
        assert!(once(reader.as_mut()).is_none());
    }
    assert_eq!(finish(first_reader.as_mut()).unwrap(), Lookup::Absent);
    for reader in &mut readers {
        assert_eq!(finish(reader.as_mut()).unwrap(), foo.old_file());
    }
    assert_eq!(stage.calls(), [Call::File(Gone::Absent), Call::File(Gone::Found)]);
}

#[test]
fn an_answer_reaches_all_who_wait_also_if_there_is_no_room_for_it() {
    let (stage, foo) = (Stage::held(), Foo::new());
    let index = CachedIndex::new(stage.clone(), 0).with_staleness(SECOND);
    write(&stage.elsewhere(), None, &foo.old);
    let mut readers: Vec<_> = (0..10).map(|_| index.index_file(&foo.name, None)).collect();
    // None begins to ask before all have come.
    let gate = index.cache.files.gates.arrive(&foo.name);
    let turn = now(gate.turn());
    for reader in &mut readers {
        assert!(once(reader.as_mut()).is_none());
    }
    drop(turn);
    for reader in &mut readers {
        assert_eq!(finish(reader.as_mut()).unwrap(), foo.old_file());
    }
    assert_eq!(stage.calls(), [Call::File(Gone::Found)]);
}

#[test]
fn a_failure_is_the_answer_to_those_who_waited_and_to_nobody_else() {
    let (stage, foo) = (Stage::held(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    stage.next(Step::FailBefore);
    let mut readers: Vec<_> = (0..10).map(|_| index.index_file(&foo.name, None)).collect();
    let gate = index.cache.files.gates.arrive(&foo.name);
    let turn = now(gate.turn());
    for reader in &mut readers {
        assert!(once(reader.as_mut()).is_none());
    }
    drop(turn);
    for reader in &mut readers {
        let error = finish(reader.as_mut()).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(error.to_string(), "index backend stage failed");
        assert_eq!(source.as_deref(), Some("told to fail"));
    }
    assert_eq!(stage.calls(), [Call::File(Gone::Failed)]);
    assert_eq!(finish(index.index_file(&foo.name, None).as_mut()).unwrap(), Lookup::Absent);
}

#[test]
fn a_reader_that_goes_away_leaves_its_place_to_the_next() {
    let (stage, foo) = (Stage::held(), Foo::new());
    let index = cached(&stage);
    let mut asking = index.index_file(&foo.name, None);
    let mut next = index.index_file(&foo.name, None);
    assert!(once(asking.as_mut()).is_none() && once(next.as_mut()).is_none());
    drop(asking);
    assert_eq!(finish(next.as_mut()).unwrap(), Lookup::Absent);
    drop(next);
    assert_eq!(index.cache.files.gates.count(), 0);
}

#[test]
fn what_others_declare_untrue_is_asked_for_again() {
    let (stage, foo) = (Stage::held(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let invalidations = index.invalidations();
    let read = |name| finish(index.index_file(&canonical(name), None).as_mut()).unwrap();
    assert_eq!((read("foo"), read("bar")), (Lookup::Absent, Lookup::Absent));
    let revision = write(&stage.elsewhere(), None, &foo.old);
    invalidations.forget(&foo.name);
    assert_eq!((read("foo"), read("bar")), (foo.old_file(), Lookup::Absent));
    assert_eq!(stage.calls().len(), 3);

    // Everything, also what is being read.
    let mut early = index.index_file(&foo.name, None);
    advance(SECOND + SECOND);
    for _ in 0..2 {
        assert!(once(early.as_mut()).is_none());
    }
    write(&stage.elsewhere(), Some(&revision), &foo.new);
    invalidations.forget_all();
    assert_eq!(finish(early.as_mut()).unwrap(), foo.old_file());
    assert_eq!((read("foo"), read("bar")), (foo.new_file(), Lookup::Absent));
    assert_eq!(stage.calls().len(), 6);
}

#[test]
fn what_is_served_from_memory_needs_one_poll_and_no_gate() {
    let (stage, foo) = (Stage::held(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    write(&stage.elsewhere(), None, &foo.old);
    let other = canonical("bar");
    finish(index.index_file(&foo.name, None).as_mut()).unwrap();
    finish(index.index_file(&other, None).as_mut()).unwrap();
    let gate = index.cache.files.gates.arrive(&foo.name);
    let _turn = now(gate.turn());
    assert_eq!(now(index.index_file(&foo.name, None)).unwrap(), foo.old_file());
    let Lookup::Found(one) = now(index.index_file(&foo.name, None)).unwrap() else { panic!() };
    let Lookup::Found(two) = now(index.index_file(&foo.name, None)).unwrap() else { panic!() };
    assert_eq!(one.body.as_ptr(), two.body.as_ptr());
}

#[test]
fn a_failed_listing_or_look_at_the_state_is_passed_on() {
    let stage = Stage::free();
    let index = cached(&stage);
    stage.next(Step::FailBefore);
    now(index.names(None, NonZeroUsize::MIN)).unwrap_err();
    stage.next(Step::FailBefore);
    now(index.ready()).unwrap_err();
    assert_eq!(now(index.names(None, NonZeroUsize::MIN)).unwrap(), []);
    now(index.ready()).unwrap();
}

#[test]
fn the_longest_index_file_fits_into_64_mib() {
    let more = format!(r#","x":"{}""#, "x".repeat((1 << 20) - 300));
    let line = line("foo", "1.0.0", false, &more);
    let body = [line.as_bytes(), &b"\n"[..]].concat().repeat(32);
    assert!(body.len() > CrateRecord::MAX_INDEX_BYTES - (32 << 10));
    let file = IndexFile {
        name: registry_core::CrateName::new("foo").unwrap(),
        etag: ETag::of(&body),
        body: body.into(),
    };
    for mib in [64, 127, 128, 200, 256, 400, 511, 512, 1024, 4096] {
        let cache = CachedIndex::new((), mib << 20).cache;
        let entry = Entry::new(Some(file.clone()), Stamp::default());
        let name = canonical("foo");
        cache.files.keep(&name, cache.files.epoch(&name), entry);
        assert!(cache.files.get(&name).is_some(), "{mib} MiB");
        assert!(cache.files.weight() > file.body.len() as u64);
    }
}

#[test]
fn what_is_kept_stays_within_the_bound() {
    let (stage, foo) = (Stage::free(), Foo::new());
    let index = cached(&stage).with_staleness(SECOND);
    let mut revision = write(&index, None, &foo.old);
    let mut record = foo.old.0.clone();
    let mut fullest = (0, 0);
    for i in 0..2000 {
        let name = canonical(&format!("absent-{i}"));
        now(index.index_file(&name, None)).unwrap();
        now(index.load(&name, None)).unwrap();
        if i % 20 == 0 {
            let release = ReleaseRecord { size: i, ..(*record.releases()[0]).clone() };
            let (next, change) = match i {
                40 => add_owner(&record, owner(2, "bob")),
                _ => {
                    let line = line("foo", &format!("2.0.{i}"), false, "");
                    let release = ReleaseRecord { line, ..release };
                    record
                        .publish(record.name(), record.about().clone(), release, Origin::default())
                        .unwrap()
                }
            };
            revision = now(index.commit(Some(&revision), &change, &next)).unwrap();
            record = next;
            now(index.index_file(&foo.name, None)).unwrap();
        }
        let (files, records) = (index.cache.files.weight(), index.cache.records.weight());
        assert!(files <= BYTES * 3 / 4 && records <= BYTES / 4, "{files} {records}");
        fullest = (files.max(fullest.0), records.max(fullest.1));
    }
    assert!(fullest.0 > BYTES / 4 * 5 / 2 && fullest.1 > BYTES / 5, "{fullest:?}");
}

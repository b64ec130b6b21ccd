//! Reads, commits here and elsewhere, faults, invalidations and abandoned calls, interleaved at
//! random, against a model that knows all states of each crate and when each of them came.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::*};
use registry_core::{
    Index, IndexError,
    conformance::record_fixture::{canonical, first, publish},
    index::{IndexFile, Lookup, Revision, Stored},
    record::{CrateRecord, Transition},
};

use super::{
    CachedIndex, now,
    stage::{Stage, Step, advance, clock},
};

const NAMES: [&str; 2] = ["foo", "bar"];
/// Room for a few entries, so that some are thrown out.
const BYTES: u64 = 8 << 10;

#[derive(Clone, Debug)]
enum Act {
    /// Begins to read an index file, by one who has it as it was at the state of this number.
    Read {
        name: usize,
        known: usize,
    },
    /// The same of the record.
    Load {
        name: usize,
        known: usize,
    },
    /// Begins a commit, decided on the state as it is.
    Commit {
        name: usize,
    },
    CommitElsewhere {
        name: usize,
    },
    /// Lets one of those that are under way go on.
    Poll(usize),
    Abandon(usize),
    Fail(Step),
    Advance(u64),
    Forget {
        name: usize,
    },
    ForgetAll,
}

fn act() -> impl Strategy<Value = Act> {
    let name = || 0..NAMES.len();
    prop_oneof![
        6 => (name(), 0..8_usize).prop_map(|(name, known)| Act::Read { name, known }),
        3 => (name(), 0..8_usize).prop_map(|(name, known)| Act::Load { name, known }),
        3 => name().prop_map(|name| Act::Commit { name }),
        2 => name().prop_map(|name| Act::CommitElsewhere { name }),
        20 => any::<usize>().prop_map(Act::Poll),
        1 => any::<usize>().prop_map(Act::Abandon),
        1 => prop_oneof![Just(Step::FailBefore), Just(Step::FailAfter)].prop_map(Act::Fail),
        2 => (1..60_u64).prop_map(Act::Advance),
        1 => name().prop_map(|name| Act::Forget { name }),
        1 => Just(Act::ForgetAll),
    ]
}

#[derive(Clone, Copy, Debug)]
struct SetUp {
    staleness: Duration,
    generation: bool,
}

fn set_up() -> impl Strategy<Value = SetUp> {
    let staleness = prop_oneof![Just(Duration::ZERO), Just(Duration::from_millis(100))];
    (staleness, any::<bool>()).prop_map(|(staleness, generation)| SetUp { staleness, generation })
}

/// One crate as it really is and was. State 0 is that there is none.
#[derive(Default)]
struct Crate {
    /// With when each came.
    states: Vec<(Stored, Instant)>,
    /// The least state that a read may show that begins now: acknowledged here, shown by a load
    /// here, or in place when everybody was told to look again.
    floor: usize,
}

impl Crate {
    fn record(&self, state: usize) -> Option<&CrateRecord> {
        Some(&self.states[state.checked_sub(1)?].0.record)
    }

    fn revision(&self, state: usize) -> Option<&Revision> {
        Some(&self.states[state.checked_sub(1)?].0.revision)
    }

    fn file(&self, state: usize) -> Option<IndexFile> {
        self.record(state).map(CrateRecord::index_file)
    }
}

type Task = Pin<Box<dyn Future<Output = Outcome>>>;

enum Outcome {
    File(Result<Lookup<IndexFile>, IndexError>),
    Load(Result<Lookup<Stored>, IndexError>),
    /// With the state that is now acknowledged.
    Commit(Result<usize, IndexError>),
}

struct UnderWay {
    task: Task,
    name: usize,
    known: usize,
    /// The least state that it may show.
    floor: usize,
    /// How many calls had failed when it began.
    failures: usize,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct World {
    stage: Stage,
    clones: [CachedIndex<Stage>; 2],
    set_up: SetUp,
    crates: [Crate; 2],
    under_way: Vec<UnderWay>,
    begun: usize,
}

impl World {
    fn new(set_up: SetUp) -> Self {
        let stage = Stage::held();
        let mut index = CachedIndex { now: clock, ..CachedIndex::new(stage.clone(), BYTES) }
            .with_staleness(set_up.staleness);
        if set_up.generation {
            let stage = stage.clone();
            index = index.with_generation(move || stage.generation());
        }
        let clones = [index.clone(), index];
        Self { stage, clones, set_up, crates: Default::default(), under_way: vec![], begun: 0 }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Read { name, known } => {
                let (index, of) = (self.next_clone(), canonical(NAMES[name]));
                let known = known.min(self.crates[name].states.len());
                let etag = self.crates[name].file(known).map(|file| file.etag);
                let floor = self.file_floor(name);
                self.begin(name, known, floor, async move {
                    Outcome::File(index.index_file(&of, etag.as_ref()).await)
                });
            }
            Act::Load { name, known } => {
                let (index, of) = (self.next_clone(), canonical(NAMES[name]));
                let known = known.min(self.crates[name].states.len());
                let revision = self.crates[name].revision(known).cloned();
                let floor = self.crates[name].states.len();
                self.begin(name, known, floor, async move {
                    Outcome::Load(index.load(&of, revision.as_ref()).await)
                });
            }
            Act::Commit { name } => {
                let (index, (revision, (next, change))) = (self.next_clone(), self.next_step(name));
                self.begin(name, 0, 0, async move {
                    let result = index.commit(revision.as_ref(), &change, &next).await;
                    Outcome::Commit(result.map(|_| next.releases().len()))
                });
            }
            Act::CommitElsewhere { name } => {
                let (revision, (next, change)) = self.next_step(name);
                let commit = self.stage.elsewhere();
                now(commit.commit(revision.as_ref(), &change, &next)).unwrap();
            }
            Act::Poll(which) if !self.under_way.is_empty() => {
                self.poll(which % self.under_way.len());
            }
            Act::Abandon(which) if !self.under_way.is_empty() => {
                drop(self.under_way.swap_remove(which % self.under_way.len()));
            }
            Act::Poll(_) | Act::Abandon(_) => {}
            Act::Fail(step) => self.stage.next(step),
            Act::Advance(millis) => advance(Duration::from_millis(millis)),
            Act::Forget { name } => {
                self.clones[0].invalidations().forget(&canonical(NAMES[name]));
                self.crates[name].floor = self.crates[name].states.len();
            }
            Act::ForgetAll => {
                self.clones[1].invalidations().forget_all();
                for each in &mut self.crates {
                    each.floor = each.states.len();
                }
            }
        }
        self.look();
    }

    fn next_clone(&mut self) -> CachedIndex<Stage> {
        self.begun += 1;
        self.clones[self.begun % 2].clone()
    }

    fn next_step(&mut self, name: usize) -> (Option<Revision>, Transition) {
        self.begun += 1;
        let version = format!("1.{}.0", self.begun);
        let state = self.crates[name].states.len();
        let step = match self.crates[name].record(state) {
            Some(record) => publish(record, &version),
            None => first(NAMES[name], &version),
        };
        (self.crates[name].revision(state).cloned(), step)
    }

    /// What an index file that is read from now on shows at the least.
    fn file_floor(&self, name: usize) -> usize {
        let each = &self.crates[name];
        if self.set_up.staleness.is_zero() {
            return each.states.len();
        }
        let now = clock();
        let old = each.states.iter().filter(|(_, came)| now - *came > self.set_up.staleness);
        old.count().max(each.floor)
    }

    fn begin(
        &mut self,
        name: usize,
        known: usize,
        floor: usize,
        task: impl Future<Output = Outcome> + 'static,
    ) {
        let failures = self.stage.state().failures;
        let (task, woken) = (Box::pin(task), Arc::default());
        self.under_way.push(UnderWay { task, name, known, floor, failures, woken });
        self.poll(self.under_way.len() - 1);
    }

    fn poll(&mut self, which: usize) {
        let each = &mut self.under_way[which];
        each.woken.0.store(false, Ordering::Relaxed);
        let waker = each.woken.clone().into();
        let Poll::Ready(outcome) = each.task.as_mut().poll(&mut Context::from_waker(&waker)) else {
            return;
        };
        self.look();
        let UnderWay { name, known, floor, failures, .. } = self.under_way.swap_remove(which);
        let failed = self.stage.state().failures > failures;
        let each = &mut self.crates[name];
        let shown = match outcome {
            Outcome::File(Ok(Lookup::Absent)) | Outcome::Load(Ok(Lookup::Absent)) => 0,
            Outcome::File(Ok(Lookup::Unchanged)) | Outcome::Load(Ok(Lookup::Unchanged)) => {
                assert_ne!(known, 0, "nothing was known");
                known
            }
            Outcome::File(Ok(Lookup::Found(ref file))) => {
                let state = file.body.iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(Some(file), each.file(state).as_ref());
                state
            }
            Outcome::Load(Ok(Lookup::Found(ref stored))) => {
                let state = stored.record.releases().len();
                assert_eq!(Some(stored), each.states.get(state - 1).map(|(stored, _)| stored));
                state
            }
            Outcome::File(Err(_)) | Outcome::Load(Err(_)) => {
                assert!(failed, "nothing failed while this read was under way");
                return;
            }
            Outcome::Commit(Ok(state)) => state,
            Outcome::Commit(Err(IndexError::Conflict { .. })) => return,
            Outcome::Commit(Err(_)) => {
                assert!(failed, "nothing failed while this commit was under way");
                return;
            }
        };
        assert!(shown >= floor, "state {shown} where {floor} was to be seen");
        assert!(shown <= each.states.len());
        if !matches!(outcome, Outcome::File(_)) {
            each.floor = each.floor.max(shown);
        }
    }

    /// Sees what has become true, and whether what must always hold does.
    fn look(&mut self) {
        let elsewhere = self.stage.elsewhere();
        for (each, name) in self.crates.iter_mut().zip(NAMES) {
            let Some(stored) = now(elsewhere.load(&canonical(name), None)).unwrap().found() else {
                continue;
            };
            let state = stored.record.releases().len();
            if state > each.states.len() {
                assert_eq!(state, each.states.len() + 1);
                each.states.push((stored, clock()));
            }
        }
        let cache = &self.clones[0].cache;
        assert!(cache.files.weight() + cache.records.weight() <= BYTES);
        assert!(self.stage.state().most_asking <= 1, "two readers ask at a time");
    }

    /// Lets everything come to its end, by polling what has asked for it and nothing else.
    fn finish(&mut self) {
        while !self.under_way.is_empty() {
            let woken = self.under_way.iter().position(|each| each.woken.0.load(Ordering::Relaxed));
            self.poll(woken.expect("somebody waits for what will not come"));
        }
        assert_eq!(self.clones[0].cache.files.gates.count(), 0);
        assert_eq!(self.clones[0].cache.records.gates.count(), 0);
    }
}

proptest! {
    #[test]
    fn no_read_shows_less_than_it_has_to(set_up in set_up(), acts in vec(act(), 0..150)) {
        let mut world = World::new(set_up);
        for act in &acts {
            world.act(act);
        }
        world.finish();
        // After all that, what is there is what is read.
        advance(Duration::from_secs(1));
        for name in 0..NAMES.len() {
            world.act(&Act::Read { name, known: 0 });
            world.act(&Act::Load { name, known: 0 });
        }
        world.finish();
    }
}

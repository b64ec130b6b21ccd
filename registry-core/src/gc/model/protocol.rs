//! One file, one record, some publishers of the same bytes and some collectors.

use std::time::{Duration, UNIX_EPOCH};

use super::explorer::Model;
use crate::{
    gc::{AgeRule, OfAside, OfStored},
    store::AsideReason,
};

/// Ticks since something happened; counted as far as it matters.
type Age = u8;

/// How many entries can be aside at a time.
const ENTRIES: usize = 2;
const PUBLISHERS: usize = 2;
const COLLECTORS: usize = 2;

/// What is modelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol {
    pub(super) store: Store,
    pub(super) publishers: usize,
    pub(super) collectors: usize,
    /// How old a file may be at the commit.
    pub(super) limit: Age,
    /// How old what is collected is.
    pub(super) grace: Age,
    /// How long after it was begun a commit may take effect.
    pub(super) commit_takes: Age,
    /// How long after a copy was made the removal of the original may take effect.
    pub(super) move_takes: Age,
    /// Whether a publisher may be asleep within a commit for as long as it likes, and then goes on.
    pub(super) may_oversleep: bool,
    pub(super) broken: Option<Broken>,
}

/// How a file is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// By a rename.
    Folder,
    /// By a copy and a removal, which may be repeated, come late, or leave its outcome unknown.
    Bucket,
}

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// What nothing names is removed from its place.
    RemovesInPlace,
    /// What is aside is not read.
    AsideIsNotRead,
    NoRuleA,
    NoRuleB,
    /// The age of a file is counted from when it had been stored.
    AgeFromTheAnswer,
    /// What is aside is purged without looking for a line.
    PurgesUnasked,
    /// What is aside is purged however short it has been there.
    PurgesYoung,
    /// What is put aside replaces what is aside already.
    OneEntryOnly,
    /// The original is removed however long ago it was copied.
    MovesSlowly,
    /// An entry that was just made is ended when its file is put back.
    EndsYoungEntry,
    /// The age of a file in its place is not looked at.
    MovesYoung,
    /// The record is not loaded again after a move.
    LooksOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// Whether a line names the file.
    line: bool,
    /// Whether there is a line of a publisher who has overslept, and has not made sure yet.
    owed: bool,
    /// The file in its place, and when it was stored.
    place: Option<Age>,
    /// What is aside, and since when.
    aside: [Option<Age>; ENTRIES],
    /// Removals under way, and how long ago their copies were made.
    removals: [Option<Age>; 2],
    publishers: [Publisher; PUBLISHERS],
    collectors: [Collector; COLLECTORS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Publisher {
    at: At,
    /// How old it takes its file to be.
    age: Age,
    /// A commit under way, perhaps one of before a crash, and how long ago it was begun.
    commit: Option<Age>,
    /// Whether its commit took effect later than it should.
    overslept: bool,
    may_crash: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
    Start,
    /// Is storing the file; it is not there yet.
    Storing(Why),
    /// The file is there; the answer is not.
    Answering(Why),
    Stored(Why),
    Committing,
    Committed,
    End,
}

/// For the how manieth time a file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Why {
    First,
    RuleA,
    RuleB,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Collector {
    Idle,
    /// Has found an old entry.
    Chose(usize),
    Purges(usize),
    PutsBack(usize),
    Ends(usize),
    /// Has found an old file in its place.
    Listed,
    /// Nothing names it.
    Moves,
    /// The copy was made so long ago.
    Copied(usize, Age),
    Moved(usize),
    /// A line names it after all.
    Renews,
    Puts,
}

/// Who did what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Tick,
    Publisher(&'static str),
    Collector(&'static str),
    LateRemoval,
}

impl Protocol {
    fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    fn time(&self, ticks: Age) -> Duration {
        Duration::from_secs(ticks.into())
    }

    fn rule(&self) -> AgeRule {
        AgeRule { limit: self.time(self.limit) }
    }

    fn of_stored(&self, age: Age, is_named: bool) -> OfStored {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        OfStored::decide(now - self.time(age), is_named, now, self.time(self.grace))
    }

    fn of_aside(&self, age: Age, is_named: bool) -> OfAside {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let (reason, since) = (AsideReason::Unnamed, now - self.time(age));
        OfAside::decide(reason, since, is_named, now, self.time(self.grace))
    }

    /// A step of the clock.
    fn tick(&self, state: &State) -> State {
        let mut next = *state;
        let count = |age: &mut Age, most: Age| *age = (*age + 1).min(most);
        let files = next.place.iter_mut().chain(next.aside.iter_mut().flatten());
        files.for_each(|age| count(age, self.grace + 1));
        for removal in &mut next.removals {
            *removal = removal.map(|age| age + 1).filter(|age| *age <= self.move_takes);
        }
        for publisher in &mut next.publishers {
            if !matches!(publisher.at, At::Start | At::End) {
                count(&mut publisher.age, self.limit + 1);
            }
            let sleeps = self.may_oversleep && publisher.at == At::Committing;
            publisher.commit = match publisher.commit {
                Some(age) if age < self.commit_takes => Some(age + 1),
                Some(_) if sleeps => Some(self.commit_takes + 1),
                _ => None,
            };
        }
        for collector in &mut next.collectors {
            if let Collector::Copied(_, age) = collector {
                count(age, self.move_takes + 1);
            }
        }
        next
    }

    fn publish(&self, state: &State, who: usize, next: &mut Vec<(Step, State)>) {
        let publisher = state.publishers[who];
        let mut step = |what, change: &dyn Fn(&mut State, &mut Publisher)| {
            let (mut state, mut publisher) = (*state, publisher);
            change(&mut state, &mut publisher);
            state.publishers[who] = publisher;
            next.push((Step::Publisher(what), state));
        };
        let age = self.time(publisher.age);
        match publisher.at {
            At::Start => step("begins to store", &|_, publisher| {
                (publisher.at, publisher.age) = (At::Storing(Why::First), 0);
            }),
            At::Storing(why) => step("stores", &|state, publisher| {
                // A bucket may count from when the upload began.
                state.place = Some(publisher.age.min(self.grace));
                publisher.at = match why {
                    // A step of its own only where it makes a difference.
                    _ if self.breaks(Broken::AgeFromTheAnswer) => At::Answering(why),
                    Why::RuleB => At::End,
                    Why::First | Why::RuleA => At::Stored(why),
                };
                if why == Why::RuleB {
                    (state.owed, publisher.overslept) = (false, false);
                }
            }),
            At::Answering(why) => step("hears that it is stored", &|_, publisher| {
                publisher.at = if why == Why::RuleB { At::End } else { At::Stored(why) };
                publisher.age = 0;
            }),
            At::Stored(_) if state.line => {
                step("is refused", &|_, publisher| publisher.at = At::End);
            }
            At::Stored(why) => {
                let keeps_rule = !self.breaks(Broken::NoRuleA);
                if keeps_rule && why == Why::First && self.rule().renews_before_commit(age) {
                    step("stores again before the commit", &|_, publisher| {
                        (publisher.at, publisher.age) = (At::Storing(Why::RuleA), 0);
                    });
                } else if keeps_rule && !self.rule().may_commit(age) {
                    step("gives up", &|_, publisher| publisher.at = At::End);
                } else if publisher.commit.is_none() {
                    step("begins to commit", &|_, publisher| {
                        (publisher.at, publisher.commit) = (At::Committing, Some(0));
                    });
                }
            }
            At::Committing if publisher.commit.is_none() => {
                step("hears of a failed commit", &|_, publisher| {
                    publisher.at = At::Stored(Why::First);
                });
            }
            At::Committed => {
                let renews = self.rule().renews_after_commit(age);
                if renews && !self.breaks(Broken::NoRuleB) {
                    step("stores again after the commit", &|_, publisher| {
                        (publisher.at, publisher.age) = (At::Storing(Why::RuleB), 0);
                    });
                } else {
                    step("acknowledges", &|state, publisher| {
                        publisher.at = At::End;
                        if publisher.overslept {
                            (state.owed, publisher.overslept) = (false, false);
                        }
                    });
                }
            }
            At::Committing | At::End => {}
        }
        if let Some(age) = publisher.commit {
            step("has its commit take effect", &|state, publisher| {
                publisher.commit = None;
                let is_own = publisher.at == At::Committing;
                if state.line {
                    // Another one was faster.
                    publisher.at = if is_own { At::End } else { publisher.at };
                    return;
                }
                state.line = true;
                if is_own {
                    publisher.at = At::Committed;
                    publisher.overslept = age > self.commit_takes;
                    state.owed |= publisher.overslept;
                }
            });
        }
        // That whoever overslept does not die before it makes sure is what is assumed.
        let overslept = publisher.overslept || publisher.commit > Some(self.commit_takes);
        if publisher.may_crash && !matches!(publisher.at, At::Start | At::End) && !overslept {
            step("crashes", &|_, publisher| {
                (publisher.at, publisher.may_crash) = (At::Start, false);
            });
        }
    }

    fn collect(&self, state: &State, who: usize, next: &mut Vec<(Step, State)>) {
        use Collector as At;
        let mut step = |what, change: &dyn Fn(&mut State) -> Collector| {
            let mut state = *state;
            state.collectors[who] = change(&mut state);
            next.push((Step::Collector(what), state));
        };
        let at = state.collectors[who];
        if at != At::Idle {
            step("crashes", &|_| At::Idle);
        }
        match at {
            At::Idle => {
                for (entry, age) in state.aside.iter().enumerate() {
                    let Some(age) = *age else { continue };
                    let is_old = self.of_aside(age, false) == OfAside::Purge;
                    if is_old || self.breaks(Broken::PurgesYoung) {
                        step("finds an entry", &|_| At::Chose(entry));
                    }
                }
                if let Some(age) = state.place {
                    let is_old = self.of_stored(age, false) == OfStored::SetAside;
                    if is_old || self.breaks(Broken::MovesYoung) {
                        step("finds a file", &|_| At::Listed);
                    }
                }
            }
            At::Chose(entry) => step("asks for lines", &|state| {
                let is_named = state.line && !self.breaks(Broken::PurgesUnasked);
                // It was old when it was listed.
                match self.of_aside(self.grace + 1, is_named) {
                    OfAside::PutBack => At::PutsBack(entry),
                    OfAside::Purge => At::Purges(entry),
                    other => panic!("{other:?}"),
                }
            }),
            At::Purges(entry) => step("purges", &|state| {
                state.aside[entry] = None;
                At::Idle
            }),
            At::PutsBack(entry) => step("puts back", &|state| match state.aside[entry] {
                Some(age) => {
                    let as_old = match self.store {
                        Store::Folder => age,
                        Store::Bucket => 0,
                    };
                    state.place = state.place.or(Some(as_old));
                    At::Ends(entry)
                }
                None => At::Idle,
            }),
            At::Ends(entry) => step("ends an entry", &|state| {
                state.aside[entry] = None;
                At::Idle
            }),
            At::Listed => {
                step("asks for lines", &|state| match self.of_stored(self.grace + 1, state.line) {
                    OfStored::Named => At::Idle,
                    OfStored::SetAside => At::Moves,
                    OfStored::Young => panic!("it was old"),
                })
            }
            At::Moves if self.breaks(Broken::RemovesInPlace) => step("removes", &|state| {
                state.place = None;
                At::Idle
            }),
            At::Moves => {
                let Some(entry) = self.free_entry(state) else { return };
                match (self.store, state.place) {
                    (_, None) => step("finds nothing to move", &|_| At::Idle),
                    (Store::Folder, Some(_)) => step("moves", &|state| {
                        (state.aside[entry], state.place) = (Some(0), None);
                        At::Moved(entry)
                    }),
                    (Store::Bucket, Some(_)) => step("copies", &|state| {
                        state.aside[entry] = Some(0);
                        At::Copied(entry, 0)
                    }),
                }
            }
            At::Copied(entry, age) => {
                if age > self.move_takes && !self.breaks(Broken::MovesSlowly) {
                    step("is too late to remove", &|_| At::Idle);
                    return;
                }
                step("removes", &|state| {
                    state.place = None;
                    At::Moved(entry)
                });
                let Some(free) = state.removals.iter().position(Option::is_none) else { return };
                step("removes, and again late", &|state| {
                    (state.place, state.removals[free]) = (None, Some(age));
                    At::Moved(entry)
                });
                step("removes late", &|state| {
                    state.removals[free] = Some(age);
                    At::Moved(entry)
                });
            }
            At::Moved(entry) => step("asks for lines again", &|state| match state.line
                && !self.breaks(Broken::LooksOnce)
            {
                true if self.breaks(Broken::EndsYoungEntry) => At::PutsBack(entry),
                true => At::Renews,
                false => At::Idle,
            }),
            At::Renews => step("reads", &|state| match self.is_readable(state) {
                true => At::Puts,
                false => At::Idle,
            }),
            At::Puts => step("stores again", &|state| {
                state.place = Some(0);
                At::Idle
            }),
        }
    }

    /// An entry that is nobody's; which name it has is of no account.
    fn free_entry(&self, state: &State) -> Option<usize> {
        if self.breaks(Broken::OneEntryOnly) {
            return Some(0);
        }
        let is_spoken_of = |entry: usize| {
            state.collectors.iter().any(|collector| match collector {
                Collector::Chose(it)
                | Collector::Purges(it)
                | Collector::PutsBack(it)
                | Collector::Ends(it)
                | Collector::Copied(it, _)
                | Collector::Moved(it) => *it == entry,
                _ => false,
            })
        };
        (0..ENTRIES).find(|entry| state.aside[*entry].is_none() && !is_spoken_of(*entry))
    }

    /// Forgets what nothing depends on any more, so that states that go on alike are one.
    fn forget(&self, state: &mut State) {
        if state.line {
            // A named file is left alone however old it is.
            state.place = state.place.map(|_| 0);
        }
        for publisher in &mut state.publishers {
            if matches!(publisher.at, At::Start | At::End) {
                publisher.age = 0;
            }
            if publisher.at == At::End || (state.line && publisher.at == At::Start) {
                publisher.may_crash = false;
            }
            if state.line && publisher.at != At::Committing {
                publisher.commit = None;
            }
        }
        state.publishers.sort();
        state.collectors.sort();
        state.removals.sort();
        // Which of two entries is which is of no account.
        if state.aside[0] > state.aside[1] && !self.breaks(Broken::OneEntryOnly) {
            state.aside.swap(0, 1);
            for collector in &mut state.collectors {
                collector.swap_entries();
            }
            state.collectors.sort();
        }
    }
    fn is_readable(&self, state: &State) -> bool {
        let is_aside = state.aside.iter().any(Option::is_some);
        state.place.is_some() || (is_aside && !self.breaks(Broken::AsideIsNotRead))
    }

    /// What is left when all processes have died where they are, and one collection has been made
    /// long after that.
    fn after_all(&self, state: &State) -> State {
        let mut state = State {
            removals: [None; 2],
            publishers: [Publisher::ENDED; PUBLISHERS],
            collectors: [Collector::Idle; COLLECTORS],
            ..*state
        };
        for _ in 0..=self.grace {
            state = self.tick(&state);
        }
        for entry in 0..ENTRIES {
            if state.aside[entry].is_some() {
                state.collectors[COLLECTORS - 1] = Collector::Chose(entry);
                state = self.alone(state);
            }
        }
        if state.place.is_some_and(|age| self.of_stored(age, false) == OfStored::SetAside) {
            state.collectors[COLLECTORS - 1] = Collector::Listed;
            state = self.alone(state);
        }
        state
    }

    /// The one collector that is at work comes to its end undisturbed.
    fn alone(&self, mut state: State) -> State {
        let mut next = Vec::new();
        while let Some(who) = state.collectors.iter().position(|it| *it != Collector::Idle) {
            self.collect(&state, who, &mut next);
            // The first one is the crash.
            state = next.drain(..).nth(1).expect("it can always go on").1;
        }
        state
    }
}

impl Collector {
    fn swap_entries(&mut self) {
        match self {
            Self::Chose(entry)
            | Self::Purges(entry)
            | Self::PutsBack(entry)
            | Self::Ends(entry)
            | Self::Copied(entry, _)
            | Self::Moved(entry) => *entry = 1 - *entry,
            Self::Idle | Self::Listed | Self::Moves | Self::Renews | Self::Puts => {}
        }
    }
}

impl Publisher {
    const START: Self =
        Self { at: At::Start, age: 0, commit: None, overslept: false, may_crash: true };
    const ENDED: Self = Self { at: At::End, may_crash: false, ..Self::START };
}

impl Model for Protocol {
    type State = State;
    type Step = Step;

    /// Nothing, or what a publish has left that never came to its commit.
    fn initial(&self) -> Vec<State> {
        let mut publishers = [Publisher::ENDED; PUBLISHERS];
        publishers[..self.publishers].fill(Publisher::START);
        let nothing = State {
            line: false,
            owed: false,
            place: None,
            aside: [None; ENTRIES],
            removals: [None; 2],
            publishers,
            collectors: [Collector::Idle; COLLECTORS],
        };
        vec![nothing, State { place: Some(self.grace + 1), ..nothing }]
    }

    fn steps(&self, state: &State, next: &mut Vec<(Step, State)>) {
        next.push((Step::Tick, self.tick(state)));
        for who in 0..PUBLISHERS {
            self.publish(state, who, next);
        }
        // One that is not modelled would be idle for ever.
        for who in COLLECTORS - self.collectors..COLLECTORS {
            self.collect(state, who, next);
        }
        for removal in 0..state.removals.len() {
            if state.removals[removal].is_some() {
                let mut state = *state;
                (state.place, state.removals[removal]) = (None, None);
                next.push((Step::LateRemoval, state));
            }
        }
        next.iter_mut().for_each(|(_, state)| self.forget(state));
    }

    fn wrong(&self, state: &State) -> Option<&'static str> {
        if state.line && !state.owed && !self.is_readable(state) {
            return Some("a line names a file that cannot be read");
        }
        // What is in its place stays there if a line names it.
        if state.line != state.place.is_none() || state.owed {
            return None;
        }
        let end = self.after_all(state);
        match end.line {
            true if !self.is_readable(&end) => Some("a line names a file that cannot be read"),
            true if end.place.is_none() => Some("a named file is not in its place"),
            false if end.place.is_some() => Some("garbage is left in its place"),
            _ => None,
        }
    }
}

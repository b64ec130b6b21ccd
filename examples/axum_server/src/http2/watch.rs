//! How long a connection is of use.

use std::time::Duration;

use tokio::time::Instant;

use super::usage::Counts;
use crate::{
    head::{HEAD, IDLE},
    slots::Left,
};

/// After how long a connection takes no further requests: whatever somebody has found to hold by it
/// is let go some time. Ours.
const AGE: Duration = Duration::from_secs(10 * 60);
/// How long a client that was told so has to close an idle connection.
const LEAVE: Duration = Duration::from_secs(10);
/// Over which time the least rate counts.
const PERIOD: Duration = Duration::from_secs(60);
/// Fewest bytes that a client takes in a second for each answer that it is being sent. Ours.
///
/// In HTTP/2 it is the client who says how much may be sent, and one that says nothing takes nothing,
/// while the connection is as alive as can be. Less than over HTTP/1, since answers to a hundred
/// requests share one line.
const LEAST_RATE: u64 = 1024;
/// The same while all slots are taken.
const LEAST_RATE_WHEN_FULL: u64 = 4 * 1024;

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    /// No further requests are taken.
    NoMore,
    /// It is closed at once.
    Over(&'static str),
}

/// What is known of a connection since it began.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    used: Instant,
    begun: u64,
    period: Period,
}

/// When it began, and what the counts were then.
#[derive(Clone, Copy, Debug)]
struct Period {
    began: Instant,
    waited: Duration,
    taken: u64,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        let period = Period { began: now, waited: Duration::ZERO, taken: 0 };
        Self { began: now, used: now, begun: 0, period }
    }

    /// `left`: while no slots are, others wait for one.
    pub(super) fn look(&mut self, now: Instant, counts: &Counts, left: Left) -> Verdict {
        if counts.under_way > 0 || counts.begun > self.begun {
            (self.used, self.begun) = (now, counts.begun);
        }
        let then = self.period;
        if now - then.began >= PERIOD {
            self.period = Period { began: now, waited: counts.waited, taken: counts.taken };
            let least_rate = match left {
                Left::None => LEAST_RATE_WHEN_FULL,
                Left::Some | Left::NoneOfItsShare => LEAST_RATE,
            };
            // All the time of all answers: to take one back just before a look saves nothing. Short
            // ones that have nothing in them are not worth a word.
            let waited = counts.waited - then.waited;
            if waited >= PERIOD && counts.taken - then.taken < least_rate * waited.as_secs() {
                return Verdict::Over("the client takes too little of its answers");
            }
        }
        let idle = now - self.used;
        let most = if counts.begun == 0 || left != Left::Some { HEAD } else { IDLE };
        if idle >= most + LEAVE {
            Verdict::Over("the client asks for nothing")
        } else if idle >= most || now - self.began >= AGE {
            Verdict::NoMore
        } else {
            Verdict::GoOn
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said at each of these seconds, with these counts.
    fn verdicts<const N: usize>(looks: [(u64, Counts); N]) -> [Verdict; N] {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        looks.map(|(second, counts)| {
            watch.look(start + Duration::from_secs(second), &counts, Left::Some)
        })
    }

    const NOTHING: Counts = Counts { begun: 0, under_way: 0, waited: Duration::ZERO, taken: 0 };
    const IDLE_FOR_LONG: Verdict = Verdict::Over("the client asks for nothing");
    const TOO_SLOW: Verdict = Verdict::Over("the client takes too little of its answers");

    #[test]
    fn a_connection_without_a_request_ends() {
        let looks = [5, 9, 10, 19, 20].map(|second| (second, NOTHING));
        let [go_on, no_more] = [Verdict::GoOn, Verdict::NoMore];
        assert_eq!(verdicts(looks), [go_on, go_on, no_more, no_more, IDLE_FOR_LONG]);
    }

    #[test]
    fn an_idle_connection_ends_and_a_used_one_does_not() {
        let idle = Counts { begun: 1, ..NOTHING };
        let used = Counts { begun: 2, ..NOTHING };
        let waiting = Counts { begun: 3, under_way: 1, ..NOTHING };
        assert_eq!(
            verdicts([
                (5, idle),
                (64, idle),
                (65, used),
                (124, used),
                (125, waiting),
                (500, waiting),
                (559, Counts { begun: 3, ..NOTHING }),
                (560, Counts { begun: 3, ..NOTHING }),
                (570, Counts { begun: 3, ..NOTHING }),
            ]),
            [
                Verdict::GoOn,
                Verdict::GoOn,
                Verdict::GoOn,
                Verdict::GoOn,
                Verdict::GoOn,
                Verdict::GoOn,
                Verdict::GoOn,
                Verdict::NoMore,
                IDLE_FOR_LONG,
            ]
        );
    }

    #[test]
    fn an_idle_connection_ends_soon_when_others_wait_for_one() {
        let start = Instant::now();
        for left in [Left::NoneOfItsShare, Left::None] {
            let (mut watch, used) = (Watch::new(start), Counts { begun: 1, ..NOTHING });
            let mut look = |second| watch.look(start + Duration::from_secs(second), &used, left);
            let verdicts = [0, 9, 10].map(&mut look);
            assert_eq!(verdicts, [Verdict::GoOn, Verdict::GoOn, Verdict::NoMore]);
        }
    }

    #[test]
    fn an_old_connection_takes_no_further_requests() {
        let busy = |begun| Counts { begun, ..NOTHING };
        let looks = (0..=120).map(|look| (look * 5, busy(look + 1)));
        let start = Instant::now();
        let mut watch = Watch::new(start);
        for (second, counts) in looks {
            let verdict = watch.look(start + Duration::from_secs(second), &counts, Left::Some);
            let expected = if second < 600 { Verdict::GoOn } else { Verdict::NoMore };
            assert_eq!(verdict, expected, "{second}");
        }
    }

    /// What is said each minute, when these answers have waited for all of it and so much was taken.
    fn verdicts_by_minute<const N: usize>(left: Left, minutes: [(u32, u64); N]) -> [Verdict; N] {
        let start = Instant::now();
        let (mut watch, mut now) = (Watch::new(start), start);
        let mut counts = Counts { begun: 200, under_way: 1, ..NOTHING };
        minutes.map(|(answers, taken)| {
            now += PERIOD;
            counts.waited += answers * PERIOD;
            counts.taken += taken;
            watch.look(now, &counts, left)
        })
    }

    #[test]
    fn each_answer_is_taken_at_the_least_rate() {
        const MINUTE: u64 = 60 * LEAST_RATE;
        let minutes =
            [(1, MINUTE), (1, MINUTE - 1), (0, 0), (100, 100 * MINUTE), (100, 100 * MINUTE - 1)];
        let [go_on, too_slow] = [Verdict::GoOn, TOO_SLOW];
        for left in [Left::Some, Left::NoneOfItsShare] {
            let verdicts = verdicts_by_minute(left, minutes);
            assert_eq!(verdicts, [go_on, too_slow, go_on, go_on, too_slow]);
        }
        const FULL: u64 = 60 * LEAST_RATE_WHEN_FULL;
        let verdicts = verdicts_by_minute(Left::None, [(2, 2 * FULL), (2, 2 * FULL - 1)]);
        assert_eq!(verdicts, [go_on, too_slow]);
    }
}

//! What was measured, as a table, and what was to be reached.

use std::time::Duration;

use crate::{
    Party,
    load::{Answers, Requests},
};

/// What all others are compared with.
pub(crate) const HYPER: &str = "bare hyper";
pub(crate) const NGINX: &str = "nginx";
pub(crate) const OURS: &str = "ours";
pub(crate) const PRIVATE: &str = "ours, private";

/// What is asked of some servers.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    /// The goal: as many requests in a second as this share of what bare hyper answers.
    pub(crate) least: f64,
    pub(crate) parties: Vec<(Requests, Party)>,
}

/// What came of one turn.
pub(crate) struct Figures {
    rate: f64,
    /// Microseconds.
    p50: f64,
    p99: f64,
    /// Of a processor, for each request.
    cost: f64,
    /// Of their processors, what server and load took.
    busy: [f64; 2],
}

impl Figures {
    pub(crate) fn new(answers: &Answers, time: Duration, taken: [Duration; 2]) -> Self {
        let busy = taken.map(|taken| taken.as_secs_f64() / time.as_secs_f64());
        Self {
            rate: answers.rate(),
            p50: answers.percentile(0.5),
            p99: answers.percentile(0.99),
            // As many were answered in the time that does not count.
            cost: busy[0] / answers.rate() * 1e6,
            busy,
        }
    }

    /// Whether the load had no time left, and the server had.
    fn is_held_back(&self) -> bool {
        self.busy[1] > 0.95 && self.busy[0] < 0.95
    }
}

/// The turns of each party, in the order of the parties.
pub(crate) struct Table<'a> {
    pub(crate) case: &'a Case,
    pub(crate) figures: Vec<Vec<Figures>>,
}

type Figure = fn(&Figures) -> f64;

impl Table<'_> {
    pub(crate) fn head() {
        println!(
            "| index file | server | requests/s | of hyper's | p50 | p99 | of hyper's \
             | CPU a request | of hyper's | server, load busy |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
    }

    pub(crate) fn print(&self) {
        for (_, party) in &self.case.parties {
            let of = |figure: Figure| self.median(party.name, figure);
            let of_hyper = |figure: Figure| self.ratio(party.name, HYPER, figure).unwrap_or(0.0);
            let turns = &self.figures[self.place(party.name).expect("it takes part")];
            let held_back = turns.iter().filter(|it| it.is_held_back()).count();
            println!(
                "| {} | {} | {:.0} | {:.2} | {:.0} µs | {:.0} µs | {:.2} | {:.1} µs | {:.2} \
                 | {:.0} %, {:.0} %{} |",
                self.case.what,
                party.name,
                of(|it| it.rate),
                of_hyper(|it| it.rate),
                of(|it| it.p50),
                of(|it| it.p99),
                of_hyper(|it| it.p99),
                of(|it| it.cost),
                of_hyper(|it| it.cost),
                of(|it| it.busy[0] * 100.0),
                of(|it| it.busy[1] * 100.0),
                if 2 * held_back > turns.len() { ": the load is the limit" } else { "" },
            );
        }
    }

    /// Each goal, and whether it is met.
    pub(crate) fn goals(&self) -> Vec<String> {
        let rate = |it: &Figures| it.rate;
        let least = |ours, other, goal| {
            let ratio = self.ratio(ours, other, rate)?;
            let met = if ratio >= goal { "met" } else { "MISSED" };
            Some(format!("requests/s, {ours}: {ratio:.2} of {other} (at least {goal:.2}: {met})"))
        };
        let slowest = self.ratio(OURS, HYPER, |it| it.p99).map(|ratio| {
            let met = if ratio <= 1.25 { "met" } else { "MISSED" };
            format!("p99, {OURS}: {ratio:.2} of {HYPER} (at most 1.25: {met})")
        });
        let all = [
            least(OURS, HYPER, self.case.least),
            least(OURS, NGINX, 1.0),
            least(PRIVATE, OURS, 0.9),
            slowest,
        ];
        all.into_iter().flatten().map(|goal| format!("{}: {goal}", self.case.what)).collect()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.case.parties.iter().position(|(_, party)| party.name == name)
    }

    fn median(&self, name: &str, figure: Figure) -> f64 {
        self.place(name).map_or(0.0, |place| middle(self.figures[place].iter().map(figure)))
    }

    /// The median of the ratios of the turns; none if one of both did not take part.
    fn ratio(&self, one: &str, other: &str, figure: Figure) -> Option<f64> {
        let (one, other) = (&self.figures[self.place(one)?], &self.figures[self.place(other)?]);
        Some(middle(one.iter().zip(other).map(|(one, other)| figure(one) / figure(other))))
    }
}

/// The median.
pub(crate) fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! When a series of numbers is flat.

use std::fmt;

/// A number that was looked at every few seconds.
pub(crate) struct Series<'a> {
    pub(crate) name: &'static str,
    pub(crate) values: &'a [f64],
    /// By how much it may rise.
    pub(crate) allowed: f64,
}

/// What it was early on and late, and how far it rose from then to then if a line is drawn through
/// all of it.
pub(crate) struct Course {
    pub(crate) early: f64,
    pub(crate) late: f64,
    pub(crate) rise: f64,
}

impl Series<'_> {
    /// Of the first tenth and the last it is the least that counts: what is held is there at any time,
    /// while what comes and goes is sometimes away. A leak that hides behind a high beginning is in
    /// the line through all, whose slope is the median of those through any two.
    pub(crate) fn course(&self) -> Course {
        let tenth = self.values.len() / 10;
        let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let all = self.values;
        let mut slopes = Vec::new();
        for (place, value) in all.iter().enumerate() {
            let behind = all.iter().enumerate().skip(place + 1);
            slopes.extend(behind.map(|(later, next)| (next - value) / (later - place) as f64));
        }
        slopes.sort_by(f64::total_cmp);
        Course {
            early: least(&all[..tenth]),
            late: least(&all[all.len() - tenth..]),
            rise: slopes[slopes.len() / 2] * all.len() as f64,
        }
    }

    /// Why it is not flat.
    pub(crate) fn complaint(&self) -> Option<String> {
        let course = self.course();
        let rise = course.rise.max(course.late - course.early);
        let Self { name, allowed, .. } = self;
        (rise > *allowed).then(|| format!("{name} rose by {rise:.1}, allowed {allowed:.1}"))
    }
}

impl fmt::Display for Series<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Course { early, late, rise } = self.course();
        let Self { name, allowed, .. } = self;
        let most = self.values.iter().copied().fold(0., f64::max);
        write!(f, "| {name} | {early:.1} | {late:.1} | {rise:.1} | {allowed:.1} | {most:.1} |")
    }
}

/// Says of made-up series what is known of them, before anything is believed about a real one.
pub(crate) fn check() {
    let complains = |value: &dyn Fn(usize) -> f64| {
        let values: Vec<_> = (0..200).map(value).collect();
        Series { name: "x", values: &values, allowed: 4. }.complaint().is_some()
    };
    // Anything from 0 to 10, the same each time.
    let noise = |at: usize| (at * 7919 % 101) as f64 / 10.;
    assert!(!complains(&|_| 50.));
    assert!(!complains(&|at| 50. + noise(at)));
    // What comes down again is no leak.
    assert!(!complains(&|at| 80. + noise(at) - at as f64 / 10.));
    // A leak, also in noise, also one that begins high, also one that begins half way.
    assert!(complains(&|at| 50. + at as f64 / 20.));
    assert!(complains(&|at| 50. + noise(at) + at as f64 / 20.));
    assert!(complains(&|at| at as f64 / 20. + if at < 50 { 58. } else { 50. }));
    assert!(complains(&|at| 50. + noise(at) + at.saturating_sub(100) as f64 / 10.));
}

//! The metrics of the process, as a text for Prometheus.
//!
//! A recorder of a few numbers, rather than a library with many packages: what is recorded is added to
//! an atomic number, and nothing is to be cleaned up.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// Upper bounds of the buckets of every histogram, in seconds: from an index file in memory to a
/// large upload.
const BOUNDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5.,
    10.,
];

/// All that was recorded. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prometheus(Arc<Mutex<BTreeMap<String, Family>>>);

/// All that has one name.
#[derive(Debug, Default)]
struct Family {
    help: SharedString,
    /// By their labels, as they are written.
    series: BTreeMap<String, Series>,
}

#[derive(Clone, Debug)]
enum Series {
    Counter(Arc<AtomicU64>),
    /// The bits of the number.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

#[derive(Debug, Default)]
struct Buckets {
    /// How many there were up to each bound, and above the one before it; the last is for others.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl HistogramFn for Buckets {
    fn record(&self, seconds: f64) {
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add((seconds * 1e9) as u64, Relaxed);
    }
}

impl Prometheus {
    fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.0.lock().expect("nobody panics while holding it")
    }

    fn describe(&self, name: &KeyName, help: SharedString) {
        self.families().entry(name.as_str().to_owned()).or_default().help = help;
    }

    /// The series of this name and these labels; what else it was made as, it stays.
    fn series(&self, key: &Key, make: impl FnOnce() -> Series) -> Series {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}=\"{}\"", label.key(), Escaped(label.value())))
            .collect();
        let mut families = self.families();
        let family = families.entry(key.name().to_owned()).or_default();
        family.series.entry(labels.join(",")).or_insert_with(make).clone()
    }
}

impl Recorder for Prometheus {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.series(key, || Series::Counter(Arc::default())) {
            Series::Counter(number) => Counter::from_arc(number),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.series(key, || Series::Gauge(Arc::default())) {
            Series::Gauge(bits) => Gauge::from_arc(bits),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.series(key, || Series::Histogram(Arc::default())) {
            Series::Histogram(buckets) => Histogram::from_arc(buckets),
            _ => Histogram::noop(),
        }
    }
}

/// The text. Source: Prometheus, "Exposition formats", version 0.0.4.
impl fmt::Display for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Family { help, series }) in &*self.families() {
            let Some((_, first)) = series.first_key_value() else { continue };
            let kind = match first {
                Series::Counter(_) => "counter",
                Series::Gauge(_) => "gauge",
                Series::Histogram(_) => "histogram",
            };
            writeln!(f, "# HELP {name} {}\n# TYPE {name} {kind}", Escaped(help))?;
            for (labels, series) in series {
                match series {
                    Series::Counter(number) => {
                        writeln!(f, "{name}{} {}", Braced(labels, ""), number.load(Relaxed))?;
                    }
                    Series::Gauge(bits) => {
                        let number = f64::from_bits(bits.load(Relaxed));
                        writeln!(f, "{name}{} {number}", Braced(labels, ""))?;
                    }
                    Series::Histogram(buckets) => buckets.write(f, name, labels)?,
                }
            }
        }
        Ok(())
    }
}

impl Buckets {
    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str, labels: &str) -> fmt::Result {
        let mut count = 0;
        for (place, counted) in self.counts.iter().enumerate() {
            count += counted.load(Relaxed);
            let bound = BOUNDS.get(place).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let bound = format!("le=\"{bound}\"");
            writeln!(f, "{name}_bucket{} {count}", Braced(labels, &bound))?;
        }
        let seconds = self.nanoseconds.load(Relaxed) as f64 / 1e9;
        writeln!(f, "{name}_sum{} {seconds}", Braced(labels, ""))?;
        writeln!(f, "{name}_count{} {count}", Braced(labels, ""))
    }
}

/// Labels, and one more.
struct Braced<'a>(&'a str, &'a str);

impl fmt::Display for Braced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            ("", "") => Ok(()),
            (labels, "") | ("", labels) => write!(f, "{{{labels}}}"),
            (labels, more) => write!(f, "{{{labels},{more}}}"),
        }
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str(r"\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str(r"\n")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, describe_counter, describe_histogram, gauge, histogram};

    use super::*;

    #[test]
    fn what_was_recorded_is_written_as_prometheus_reads_it() {
        let recorder = Prometheus::default();
        metrics::with_local_recorder(&recorder, || {
            describe_counter!("never_total", "What never happens.");
            describe_counter!("asked_total", "Asked.");
            describe_histogram!("took_seconds", Unit::Seconds, "Took.");
            counter!("asked_total", "of" => "b\\\"\n").increment(2);
            counter!("asked_total", "of" => "a").increment(1);
            counter!("asked_total", "of" => "a").increment(4);
            gauge!("level").set(1.5);
            for seconds in [0.0001, 0.3, 0.25, 60.] {
                histogram!("took_seconds", "of" => "a").record(seconds);
            }
            // A name is of one kind.
            histogram!("level").record(1.);
        });
        let expected = r#"# HELP asked_total Asked.
# TYPE asked_total counter
asked_total{of="a"} 5
asked_total{of="b\\\"\n"} 2
# HELP level 
# TYPE level gauge
level 1.5
# HELP took_seconds Took.
# TYPE took_seconds histogram
took_seconds_bucket{of="a",le="0.0001"} 1
took_seconds_bucket{of="a",le="0.00025"} 1
took_seconds_bucket{of="a",le="0.0005"} 1
took_seconds_bucket{of="a",le="0.001"} 1
took_seconds_bucket{of="a",le="0.0025"} 1
took_seconds_bucket{of="a",le="0.005"} 1
took_seconds_bucket{of="a",le="0.01"} 1
took_seconds_bucket{of="a",le="0.025"} 1
took_seconds_bucket{of="a",le="0.05"} 1
took_seconds_bucket{of="a",le="0.1"} 1
took_seconds_bucket{of="a",le="0.25"} 2
took_seconds_bucket{of="a",le="0.5"} 3
took_seconds_bucket{of="a",le="1"} 3
took_seconds_bucket{of="a",le="2.5"} 3
took_seconds_bucket{of="a",le="5"} 3
took_seconds_bucket{of="a",le="10"} 3
took_seconds_bucket{of="a",le="+Inf"} 4
took_seconds_sum{of="a"} 60.5501
took_seconds_count{of="a"} 4
"#;
        assert_eq!(recorder.to_string(), expected);
    }
}

//! How far a long command is, on stderr.

use std::{
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use registry_core::migrate::FileCount;

/// How often the line on a terminal is written over.
const ON_A_TERMINAL: Duration = Duration::from_millis(100);
/// How often there is a line in a log.
const IN_A_LOG: Duration = Duration::from_secs(10);

/// Shows one line that is written over, if stderr is a terminal; elsewhere a line now and then.
pub(crate) struct Progress {
    started: Instant,
    shown: Instant,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { started: now, shown: now, terminal: io::stderr().is_terminal() }
    }

    /// Shows how far it is, if it is time to.
    pub(crate) fn show(&mut self, state: impl Display) {
        let every = if self.terminal { ON_A_TERMINAL } else { IN_A_LOG };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let mut stderr = io::stderr().lock();
        // A command that nobody watches goes on.
        let _ = match self.terminal {
            true => write!(stderr, "\r\x1b[K{state}").and_then(|()| stderr.flush()),
            false => writeln!(stderr, "{state}"),
        };
    }

    /// Prints a line that stays.
    pub(crate) fn note(&mut self, line: impl Display) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(io::stderr(), "{clear}{line}");
    }

    /// Takes the line off the terminal; how long it has been.
    pub(crate) fn end(self) -> Duration {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        self.started.elapsed()
    }
}

/// Files and what they take, for a reader.
pub(crate) struct Amount(pub(crate) FileCount);

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = (1 << 20) as f64;
        write!(f, "{} files ({:.1} MiB)", self.0.files, self.0.bytes as f64 / MIB)
    }
}

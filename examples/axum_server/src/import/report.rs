//! What an import did.

use std::{
    fmt,
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use registry_core::record::Brought;

use super::source::SourceFile;
use crate::error::Error;

/// What became of all lines.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) files: usize,
    pub(super) new: usize,
    pub(super) already_here: usize,
    pub(super) yank_changed: usize,
    pub(super) left_out: Vec<LeftOutLine>,
}

/// What was not brought over, and why.
#[derive(Debug)]
pub(super) struct LeftOutLine {
    pub(super) path: PathBuf,
    /// Counted from 1; none if it is about the whole file.
    pub(super) line: Option<usize>,
    pub(super) reason: String,
}

impl Report {
    /// Counts a line that is here now.
    pub(super) fn count(&mut self, brought: Brought) {
        match brought {
            Brought::New => self.new += 1,
            Brought::AlreadyHere => self.already_here += 1,
            Brought::YankChanged => self.yank_changed += 1,
        }
    }

    /// Notes a line that is not, or a whole file.
    pub(super) fn leave_out(&mut self, file: &SourceFile, line: Option<usize>, reason: String) {
        self.left_out.push(LeftOutLine { path: file.path.clone(), line, reason });
    }

    /// Adds what became of further lines.
    pub(super) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.new += other.new;
        self.already_here += other.already_here;
        self.yank_changed += other.yank_changed;
        self.left_out.extend(other.left_out);
    }

    /// Prints what was left out to stderr, a line each, and the numbers to stdout.
    pub(super) fn print(&mut self, time: Duration) -> Result<(), Error> {
        self.left_out.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        let mut stderr = io::stderr().lock();
        for left_out in &self.left_out {
            // Whoever does not read this still has the numbers.
            let _ = writeln!(stderr, "left out: {left_out}");
        }
        let Self { files, new, already_here, yank_changed, left_out } = self;
        let left_out = left_out.len();
        let seconds = time.as_secs_f64();
        writeln!(
            io::stdout(),
            "{files} index files: {new} versions new, {already_here} already here, \
             {yank_changed} yank changed, {left_out} left out; {seconds:.1} s"
        )
        .map_err(Error::Print)
    }
}

impl fmt::Display for LeftOutLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.line {
            Some(line) => format!("{}:{line}: {}", self.path.display(), self.reason),
            None => format!("{}: {}", self.path.display(), self.reason),
        };
        // Names and lines are somebody else's: a terminal must not obey them.
        let is_obeyed = |c: char| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        text.chars().try_for_each(|c| match is_obeyed(c) {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_does_not_obey_what_is_shown() {
        let line = LeftOutLine {
            path: "ü/\u{1b}[2J".into(),
            line: Some(7),
            reason: "\"it's\" \u{202e}\nbad".into(),
        };
        assert_eq!(line.to_string(), "ü/\\u{1b}[2J:7: \"it's\" \\u{202e}\\nbad");
    }
}

//! Showing an error with what caused it in a log or a report.

use std::{error::Error, fmt};

/// Displays an error and its causes on one line, each behind a colon.
///
/// A cause that is in the message above it, as those of some libraries are, is not repeated.
///
/// ```
/// use std::io;
/// use registry_core::{Causes, StoreError};
///
/// let error = StoreError::failed("tape", io::Error::other("torn"));
/// assert_eq!(error.to_string(), "crate store tape failed");
/// assert_eq!(Causes(&error).to_string(), "crate store tape failed: torn");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        f.write_str(&text.replace('\n', " "))
    }
}

/// The same as a value, for a report that outlives the error.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> Box<str> {
    Causes(error).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Failed {
        text: &'static str,
        source: Option<Box<Failed>>,
    }

    fn chain(texts: &[&'static str]) -> Option<Box<Failed>> {
        let (&text, rest) = texts.split_first()?;
        Some(Failed { text, source: chain(rest) }.into())
    }

    #[test]
    fn each_cause_is_told_once_and_on_one_line() {
        for (texts, expected) in [
            (&["a"][..], "a"),
            (&["publish failed", "put failed", "gone"], "publish failed: put failed: gone"),
            (&["bucket: 404: <a>\n<b>", "404: <a>\n<b>", "reset"], "bucket: 404: <a> <b>: reset"),
        ] {
            let error = chain(texts).unwrap();
            assert_eq!(Causes(&*error).to_string(), expected);
        }
    }
}

//! Showing text from a request in an answer or a log.

use std::fmt;

/// Displays text that came from outside: at most 100 characters, escaped.
///
/// No control, bidirectional or terminal escape byte of a request reaches an answer or a log, and
/// no answer grows with the length of what was sent. Source: ours.
#[derive(Clone, Copy, Debug)]
pub struct Echo<'a>(pub &'a str);

impl Echo<'_> {
    /// Most characters shown.
    pub const MAX_CHARS: usize = 100;
}

impl fmt::Display for Echo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(Self::MAX_CHARS).map_or(self.0.len(), |(at, _)| at);
        write!(f, "{}", self.0[..end].escape_debug())?;
        if end < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_shown_as_it_is() {
        assert_eq!(Echo("serde-json 1.0.0+b").to_string(), "serde-json 1.0.0+b");
    }

    #[test]
    fn control_and_bidi_characters_are_escaped() {
        assert_eq!(Echo("a\u{1b}[2J\u{202e}\n").to_string(), "a\\u{1b}[2J\\u{202e}\\n");
    }

    #[test]
    fn text_is_cut_between_characters() {
        let shown = Echo(&"é".repeat(101)).to_string();
        assert_eq!(shown, format!("{}…", "é".repeat(100)));
    }
}

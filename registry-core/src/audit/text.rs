use std::fmt;

/// A short text on one line, such as any place takes it: a database, a log, a terminal.
///
/// Made of any text: control characters and those that change the direction of writing are shown by
/// their numbers, and what is too long is cut. Source: ours.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AuditText(Box<str>);

impl AuditText {
    /// Most characters of a text that are kept.
    pub const MAX_CHARS: usize = 500;

    /// The text, as it can be kept.
    pub fn new(text: &str) -> Self {
        let mut kept = String::new();
        let mut left = Self::MAX_CHARS;
        for char in text.chars() {
            let shown = if is_plain(char) { 1 } else { char.escape_unicode().count() };
            let Some(rest) = left.checked_sub(shown) else {
                kept.push('…');
                break;
            };
            left = rest;
            match is_plain(char) {
                true => kept.push(char),
                false => kept.extend(char.escape_unicode()),
            }
        }
        Self(kept.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character neither ends a line nor speaks to a terminal, nor deceives who reads it.
pub(crate) fn is_plain(char: char) -> bool {
    let misleads = matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    );
    !char.is_control() && !misleads
}

impl fmt::Display for AuditText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AuditText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_kept_as_it_is() {
        for text in ["", "crate `a` doesn't exist", "\"é\" \u{1f980}"] {
            assert_eq!(AuditText::new(text).as_str(), text);
        }
    }

    #[test]
    fn nothing_ends_the_line_or_speaks_to_a_terminal() {
        let text = AuditText::new("a\0b\nc\u{1b}[2J\u{9b}\u{202e}\u{2028}\u{61c}\u{e0041}");
        assert_eq!(text.as_str(), r"a\u{0}b\u{a}c\u{1b}[2J\u{9b}\u{202e}\u{2028}\u{61c}\u{e0041}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let most = "é".repeat(500);
        assert_eq!(AuditText::new(&most).as_str(), most);
        assert_eq!(AuditText::new(&format!("{most}x")).as_str(), format!("{most}…"));
        assert_eq!(AuditText::new(&"\0".repeat(101)).as_str(), r"\u{0}".repeat(100) + "…");
    }

    #[test]
    fn what_was_kept_stays_as_it_is() {
        for text in ["é".repeat(600), "\0".repeat(600), format!("{}\0", "x".repeat(499))] {
            let kept = AuditText::new(&text);
            assert_eq!(AuditText::new(kept.as_str()), kept);
        }
    }
}

//! Showing text from a request in an answer or a log.

use std::fmt;

use crate::auth::Token;

/// Displays text that came from outside: at most 100 characters, escaped, and of a token no more
/// than what all begin with.
///
/// No control, bidirectional or terminal escape byte of a request reaches an answer or a log, no
/// answer grows with the length of what was sent, and a token that somebody pasted into the wrong
/// field stays with them. Source: ours.
#[derive(Clone, Copy, Debug)]
pub struct Echo<'a>(pub &'a str);

impl Echo<'_> {
    /// Most characters shown.
    pub const MAX_CHARS: usize = 100;
}

impl fmt::Display for Echo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Before it is cut: half a token would not be seen to be one.
        let text = masked(self.0);
        let end = text.char_indices().nth(Self::MAX_CHARS).map_or(text.len(), |(at, _)| at);
        write!(f, "{}", text[..end].escape_debug())?;
        if end < text.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// A text in which `…` stands for what is in it of tokens, misspelt ones too.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(Token::PREFIX) {
        let (before, token) = rest.split_at(at + Token::PREFIX.len());
        let digits = token.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(token.len());
        masked += before;
        masked += if digits < Token::SECRET_DIGITS { &token[..digits] } else { "…" };
        rest = &token[digits..];
    }
    masked + rest
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
    fn tokens_are_not_shown() {
        let token = Token::generate().unwrap();
        let (token, misspelt) = (token.expose(), token.expose().to_owned() + "x");
        assert_eq!(Echo(token).to_string(), "crg_…");
        assert_eq!(Echo(&format!("`{token}*`, `{misspelt}`")).to_string(), "`crg_…*`, `crg_…`");
        // Cut off in the middle, it would be shown all the same.
        let before = "x".repeat(70);
        assert_eq!(Echo(&format!("{before}{token}")).to_string(), format!("{before}crg_…"));
        let name = "crg_parser crg_";
        assert_eq!(Echo(name).to_string(), name);
    }

    #[test]
    fn text_is_cut_between_characters() {
        let shown = Echo(&"é".repeat(101)).to_string();
        assert_eq!(shown, format!("{}…", "é".repeat(100)));
    }
}

//! What a TOML document would cost to parse, found without parsing it.

use toml_parser::{Source, lexer::TokenKind};

use super::json::MAX_DEPTH;

/// Refuses a document that is nested deeper than [`MAX_DEPTH`], dotted keys and headers counted, or
/// has more than `max_tokens` tokens.
///
/// Whoever walks the parsed document, if only to free it, calls itself for each level; and each
/// token of two bytes becomes a hundred bytes of parsed document. Looks at tokens alone: what is
/// not TOML gets some verdict here, and an error from the parser.
pub(super) fn check(text: &str, max_tokens: usize) -> Result<(), String> {
    let mut scan = Scan::default();
    for (count, token) in Source::new(text).lex().enumerate() {
        if count >= max_tokens {
            return Err(format!("more than {max_tokens} tokens"));
        }
        scan.next(token.kind());
        if scan.deepest > MAX_DEPTH {
            return Err("nested too deeply".into());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Scan {
    /// Levels of the header that the current lines stand under.
    header: usize,
    /// Levels at which each open bracket's content stands.
    open: Vec<Bracket>,
    /// Dots of the key being read, or of the one whose value is being read.
    dots: usize,
    place: Place,
    deepest: usize,
}

#[derive(Default, PartialEq)]
enum Place {
    #[default]
    Key,
    Header,
    Value,
}

struct Bracket {
    depth: usize,
    is_table: bool,
}

impl Scan {
    fn next(&mut self, token: TokenKind) {
        match token {
            TokenKind::Newline if self.open.is_empty() => {
                self.place = Place::Key;
                self.dots = 0;
            }
            TokenKind::Equals => self.place = Place::Value,
            TokenKind::Dot if self.place == Place::Header => self.header += 1,
            TokenKind::Dot if self.place == Place::Key => self.dots += 1,
            TokenKind::LeftSquareBracket if self.open.is_empty() && self.place == Place::Key => {
                self.place = Place::Header;
                self.header = 1;
            }
            // The second one of `[[header]]`: a table in an array.
            TokenKind::LeftSquareBracket if self.place == Place::Header => self.header += 1,
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                let is_table = token == TokenKind::LeftCurlyBracket;
                self.open.push(Bracket { depth: self.depth() + 1, is_table });
                self.place = if is_table { Place::Key } else { Place::Value };
                self.dots = 0;
            }
            // The end of a header changes nothing until the line ends.
            TokenKind::RightSquareBracket if self.place == Place::Header => {}
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                self.open.pop();
                self.place = Place::Value;
            }
            TokenKind::Comma if self.open.last().is_some_and(|bracket| bracket.is_table) => {
                self.place = Place::Key;
                self.dots = 0;
            }
            _ => {}
        }
        self.deepest = self.deepest.max(self.depth());
    }

    /// The level of what is being read.
    fn depth(&self) -> usize {
        self.open.last().map_or(self.header, |bracket| bracket.depth) + self.dots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_DEEP: &str = "nested too deeply";

    #[test]
    fn every_way_of_nesting_counts() {
        let dots = |levels: usize| vec!["a"; levels].join(".");
        for at_limit in [
            format!("x = {}{}", "[".repeat(64), "]".repeat(64)),
            format!("x = {}{}", "{a=".repeat(63), "{}".to_owned() + &"}".repeat(63)),
            format!("[{}]", dots(64)),
            format!("[[{}]]", dots(63)),
            format!("{} = 1", dots(65)),
            format!("[{}]\n{} = [[]]", dots(32), dots(31)),
            format!("x = [{{{} = 1}}]", dots(63)),
            format!("x = [{{a.b = 1, {} = 1}}]", dots(63)),
        ] {
            assert_eq!(check(&at_limit, 1000), Ok(()), "{at_limit}");
            let deeper = match at_limit.rsplit_once('a') {
                Some((before, behind)) => format!("{before}a.a{behind}"),
                None => at_limit.replacen('[', "[[", 1),
            };
            assert_eq!(check(&deeper, 1000), Err(TOO_DEEP.into()), "{deeper}");
        }
        assert_eq!(check(&"[".repeat(100_000), 1000), Err(TOO_DEEP.into()));
        assert_eq!(check(&format!("x = {}", "[".repeat(100_000)), 1000), Err(TOO_DEEP.into()));
    }

    #[test]
    fn what_stands_in_strings_and_numbers_does_not_count() {
        let brackets = "[{.".repeat(100);
        for text in [
            format!("x = \"{brackets}\""),
            format!("x = '''\n{brackets}\n'''"),
            format!("# {brackets}"),
            format!("x = [{}]", "1.5, ".repeat(100)),
            format!("x = [{}]", "[1.5], ".repeat(100)),
            "[a.b]\n".repeat(100),
            "a.b.c = 1\n".repeat(100),
        ] {
            assert_eq!(check(&text, 2000), Ok(()), "{text}");
        }
    }

    #[test]
    fn tokens_are_counted_to_the_limit() {
        // Key, equals, value, newline, and the end.
        assert_eq!(check("a=1\n", 5), Ok(()));
        assert_eq!(check("a=1\n", 4), Err("more than 4 tokens".into()));
    }
}

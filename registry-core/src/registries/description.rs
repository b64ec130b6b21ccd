use std::{fmt, str::FromStr, sync::Arc};

use crate::audit::text::is_plain;

/// What a registry is for, in the words of whoever runs it: one line of at most 256 characters, or
/// nothing, which is the default.
///
/// It holds no control character, so no tab and no end of a line, and none that is invisible or
/// changes the direction of writing: it may stand in a table, and on a terminal. Blanks around it
/// are no part of it. Source: ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryDescription(Arc<str>);

impl RegistryDescription {
    /// Most characters (Unicode scalar values) of a description.
    pub const MAX_CHARS: usize = 256;

    /// Checks a description.
    ///
    /// # Errors
    /// [`InvalidRegistryDescription`] if the text is too long or has a character that may not be
    /// in it.
    pub fn new(text: &str) -> Result<Self, InvalidRegistryDescription> {
        if let Some(character) = text.chars().find(|char| !is_plain(*char)) {
            return Err(InvalidRegistryDescription::Character { character });
        }
        let text = text.trim();
        match text.chars().count() {
            chars if chars > Self::MAX_CHARS => Err(InvalidRegistryDescription::TooLong { chars }),
            _ => Ok(Self(text.into())),
        }
    }

    /// The text; empty if nothing is said.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegistryDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RegistryDescription {
    type Err = InvalidRegistryDescription;
    fn from_str(text: &str) -> Result<Self, InvalidRegistryDescription> {
        Self::new(text)
    }
}

/// A text is no description of a registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRegistryDescription {
    /// It is too long.
    #[error(
        "the description of a registry is {chars} characters, limit {}",
        RegistryDescription::MAX_CHARS
    )]
    TooLong {
        /// How many characters it has.
        chars: usize,
    },
    /// It has a character that ends a line, speaks to a terminal or misleads a reader.
    #[error(
        "the description of a registry is one line of plain text: take `{}` out of it",
        character.escape_unicode()
    )]
    Character {
        /// The first of them.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_any_one_line_up_to_its_limit() {
        let longest = "ß".repeat(256);
        for (text, kept) in [
            ("", ""),
            ("Crates of the build team", "Crates of the build team"),
            ("„Größe“ 日本語 🦀 \"a\\b\" 'c'; -- $1", "„Größe“ 日本語 🦀 \"a\\b\" 'c'; -- $1"),
            (&longest, &longest),
            ("  \u{a0}a  b\u{3000} ", "a  b"),
            ("   ", ""),
            (&format!(" {longest} "), &longest),
        ] {
            let description = RegistryDescription::new(text);
            assert_eq!(description, Ok(RegistryDescription(kept.into())), "{text:?}");
        }
        assert_eq!(RegistryDescription::default(), RegistryDescription("".into()));
    }

    #[test]
    fn what_is_longer_or_no_plain_line_is_refused_and_said() {
        let too_long = InvalidRegistryDescription::TooLong { chars: 257 };
        let told = "the description of a registry is 257 characters, limit 256";
        assert_eq!(too_long.to_string(), told);
        assert_eq!(RegistryDescription::new(&"ß".repeat(257)), Err(too_long));

        for character in [
            '\0',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{200b}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{2066}',
            '\u{feff}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{e0041}',
        ] {
            for text in [format!("a{character}b"), format!("a{character}"), character.into()] {
                let refused = InvalidRegistryDescription::Character { character };
                assert_eq!(RegistryDescription::new(&text), Err(refused), "{text:?}");
            }
        }
        let refused = InvalidRegistryDescription::Character { character: '\n' };
        let told =
            "the description of a registry is one line of plain text: take `\\u{a}` out of it";
        assert_eq!(refused.to_string(), told);
    }
}

//! What cargo fetches of one crate, and what says whether it has changed.

use std::fmt;

use bytes::Bytes;

use crate::{checksum::Checksum, name::CrateName, short_text::ShortText};

/// All lines of one crate, as cargo fetches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// The crate's name as first published: it says under which path the file is served.
    pub name: CrateName,
    /// The validator of exactly this body.
    pub etag: ETag,
    /// The lines, each with its line end.
    pub body: Bytes,
}

/// A strong validator of an index file: changes if and only if the bytes do.
///
/// It is taken from the content, so that it stays true across backends, restarts and a yank that
/// is undone. Source: RFC 9110 section 8.8.3; what it is made of is ours.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ETag(ShortText<{ ETag::DIGITS + 2 }>);

impl ETag {
    const DIGITS: usize = 32;

    /// The validator of a body.
    pub fn of(body: &[u8]) -> Self {
        Self::of_checksum(&Checksum::of(body))
    }

    /// The validator of the body with this checksum.
    pub(crate) fn of_checksum(checksum: &Checksum) -> Self {
        let checksum = checksum.to_string();
        // 128 bits: nobody gains by two files of one crate that share a validator.
        Self::of_digits(&checksum[..Self::DIGITS]).expect("they are lower-case hexadecimal")
    }

    /// Reads back what [`ETag::as_str`] gave; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_digits(text.strip_prefix('"')?.strip_suffix('"')?)
    }

    /// Reads what stands between the quotes; `None` for any other text.
    pub fn of_digits(digits: &str) -> Option<Self> {
        let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != Self::DIGITS || !digits.bytes().all(lower_hex) {
            return None;
        }
        ShortText::concat(["\"", digits, "\""]).map(Self)
    }

    /// The validator with its quotes, as an `ETag` header has it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_taken_from_the_content() {
        let etag = ETag::of(b"abc");
        assert_eq!(etag.as_str(), "\"ba7816bf8f01cfea414140de5dae2223\"");
        assert_eq!(ETag::parse(etag.as_str()), Some(etag));
        for text in [
            "",
            "\"\"",
            "ba7816bf8f01cfea414140de5dae2223",
            "\"BA7816BF8F01CFEA414140DE5DAE2223\"",
            "W/\"ba7816bf8f01cfea414140de5dae2223\"",
        ] {
            assert_eq!(ETag::parse(text), None, "{text}");
        }
    }
}

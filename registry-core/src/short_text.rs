//! Texts that are as short as names are.

use std::hash::{Hash, Hasher};

/// An ASCII text of up to `N` characters, and at most 255, that is held in place: it is made, copied
/// and dropped without the allocator. It takes the room of the longest, however short it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShortText<const N: usize> {
    /// Zero behind the text. So texts are in the order that they have as `str`.
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> ShortText<N> {
    /// `None` if the text is longer, or is not ASCII.
    pub(crate) fn new(text: &str) -> Option<Self> {
        Self::concat([text])
    }

    /// The parts one behind the other; `None` as [`ShortText::new`].
    pub(crate) fn concat<const PARTS: usize>(parts: [&str; PARTS]) -> Option<Self> {
        let (mut bytes, mut len) = ([0; N], 0);
        for part in parts {
            if !part.is_ascii() {
                return None;
            }
            bytes.get_mut(len..len + part.len())?.copy_from_slice(part.as_bytes());
            len += part.len();
        }
        Some(Self { bytes, len: len.try_into().ok()? })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("it is ASCII")
    }

    /// The same in lower case, with `-` as `_`.
    pub(crate) fn folded(&self) -> Self {
        let fold = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
        Self { bytes: self.bytes.map(fold), len: self.len }
    }
}

impl<const N: usize> Hash for ShortText<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Most are much shorter than they may be.
        self.as_bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_it_was_made_of_or_none() {
        for text in ["", "a", "abcd"] {
            let short = ShortText::<4>::new(text).unwrap();
            assert_eq!((short.as_str(), short.as_bytes()), (text, text.as_bytes()));
        }
        for text in ["abcde", "ä"] {
            assert!(ShortText::<4>::new(text).is_none(), "{text:?}");
        }
        assert_eq!(ShortText::<4>::concat(["ab", "", "cd"]), ShortText::new("abcd"));
        assert!(ShortText::<4>::concat(["abc", "de"]).is_none());
        let long = "x".repeat(256);
        assert!(ShortText::<256>::new(&long).is_none());
        assert_eq!(ShortText::<256>::new(&long[1..]).unwrap().as_str(), &long[1..]);
    }

    #[test]
    fn texts_have_the_order_of_their_characters() {
        let mut texts = ["b", "a-b", "ab", "a", "abc", "", "a\0", "B"];
        texts.sort_by_key(|text| ShortText::<3>::new(text).unwrap());
        assert_eq!(texts, ["", "B", "a", "a\0", "a-b", "ab", "abc", "b"]);
    }
}

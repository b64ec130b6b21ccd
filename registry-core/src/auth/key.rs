use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha384};

/// A public key that somebody signs tokens for: a compressed point of the curve P-384, written as
/// `k3.public.` and 66 characters. Source: RFC 3231; PASERK, "public".
///
/// `cargo login --generate-keypair` prints one. No secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub(crate) [u8; 49]);

impl PublicKey {
    const HEADER: &'static str = "k3.public.";

    /// Reads a key. Whether its coordinate is that of a point shows when it is used.
    ///
    /// # Errors
    /// [`KeyParseError`] if the text has not the form of one.
    pub fn new(text: &str) -> Result<Self, KeyParseError> {
        // The first byte says which of the two points of this coordinate it is.
        let bytes = decode(text, Self::HEADER).filter(|bytes| matches!(bytes[0], 2 | 3));
        bytes.map(Self).ok_or(KeyParseError::PublicKey)
    }

    /// The name under which tokens refer to it.
    pub fn id(&self) -> KeyId {
        let mut hasher = Sha384::new();
        hasher.update(KeyId::HEADER);
        hasher.update(self.to_string());
        let digest = hasher.finalize();
        let first = digest.first_chunk::<{ KeyId::BYTES }>();
        KeyId(encode(KeyId::HEADER, first.expect("a digest has 48 bytes")).into())
    }

    /// The compressed point.
    pub fn as_bytes(&self) -> &[u8; 49] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(Self::HEADER, &self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyParseError;

    fn from_str(text: &str) -> Result<Self, KeyParseError> {
        Self::new(text)
    }
}

/// The name of a [`PublicKey`], which is made of the key itself: `k3.pid.` and 44 characters.
/// Source: PASERK, "pid".
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    const BYTES: usize = 33;
    const HEADER: &'static str = "k3.pid.";

    /// Reads a key's name.
    ///
    /// # Errors
    /// [`KeyParseError`] if the text has not the form of one.
    pub fn new(text: &str) -> Result<Self, KeyParseError> {
        let bytes: Option<[u8; Self::BYTES]> = decode(text, Self::HEADER);
        bytes.map(|_| Self(text.into())).ok_or(KeyParseError::Id)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyParseError;

    fn from_str(text: &str) -> Result<Self, KeyParseError> {
        Self::new(text)
    }
}

impl From<KeyId> for Arc<str> {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

/// A text is no key, or no name of one. It does not repeat the text, for people paste secret keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyParseError {
    /// No public key.
    #[error("a public key is `k3.public.` and 66 letters, digits, `-` and `_`")]
    PublicKey,
    /// No name of a key.
    #[error("the id of a key is `k3.pid.` and 44 letters, digits, `-` and `_`")]
    Id,
}

/// Exactly so many bytes, in the one way of writing them.
fn decode<const BYTES: usize>(text: &str, header: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let text = text.strip_prefix(header).filter(|text| text.len() == (BYTES * 8).div_ceil(6))?;
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(count) if count == BYTES => Some(bytes),
        _ => None,
    }
}

fn encode(header: &str, bytes: &[u8]) -> String {
    let mut text = header.to_owned();
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // Source: RFC 3231, "A Simple Read Operation".
    const KEY: &str =
        "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
    const ID: &str = "k3.pid.QB3WNBP-5j-0XQV2MOuvuOcLlJ8uz-pmqtIZus1x3YTu";

    #[test]
    fn a_key_has_the_name_that_the_rfc_gives_it() {
        let key = PublicKey::new(KEY).unwrap();
        assert_eq!((key.to_string(), key.id().to_string()), (KEY.into(), ID.into()));
        assert_eq!(key.id(), KeyId::new(ID).unwrap());
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let (short, long) = (&KEY[..KEY.len() - 1], format!("{KEY}A"));
        let secret = "k3.secret.fNYVuMvBgOlljt9TDohnaYLblghqaHoQquVZwgR6X12cBFHZLFsaU3q7X3k1Zn36";
        let uncompressed = KEY.replace(".Am", ".BG");
        // The last character holds four bits of the key: the two others have to be zero.
        let other_spelling = KEY.replace("PkQ", "PkR");
        let others = [
            "",
            "k3.public.",
            short,
            &long,
            secret,
            ID,
            &uncompressed,
            &other_spelling,
            &KEY.replace('_', "/"),
            &format!("{short}="),
            &format!(" {KEY}"),
        ];
        for text in others {
            assert_eq!(PublicKey::new(text), Err(KeyParseError::PublicKey), "{text}");
        }
        for text in ["", KEY, &ID[..ID.len() - 1], &format!("{ID}A"), "k4.pid.QB3WNBP"] {
            assert_eq!(KeyId::new(text), Err(KeyParseError::Id), "{text}");
        }
    }
}

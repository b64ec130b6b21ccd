//! How a crate file is encrypted: in chunks, so that a part of it can be read without the rest.
//!
//! ```text
//! chunk 0 | tag | chunk 1 | tag | … | last chunk | tag
//! ```
//!
//! Each chunk has 64 KiB of the file, the last one what is left, and is sealed by
//! ChaCha20-Poly1305 (RFC 8439) with its number, and whether it is the last one, as the nonce: a
//! chunk that was cut off, moved or added fails. Every file has a key of its own, made by HMAC-SHA256
//! of the secret and the name, version and checksum of the file: a file in place of another fails,
//! too.
//!
//! Nothing is random. What is sealed under a key is what has the checksum in it, and nothing else
//! ever is, so no nonce is used for two texts. In return putting a file again writes the same bytes
//! again, and a reader that comes in between sees no seam. Who sees two encrypted files learns which
//! crates they are and how long, for that is said by their names, and no more.

use std::{fmt, str::FromStr};

use chacha20poly1305::{
    ChaCha20Poly1305, Nonce,
    aead::{Aead as _, KeyInit as _},
};
use hmac::{Hmac, Mac as _};
use registry_core::store::CrateKey;
use sha2::Sha256;

/// Bytes of a file in one chunk.
pub(crate) const CHUNK: u64 = 64 * 1024;
const TAG: u64 = 16;
/// Bytes of a chunk as it is stored.
pub(crate) const SEALED: u64 = CHUNK + TAG;

/// Told apart from whatever else may be made of the secret one day.
const PURPOSE: &[u8] = b"crate file, ChaCha20-Poly1305 in chunks of 64 KiB: ";

/// What all keys are made of. Without it no file can be read.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// Printed nowhere.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// The text is not a secret. It is not shown: it may be one all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is 64 hexadecimal digits")]
pub struct InvalidSecret;

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let digit = |byte: u8| (byte as char).to_digit(16).ok_or(InvalidSecret);
        let mut secret = [0; 32];
        if text.len() != 2 * secret.len() {
            return Err(InvalidSecret);
        }
        for (byte, pair) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = (16 * digit(pair[0])? + digit(pair[1])?) as u8;
        }
        Ok(Self(secret))
    }
}

/// Seals and opens the chunks of one file.
pub(crate) struct FileCipher(ChaCha20Poly1305);

impl FileCipher {
    pub(crate) fn new(secret: &Secret, key: &CrateKey) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("it takes keys of any length");
        let mac = mac.chain_update(PURPOSE).chain_update(key.to_string());
        Self(ChaCha20Poly1305::new(&mac.finalize().into_bytes()))
    }

    pub(crate) fn seal(&self, number: u64, is_last: bool, chunk: &[u8]) -> Vec<u8> {
        let sealed = self.0.encrypt(&nonce(number, is_last), chunk);
        sealed.expect("a chunk is shorter than 256 GiB")
    }

    /// `None` if these are not the bytes that were sealed as this chunk of this file.
    pub(crate) fn open(&self, number: u64, is_last: bool, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(&nonce(number, is_last), sealed).ok()
    }
}

fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[8] = is_last.into();
    nonce
}

/// How many chunks a file has: at least the last one, so that a file of nothing is told from
/// nothing.
pub(crate) fn chunks(size: u64) -> u64 {
    size.div_ceil(CHUNK).max(1)
}

/// How long a file is that is stored in so many bytes; `None` if no file is.
pub(crate) fn opened_size(sealed: u64) -> Option<u64> {
    let chunks_of = sealed.div_ceil(SEALED);
    let size = sealed.checked_sub(chunks_of * TAG)?;
    (chunks(size) == chunks_of).then_some(size)
}

/// In how many bytes a file is stored.
pub(crate) fn sealed_size(size: u64) -> u64 {
    size + chunks(size) * TAG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_leads_to_the_stored_one_and_back() {
        for (size, sealed) in [
            (0, 16),
            (1, 17),
            (CHUNK - 1, CHUNK + 15),
            (CHUNK, CHUNK + 16),
            (CHUNK + 1, CHUNK + 33),
            (2 * CHUNK, 2 * CHUNK + 32),
            (1 << 30, (1 << 30) + (1 << 18)),
        ] {
            assert_eq!(sealed_size(size), sealed);
            assert_eq!(opened_size(sealed), Some(size));
        }
        for sealed in [0, 15, CHUNK + 17, CHUNK + 32, 2 * SEALED + 1, 2 * SEALED + 16] {
            assert_eq!(opened_size(sealed), None, "{sealed}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let text = "000102030405060708090a0b0c0d0e0F101112131415161718191a1b1c1d1e1f";
        let secret: Secret = text.parse().unwrap();
        let expected: Vec<u8> = (0..32).collect();
        assert_eq!(secret.0[..], expected);
        assert_eq!(format!("{secret:?}"), "Secret { .. }");
        let longer = format!("{text}0");
        for wrong in ["", &text[1..], &longer, &text.replace('a', "g"), &text.replace("0e", "é")] {
            assert_eq!(wrong.parse::<Secret>().unwrap_err(), InvalidSecret);
        }
    }
}

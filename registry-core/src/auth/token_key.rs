use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::TokenDigest;
use crate::checksum::Checksum;

/// The secret with which a store hashes tokens, 256 bits from the operating system.
///
/// Each store makes one of its own and keeps it beside the tokens. Then what leaks of the tokens
/// alone (a column, an export, a log of statements) says nothing about any token, not even whether
/// one that somebody holds is among them. Whoever gets all of the store gets the key with it, and is
/// still before 256 random bits. A key from outside takes its place for new tokens: then a copy of
/// the database, or a backup, is not enough to recognise one of them. Whoever can write there can
/// still plant one, under a key of the store.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// Makes a key from the operating system's random numbers.
    ///
    /// # Errors
    /// Whatever the operating system says, if it has none to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// A key from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, to keep where tokens are kept and nowhere else.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA-256 of a digest under this key. Source: RFC 2104.
    pub fn hash(&self, digest: &TokenDigest) -> TokenHash {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key has any length");
        mac.update(digest.as_bytes());
        TokenHash::from_bytes(mac.finalize().into_bytes().into())
    }
}

/// 64 hexadecimal digits in lowercase, as `openssl rand -hex 32` prints them.
impl FromStr for TokenKey {
    type Err = TokenKeyParseError;

    fn from_str(text: &str) -> Result<Self, TokenKeyParseError> {
        let bytes: Checksum = text.parse().map_err(|_| TokenKeyParseError)?;
        Ok(Self(*bytes.as_bytes()))
    }
}

/// A text is not a key. It is not repeated: it may be nearly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key for tokens is 64 hexadecimal digits in lowercase")]
pub struct TokenKeyParseError;

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

/// The keys of a store: mostly one. More of them if tokens came from other stores, or the key is
/// another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeys {
    first: TokenKey,
    others: Vec<TokenKey>,
}

impl TokenKeys {
    /// The key from outside, if there is one, and those of the store. `None` if there is no key.
    pub fn new(
        outside: Option<TokenKey>,
        stored: impl IntoIterator<Item = TokenKey>,
    ) -> Option<Self> {
        let mut keys = outside.into_iter().chain(stored);
        Some(Self { first: keys.next()?, others: keys.collect() })
    }

    /// What to store of a new token.
    pub fn hash(&self, digest: &TokenDigest) -> TokenHash {
        self.first.hash(digest)
    }

    /// What may be stored of a token: one for each key, that for new ones first.
    pub fn hashes(&self, digest: &TokenDigest) -> impl Iterator<Item = TokenHash> {
        [&self.first].into_iter().chain(&self.others).map(|key| key.hash(digest))
    }
}

/// What is stored of a token, and found by lookup: a [`TokenDigest`] under a [`TokenKey`].
///
/// The time of a lookup tells nothing about a token: nobody without the key knows what is compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(Checksum);

impl TokenHash {
    /// A hash from the 32 bytes that were stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// The 32 bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_the_hmac_of_the_sha_256() {
        // printf token | sha256sum, and of that: openssl dgst -sha256 -mac HMAC -macopt hexkey:07…
        let hash = TokenKey::from_bytes([7; 32]).hash(&TokenDigest::of("token"));
        let expected = "0c98e537b5e7b7909953ce08ecf5944167ffd8f30df577907198b25d4926fabc";
        assert_eq!(hash.0.to_string(), expected);
    }

    #[test]
    fn a_token_is_looked_for_under_each_key() {
        let [outside, first, second] = [1, 2, 3].map(|byte| TokenKey::from_bytes([byte; 32]));
        let digest = TokenDigest::of("token");
        let stored = [first.clone(), second.clone()];
        let keys = TokenKeys::new(Some(outside.clone()), stored.clone()).unwrap();
        assert_eq!(keys.hash(&digest), outside.hash(&digest));
        let expected = [outside, first.clone(), second].map(|key| key.hash(&digest));
        assert_eq!(keys.hashes(&digest).collect::<Vec<_>>(), expected);
        assert_eq!(TokenKeys::new(None, stored).unwrap().hash(&digest), first.hash(&digest));
        assert_eq!(TokenKeys::new(None, []), None);
    }

    #[test]
    fn a_key_is_64_digits() {
        let digits = "07".repeat(32);
        assert_eq!(digits.parse(), Ok(TokenKey::from_bytes([7; 32])));
        for text in ["", &digits[2..], &format!("{digits}07"), &"0G".repeat(32), &"AB".repeat(32)] {
            assert_eq!(text.parse::<TokenKey>(), Err(TokenKeyParseError));
        }
    }

    #[test]
    fn neither_key_nor_hash_prints_itself() {
        let key = TokenKey::from_bytes([7; 32]);
        assert_eq!(format!("{key:?}"), "TokenKey(…)");
        assert_eq!(format!("{:?}", key.hash(&TokenDigest::of("token"))), "TokenHash(…)");
    }
}

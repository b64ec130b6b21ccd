use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use super::TokenHash;
use crate::checksum::Checksum;

/// A new token, in the clear: to be shown once and never stored.
///
/// `<prefix>_`, 43 base-62 digits that hold 256 bits from the operating system, and 6 that hold
/// the CRC-32 of all before. Prefix and checksum let a leak scanner recognise a token without
/// asking anybody. Source: ours, after GitHub's token format.
pub struct Token(String);

impl Token {
    /// What a token begins with.
    pub const PREFIX: &'static str = "crg_";
    /// How many digits hold the secret.
    pub(crate) const SECRET_DIGITS: usize = 43;
    const CHECK_DIGITS: usize = 6;

    /// Makes a token from the operating system's random numbers.
    ///
    /// # Errors
    /// Whatever the operating system says, if it has none to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self::from_secret(secret))
    }

    fn from_secret(mut secret: [u8; 32]) -> Self {
        // Long division of the 256-bit number by 62, a digit at a time.
        let digits = (0..Self::SECRET_DIGITS).map(|_| {
            let remainder = secret.iter_mut().fold(0_u32, |remainder, byte| {
                let value = remainder << 8 | u32::from(*byte);
                *byte = u8::try_from(value / 62).expect("remainder is below 62");
                value % 62
            });
            base62(remainder)
        });
        let token: String = Self::PREFIX.chars().chain(digits).collect();
        let check = check_digits(&token);
        Self(token + &check)
    }

    /// Whether a text has the form of a token and a checksum that is right.
    pub fn is_well_formed(text: &str) -> bool {
        let length = Self::PREFIX.len() + Self::SECRET_DIGITS + Self::CHECK_DIGITS;
        text.len() == length
            && text.is_ascii()
            && text.starts_with(Self::PREFIX)
            && check_digits(&text[..length - Self::CHECK_DIGITS])
                == text[length - Self::CHECK_DIGITS..]
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What it is looked up by.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

fn check_digits(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = ['0'; Token::CHECK_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = base62(rest % 62);
        rest /= 62;
    }
    digits.iter().collect()
}

fn base62(digit: u32) -> char {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char::from(DIGITS[digit as usize])
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// SHA-256 of a token: what it is looked up by, and never stored.
///
/// A fast hash is right for a secret of 256 random bits. Stores keep the [`TokenHash`] that their
/// key makes of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest(Checksum);

impl TokenDigest {
    /// The digest of a token.
    pub fn of(token: &str) -> Self {
        Self(Checksum::of(token))
    }

    /// A digest from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

/// The public name of a token: to list and revoke it by, and for the audit trail.
///
/// The first 53 bits of what is stored of it, so that it goes with the token to another store, and a
/// number that every reader of JSON has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TokenId(u64);

impl TokenId {
    const MAX: u64 = (1 << 53) - 1;

    /// The id of the token that is stored as this.
    pub fn of(hash: &TokenHash) -> Self {
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        Self(u64::from_be_bytes(*first) >> 11)
    }

    /// An id that was read somewhere; `None` if no token has it.
    pub fn from_number(number: u64) -> Option<Self> {
        (number <= Self::MAX).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number.and_then(Self::from_number).ok_or(TokenIdError)
    }
}

impl<'de> Deserialize<'de> for TokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::from_number(number).ok_or_else(|| serde::de::Error::custom(TokenIdError))
    }
}

/// A text is not the id of a token. It is not repeated: it may be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a token is a number below 2^53, as `token list` shows it")]
pub struct TokenIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_documented_form() {
        // 0 and 2^256 - 1 in base 62, least digit first; the check digits computed with zlib's crc32.
        let zeros = Token::from_secret([0; 32]);
        assert_eq!(zeros.expose(), format!("crg_{}{}", "0".repeat(43), "4ViuA6"));
        let ones = Token::from_secret([0xff; 32]);
        assert_eq!(ones.expose(), "crg_1pX8wOr5j2ACunjH7GLL8mWZWHmY1LA1ZO6Adwksjhy0IPjnO");
        assert!(Token::is_well_formed(zeros.expose()) && Token::is_well_formed(ones.expose()));
    }

    #[test]
    fn a_mistyped_token_is_noticed() {
        let token = Token::generate().unwrap();
        assert!(Token::is_well_formed(token.expose()));
        let mut typed = token.expose().to_owned();
        let last = if typed.pop() == Some('a') { 'b' } else { 'a' };
        typed.push(last);
        assert!(!Token::is_well_formed(&typed));
        assert!(!Token::is_well_formed(&token.expose()[1..]));
        assert!(!Token::is_well_formed(""));
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn two_tokens_differ() {
        assert_ne!(Token::generate().unwrap().expose(), Token::generate().unwrap().expose());
    }

    #[test]
    fn an_id_is_the_first_53_bits_of_what_is_stored() {
        let id = |bytes: [u8; 32]| TokenId::of(&TokenHash::from_bytes(bytes));
        let mut bytes = [0; 32];
        bytes[6..8].copy_from_slice(&[0x08, 0x07]);
        assert_eq!(id(bytes).number(), 1);
        assert_eq!(id([0xff; 32]).number(), 9_007_199_254_740_991);
        assert_eq!("9007199254740991".parse(), Ok(id([0xff; 32])));
        for text in ["9007199254740992", "", "+1", "-1", "crg_1", "1 "] {
            assert_eq!(text.parse::<TokenId>(), Err(TokenIdError), "{text}");
        }
    }
}

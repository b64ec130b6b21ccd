use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{AuthError, Authenticator, Credential, Principal};
use crate::{
    BoxError,
    checksum::Checksum,
    owner::{Login, Owner},
};

/// A new token, in the clear: to be shown once and never stored.
///
/// `<prefix>_`, 43 base-62 digits that hold 256 bits from the operating system, and 6 that hold
/// the CRC-32 of all before. Prefix and checksum let a leak scanner recognise a token without
/// asking anybody. Source: ours, after GitHub's token format.
pub struct Token(String);

impl Token {
    /// What a token begins with.
    pub const PREFIX: &'static str = "crg_";
    const SECRET_DIGITS: usize = 43;
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

    /// What is stored instead.
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

/// SHA-256 of a token: what is stored, and what a token is looked up by.
///
/// A fast hash is right for a secret of 256 random bits. Looking up by digest keeps the time of
/// the lookup independent of how much of a guess is right.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest(Checksum);

impl TokenDigest {
    /// The digest of a token.
    pub fn of(token: &str) -> Self {
        Self(Checksum::of(token))
    }

    /// A digest from the 32 bytes that were stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// The 32 bytes to store.
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
/// The first 53 bits of its digest, so that it is the same wherever the token is kept, and a number
/// that every reader of JSON has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(u64);

impl TokenId {
    const MAX: u64 = (1 << 53) - 1;

    /// The id of the token of this digest.
    pub fn of(digest: &TokenDigest) -> Self {
        let first = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
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

/// Keeps users and the digests of their tokens.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Remembers a token of `login`, who becomes a user with an id of their own if they are none.
    /// Durable, and found by every process on the same data, when this returns.
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, AuthStoreError>;

    /// Whose token this is; `None` if nobody's.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, AuthStoreError>;

    /// The user of this login; `None` if there is none.
    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, AuthStoreError> {
        (**self).create(login, digest).await
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, AuthStoreError> {
        (**self).find(digest).await
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        (**self).user(login).await
    }
}

/// The token store failed.
#[derive(Debug, thiserror::Error)]
#[error("token store {backend} failed")]
pub struct AuthStoreError {
    /// The kind of store.
    pub backend: &'static str,
    /// What the store said.
    #[source]
    pub source: BoxError,
}

/// Authenticates by the tokens of a [`TokenStore`].
#[derive(Clone, Debug)]
pub struct TokenAuthenticator(Arc<dyn TokenStore>);

impl TokenAuthenticator {
    /// Knows the tokens in `store`.
    pub fn new(store: impl TokenStore) -> Self {
        Self(Arc::new(store))
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        // A text that is no token of ours is refused without asking the store.
        if !Token::is_well_formed(credential.expose()) {
            return Err(AuthError::Rejected);
        }
        let user = self.0.find(&credential.digest()).await?;
        user.map(|user| Arc::new(Principal::from(user))).ok_or(AuthError::Rejected)
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(self.0.user(login).await?)
    }
}

impl From<AuthStoreError> for AuthError {
    fn from(error: AuthStoreError) -> Self {
        Self::Backend(error.into())
    }
}

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
}

//! Tokens that their holders sign by themselves. Source: RFC 3231; PASETO, "Version 3".
//!
//! A pure function from a text, a key and the time to what the token says, or to what is wrong with
//! it; [`KeyAuthenticator`] finds the key. Cargo makes such tokens with `-Zasymmetric-token`.

mod authenticator;
mod claims;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p384::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use serde::Deserialize;

pub use self::authenticator::KeyAuthenticator;
use super::{Claim, Credential, KeyId, PublicKey};
use crate::{checksum::Checksum, record::Timestamp};

/// A token that somebody says to have signed with a certain key. Nothing of what it claims can be
/// read before the signature is checked.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use registry_core::auth::{PublicKey, paseto::{Expected, SignedToken}};
///
/// // The first token of RFC 3231, and its key.
/// let token = SignedToken::parse(concat!(
///     "v3.public.eyJpYXQiOiAiMjAyMi0wMi0yOFQxODozMzoyNCswMDowMCJ99q655qLlH5HYwCh86OGvPvY26X0rr",
///     "d7Ibci3fmHz6MgAKK3RugUQ1rvNRjBEJZvfWqqq2WxEOrjMujkuk8jpmJ2B_i3BTIzYYZZRhjZeWAi0erCNqmtFZ",
///     "MeC3_2oqSka.eyJ1cmwiOiAiaHR0cHM6Ly9yZWdpc3RyeS5jb20vY3JhdGUtaW5kZXgiLCAia2lkIjogImszLnBp",
///     "ZC5RQjNXTkJQLTVqLTBYUVYyTU91dnVPY0xsSjh1ei1wbXF0SVp1czF4M1lUdSJ9",
/// ))?;
/// let key: PublicKey =
///     "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ".parse()?;
/// assert_eq!(*token.key(), key.id());
/// let verified = token.verify(&key, &Expected {
///     now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_646_073_204),
///     index_urls: &["https://registry.com/crate-index".into()],
///     subject: None,
/// })?;
/// assert_eq!(verified.claim, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedToken {
    payload: Vec<u8>,
    signature: Signature,
    footer: Vec<u8>,
    url: String,
    key: KeyId,
}

/// What a token must fit to.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The time.
    pub now: SystemTime,
    /// The index URLs of the registry, as clients configure them: with `sparse+`.
    pub index_urls: &'a [String],
    /// What was registered with the key.
    pub subject: Option<&'a str>,
}

/// What the holder of a key says by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The one write that it is for; without one, it is for reading.
    pub claim: Option<Claim>,
    /// The last second in which it counts.
    pub until: Timestamp,
    /// SHA-256 of what was signed. Not of the token: of each signature there is a second one, which
    /// anybody can make of the first, and a token that was used must not come back with that.
    pub digest: Checksum,
}

impl SignedToken {
    /// What such a token begins with.
    pub const HEADER: &'static str = "v3.public.";
    /// Most bytes of a token.
    pub const MAX_BYTES: usize = Credential::MAX_BYTES;
    /// How long after it was made a token counts. Source: RFC 3231. Cargo makes one token for all
    /// that it reads.
    pub const MAX_AGE: Duration = Duration::from_mins(15);
    /// How far the clock of who makes a token may be ahead. Source: ours.
    pub const MAX_LEAD: Duration = Duration::from_mins(2);

    const SIGNATURE_BYTES: usize = 96;

    /// Takes a token apart.
    ///
    /// # Errors
    /// [`SignedTokenError`] if it has not the form of one, or does not name its key.
    pub fn parse(text: &str) -> Result<Self, SignedTokenError> {
        use SignedTokenError as E;

        let body = text.strip_prefix(Self::HEADER).ok_or(E::Form)?;
        if text.len() > Self::MAX_BYTES {
            return Err(E::TooLong);
        }
        let (signed, footer) = body.split_once('.').ok_or(E::Footer)?;
        let mut payload = URL_SAFE_NO_PAD.decode(signed).map_err(|_| E::Form)?;
        let length = payload.len().checked_sub(Self::SIGNATURE_BYTES).ok_or(E::Form)?;
        let signature = Signature::from_slice(&payload[length..]).map_err(|_| E::Signature)?;
        payload.truncate(length);
        let footer = URL_SAFE_NO_PAD.decode(footer).map_err(|_| E::Form)?;
        let Footer { url, kip, kid } = serde_json::from_slice(&footer).map_err(|_| E::Footer)?;
        let key = match (kip, kid) {
            (Some(key), None) | (None, Some(key)) => KeyId::new(&key).map_err(|_| E::KeyId)?,
            _ => return Err(E::KeyId),
        };
        Ok(Self { payload, signature, footer, url, key })
    }

    /// With which key it says to be signed.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Checks the signature, and then everything that the token claims.
    ///
    /// # Errors
    /// [`SignedTokenError`] says what is wrong.
    pub fn verify(
        &self,
        key: &PublicKey,
        expected: &Expected<'_>,
    ) -> Result<Verified, SignedTokenError> {
        use SignedTokenError as E;

        if key.id() != self.key {
            return Err(E::KeyId);
        }
        let verifying = key.verifying()?;
        let signed = pre_authentication_encoding([
            key.as_bytes(),
            Self::HEADER.as_bytes(),
            &self.payload,
            &self.footer,
            b"",
        ]);
        verifying.verify(&signed, &self.signature).map_err(|_| E::Signature)?;
        if !expected.index_urls.contains(&self.url) {
            return Err(E::Url);
        }
        let claims = claims::read(&self.payload, expected)?;
        Ok(Verified { claim: claims.claim, until: claims.until, digest: Checksum::of(&signed) })
    }
}

impl PublicKey {
    /// Whether a point of the curve has this coordinate: half of all have none.
    ///
    /// # Errors
    /// [`SignedTokenError::Key`] if not.
    pub fn check(&self) -> Result<(), SignedTokenError> {
        self.verifying().map(drop)
    }

    fn verifying(&self) -> Result<VerifyingKey, SignedTokenError> {
        VerifyingKey::from_sec1_bytes(self.as_bytes()).map_err(|_| SignedTokenError::Key)
    }
}

/// What cargo writes behind a token. Source: RFC 3231, which says `kid`; cargo says `kip`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    url: String,
    kip: Option<String>,
    kid: Option<String>,
}

/// Pieces of which none can be mistaken for a part of another. Source: PASETO, "PAE".
fn pre_authentication_encoding(pieces: [&[u8]; 5]) -> Vec<u8> {
    let length = |length: usize| u64::try_from(length).expect("64 bits hold it").to_le_bytes();
    let mut encoded = length(pieces.len()).to_vec();
    for piece in pieces {
        encoded.extend(length(piece.len()));
        encoded.extend(piece);
    }
    encoded
}

/// Why a token does not count. Holds nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedTokenError {
    /// It is not a PASETO of this version and purpose.
    #[error("the token is not of the form `v3.public.`, signed payload, footer")]
    Form,
    /// It is longer than [`SignedToken::MAX_BYTES`].
    #[error("the token is longer than {} bytes", SignedToken::MAX_BYTES)]
    TooLong,
    /// The footer is not what RFC 3231 has there.
    #[error("the footer is not an object of `url` and `kip`")]
    Footer,
    /// The footer names no key, two, or another one.
    #[error("the footer does not name the key, either as `kip` or as `kid`")]
    KeyId,
    /// The key is none: no point of the curve has this coordinate.
    #[error("the public key is not a point of the curve P-384")]
    Key,
    /// It was not signed with this key, or was changed.
    #[error("the signature is not that of the key")]
    Signature,
    /// It was made for another registry.
    #[error("the token is for another index URL")]
    Url,
    /// The payload is not an object of the claims that RFC 3231 has, each at most once.
    #[error("the payload is not an object of known claims")]
    Claims,
    /// `iat` is not a time.
    #[error("`iat` is not an RFC 3339 time")]
    IssuedAt,
    /// It was made too long ago.
    #[error("the token was made more than 15 minutes ago")]
    TooOld,
    /// The clock of who made it is ahead.
    #[error("the token was made more than 2 minutes in the future")]
    InTheFuture,
    /// `sub` is not what was registered with the key.
    #[error("`sub` is not the subject that the key was registered with")]
    Subject,
    /// `v` is of a later rule.
    #[error("`v` is not 1")]
    Version,
    /// It answers a challenge, and this registry sends none.
    #[error("the token answers a challenge, and none was sent")]
    Challenge,
    /// `mutation` is not a write that there is.
    #[error("`mutation` is not `publish`, `yank`, `unyank` or `owners`")]
    Mutation,
    /// A claim is missing, or there and not asked for, or not of its form.
    #[error("`{claim}` does not fit to `mutation`")]
    Mismatch {
        /// Its name.
        claim: &'static str,
    },
}

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{Algorithm, Claims, Issuer, JwtError, KeySet};
use crate::{checksum::Checksum, record::Timestamp};

/// A token taken apart, of which nothing is believed yet.
pub struct Jwt<'a> {
    algorithm: Algorithm,
    key_id: String,
    claims: Claims,
    /// Header and claims as they are signed.
    signed: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl<'a> Jwt<'a> {
    /// Most bytes of a token. Source: ours; those of CI services have some 2,000.
    pub const MAX_BYTES: usize = 16 << 10;

    /// Whether it may be a token at all: what is not may be a credential of another kind.
    pub fn is_shaped(text: &str) -> bool {
        // `{"`, as every header begins that a library has written.
        text.len() <= Self::MAX_BYTES && text.starts_with("ey") && text.split('.').count() == 3
    }

    /// Takes a token apart. Source: RFC 7515, section 7.1.
    ///
    /// # Errors
    /// [`JwtError::Malformed`] if it is none, [`JwtError::Algorithm`] if it is signed in a way that
    /// nobody's tokens may be, [`JwtError::UnknownKey`] if it names no key.
    pub fn parse(text: &'a str) -> Result<Self, JwtError> {
        let parts = || {
            let (signed, signature) = text.rsplit_once('.')?;
            let (header, claims) = signed.split_once('.')?;
            Some((signed, decode(header)?, decode(claims)?, decode(signature)?))
        };
        if text.len() > Self::MAX_BYTES {
            return Err(JwtError::Malformed);
        }
        let (signed, header, claims, signature) = parts().ok_or(JwtError::Malformed)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| JwtError::Malformed)?;
        // None is understood here; a token that has one wants to be refused. RFC 7515, 4.1.11.
        if header.crit.is_some() {
            return Err(JwtError::Malformed);
        }
        let claims = serde_json::from_slice(&claims).map_err(|_| JwtError::Malformed)?;
        let algorithm = header.alg.parse().map_err(|_| JwtError::Algorithm)?;
        let key_id = header.kid.ok_or(JwtError::UnknownKey)?;
        Ok(Self { algorithm, key_id, claims: Claims(claims), signed, signature })
    }

    /// Who it says has issued it: to look for keys, and for nothing else.
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.claims.issuer()
    }

    /// The key that it says it is signed with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Stands for the token, and for it alone: whatever of it can be changed without its issuer is
    /// left out.
    pub fn digest(&self) -> Checksum {
        Checksum::of(self.signed)
    }

    /// What it says, if the issuer has signed it, for this audience, and it counts now.
    ///
    /// # Errors
    /// [`JwtError`] says what does not hold: the first of algorithm, key, signature, issuer,
    /// audience and times.
    pub fn verify(
        self,
        issuer: &Issuer,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<Claims, JwtError> {
        if !issuer.takes(self.algorithm) {
            return Err(JwtError::Algorithm);
        }
        match keys.verify(&self.key_id, self.algorithm, self.signed.as_bytes(), &self.signature) {
            None => Err(JwtError::UnknownKey),
            Some(false) => Err(JwtError::Signature),
            Some(true) => {
                self.claims.check(issuer, now)?;
                Ok(self.claims)
            }
        }
    }
}

impl fmt::Debug for Jwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwt(…)")
    }
}

fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::Algorithm;
use crate::echo::Echo;

/// The public keys of an issuer. Source: RFC 7517.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: Box<str>,
    algorithm: Algorithm,
    parts: Parts,
}

#[derive(Clone)]
enum Parts {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// As its algorithm encodes it.
    Point(Vec<u8>),
}

impl KeySet {
    /// Most keys of one issuer that are looked at. Source: ours.
    pub const MAX_KEYS: usize = 100;

    /// Reads a JWK set. Keys that are of no use are left out: of another kind, for encryption, or
    /// without an id.
    ///
    /// # Errors
    /// [`KeySetError`] if it is not one at all, or has more than [`KeySet::MAX_KEYS`] keys.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<serde_json::Value>,
        }
        let Jwks { keys } = serde_json::from_slice(json).map_err(KeySetError::Json)?;
        if keys.len() > Self::MAX_KEYS {
            return Err(KeySetError::TooMany { count: keys.len() });
        }
        let keys =
            keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.key());
        Ok(Self(keys.collect()))
    }

    /// Whether there is a key of this id.
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| *key.id == *id)
    }

    /// Whether the key of this id, which is one for this algorithm, has signed the message; `None`
    /// if there is no such key.
    pub(super) fn verify(
        &self,
        id: &str,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let is_it = |key: &&Key| *key.id == *id && key.algorithm == algorithm;
        self.0.iter().find(is_it).map(|key| key.has_signed(message, signature))
    }
}

impl Key {
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (&self.parts, self.algorithm) {
            (Parts::Rsa { modulus, exponent }, _) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Parts::Point(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Parts::Point(point), Algorithm::Es384) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            (Parts::Point(point), _) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.algorithm, Echo(&self.id))
    }
}

/// A key as the set has it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn key(self) -> Option<Key> {
        let (algorithm, parts) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let parts = Parts::Rsa { modulus: bytes(self.n)?, exponent: bytes(self.e)? };
                (Algorithm::Rs256, parts)
            }
            ("EC", Some("P-256")) => (Algorithm::Es256, point(self.x, self.y, 32)?),
            ("EC", Some("P-384")) => (Algorithm::Es384, point(self.x, self.y, 48)?),
            ("OKP", Some("Ed25519")) => {
                (Algorithm::EdDsa, Parts::Point(bytes(self.x).filter(|x| x.len() == 32)?))
            }
            _ => return None,
        };
        let fits = self.alg.is_none_or(|alg| alg == algorithm.as_str())
            && self.purpose.is_none_or(|purpose| purpose == "sig");
        fits.then_some(Key { id: self.kid?.into(), algorithm, parts })
    }
}

/// A point of a curve, not compressed. Source: SEC 1, 2.3.3.
fn point(x: Option<String>, y: Option<String>, size: usize) -> Option<Parts> {
    let (x, y) = (bytes(x)?, bytes(y)?);
    let encoded = (x.len() == size && y.len() == size).then(|| [&[4], &*x, &*y].concat());
    encoded.map(Parts::Point)
}

fn bytes(text: Option<String>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text?).ok()
}

/// A text is no set of keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// It is not JSON with a list of keys.
    #[error("it is not a JWK set")]
    Json(#[source] serde_json::Error),
    /// It has more keys than an issuer needs.
    #[error("it has {count} keys, limit {}", KeySet::MAX_KEYS)]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

//! An identity provider for tests: it has keys of its own, and signs whatever it is told to.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::auth::oidc::Algorithm;

/// What an issuer of identity tokens has: the test serves [`IdentityProvider::discovery`] and
/// [`IdentityProvider::jwks`], or hands them to the one under test.
pub struct IdentityProvider {
    url: String,
    algorithm: Algorithm,
    key: Key,
    rotations: usize,
}

enum Key {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    fn generate(algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::Ecdsa)
            }
            Algorithm::Es384 => {
                EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::Ecdsa)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Self::Ed25519),
        };
        key.expect("the system has random numbers")
    }
}

impl IdentityProvider {
    /// A provider called `url`, with a new key of this kind.
    pub fn new(url: &str, algorithm: Algorithm) -> Self {
        Self { url: url.into(), algorithm, key: Key::generate(algorithm), rotations: 0 }
    }

    /// Its name.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts another key in the place of the one it has.
    pub fn rotate(&mut self) {
        self.key = Key::generate(self.algorithm);
        self.rotations += 1;
    }

    /// The id of its key.
    pub fn key_id(&self) -> String {
        format!("key-{}", self.rotations)
    }

    /// What is under `/.well-known/openid-configuration`.
    pub fn discovery(&self) -> Value {
        json!({"issuer": self.url, "jwks_uri": format!("{}/jwks", self.url)})
    }

    /// What is under `/jwks`.
    pub fn jwks(&self) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &self.key {
            Key::Rsa(key) => {
                // DER of two integers: 2048 bits behind 9 bytes of heads, and 65537.
                let modulus = &key.public_key().as_ref()[9..][..256];
                json!({"kty": "RSA", "n": text(modulus), "e": text(&[1, 0, 1])})
            }
            Key::Ecdsa(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(match self.algorithm {
                    Algorithm::Es384 => 48,
                    _ => 32,
                });
                let curve = if x.len() == 48 { "P-384" } else { "P-256" };
                json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
            }
            Key::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref())})
            }
        };
        key["alg"] = self.algorithm.as_str().into();
        key["use"] = "sig".into();
        key["kid"] = self.key_id().into();
        json!({"keys": [key]})
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({
            "typ": "JWT", "alg": self.algorithm.as_str(), "kid": self.key_id(),
        });
        self.sign_as(&header, claims)
    }

    /// A token with a header of the test's.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let (message, random) = (signed.as_bytes(), SystemRandom::new());
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("the key signs");
                signature
            }
            Key::Ecdsa(key) => key.sign(&random, message).expect("the key signs").as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

impl fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityProvider({} {})", self.url, self.key_id())
    }
}

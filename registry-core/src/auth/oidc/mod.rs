//! Tokens of identity providers: signed statements (JWT) of who somebody is, held against the keys
//! that their issuer publishes.
//!
//! An [`Issuer`] says whose tokens count, for whom they must be made and how they may be signed;
//! [`VerifyIdentity`] makes [`Claims`] of a token that may be believed. With the feature `oidc`
//! there is one that does: a `Jwt` is a token taken apart, of which nothing is believed yet;
//! `Jwt::verify` is a pure function from it, a `KeySet` and the time to claims. A `Verifier` has the
//! keys of several issuers at hand, which a `KeySource` of the host fetches. The `OidcAuthenticator`
//! makes principals of the claims.
//!
//! Sources: RFC 7515 (signatures), RFC 7517 (keys), RFC 7519 (claims), OpenID Connect Discovery
//! 1.0. Not taken: tokens that are encrypted, signed with a shared secret (HMAC) or not at all
//! (`none`), and tokens that name no key.

mod algorithm;
#[cfg(feature = "oidc")]
mod authenticator;
mod claims;
mod issuer;
#[cfg(feature = "oidc")]
mod jwt;
#[cfg(feature = "oidc")]
mod key;
#[cfg(feature = "oidc")]
mod key_cache;
#[cfg(feature = "oidc")]
mod verifier;
mod verify;

pub use self::{
    algorithm::{Algorithm, AlgorithmError},
    claims::{ClaimFault, Claims},
    issuer::{Issuer, IssuerError},
    verify::{JwtError, Verified, VerifyError, VerifyIdentity},
};
#[cfg(feature = "oidc")]
pub use self::{
    authenticator::{LoginIssuer, LoginPrefixError, OidcAuthenticator},
    jwt::Jwt,
    key::{KeySet, KeySetError},
    key_cache::KeySource,
    verifier::Verifier,
};

//! Tokens of identity providers: signed statements (JWT) of who somebody is, held against the keys
//! that their issuer publishes.
//!
//! An [`Issuer`] says whose tokens count, for whom they must be made and how they may be signed. A
//! [`Jwt`] is a token taken apart, of which nothing is believed yet; [`Jwt::verify`] is a pure
//! function from it, a [`KeySet`] and the time to [`Claims`] that may be believed. A [`Verifier`]
//! has the keys of several issuers at hand, which a [`KeySource`] of the host fetches. The
//! [`OidcAuthenticator`] makes principals of the claims.
//!
//! Sources: RFC 7515 (signatures), RFC 7517 (keys), RFC 7519 (claims), OpenID Connect Discovery
//! 1.0. Not taken: tokens that are encrypted, signed with a shared secret (HMAC) or not at all
//! (`none`), and tokens that name no key.

mod authenticator;
mod claims;
mod issuer;
mod jwt;
mod key;
mod key_cache;
mod verifier;

pub use self::{
    authenticator::{LoginIssuer, LoginPrefixError, OidcAuthenticator},
    claims::{ClaimFault, Claims},
    issuer::{Issuer, IssuerError},
    jwt::{Jwt, JwtError},
    key::{Algorithm, AlgorithmError, KeySet, KeySetError},
    key_cache::KeySource,
    verifier::{Verifier, VerifyError},
};

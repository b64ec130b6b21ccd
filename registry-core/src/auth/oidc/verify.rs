use std::fmt;

use async_trait::async_trait;

use super::{ClaimFault, Claims};
use crate::{BoxError, checksum::Checksum, record::Timestamp};

/// Verifies tokens of identity providers: `Verifier`, with the feature `oidc`, or what the host has
/// for it.
#[async_trait]
pub trait VerifyIdentity: fmt::Debug + Send + Sync + 'static {
    /// What a token says, if its issuer has signed it, for this registry, and it counts now.
    ///
    /// # Errors
    /// [`VerifyError::Invalid`] if it does not count, [`VerifyError::Unavailable`] if there are no
    /// keys to tell by.
    async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, VerifyError>;
}

/// A token that counts.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// Stands for the token, and for it alone: of nothing that can be changed without its issuer.
    pub digest: Checksum,
}

/// Why a token does not count. Says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// It is not a signed token.
    #[error("it is not a signed JWT")]
    Malformed,
    /// It is signed in a way that its issuer's tokens may not be, or not at all.
    #[error("it is signed by an algorithm that is not accepted")]
    Algorithm,
    /// Its issuer has no such key for this algorithm.
    #[error("it is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// Its signature is not that of the key.
    #[error("its signature is wrong")]
    Signature,
    /// It does not say what it has to.
    #[error("its claim `{claim}` {fault}")]
    Claim {
        /// The name of the claim.
        claim: &'static str,
        /// What is wrong with it.
        fault: ClaimFault,
    },
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It does not count.
    #[error("this token does not count: {0}")]
    Invalid(#[from] JwtError),
    /// Whether it counts cannot be found out now.
    #[error("the keys of `{issuer}` cannot be fetched")]
    Unavailable {
        /// Whose keys.
        issuer: Box<str>,
        /// What came between.
        #[source]
        source: BoxError,
    },
}

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    ClaimFault, Issuer, Jwt, JwtError, Verified, VerifyError, VerifyIdentity,
    key_cache::{KeyCache, KeySource},
};
use crate::record::Timestamp;

/// Verifies tokens of several issuers. Clones share the keys.
///
/// Keys are fetched at first use, when they are an hour old, and, at most once a minute, for a token
/// that names a key which is not among them: so an issuer may change its keys at any time. While it
/// cannot be reached, those that were fetched last count for a day.
#[derive(Clone, Debug)]
pub struct Verifier(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    issuers: Vec<(Issuer, KeyCache)>,
    source: Arc<dyn KeySource>,
}

impl Verifier {
    /// Takes tokens of these issuers, whose keys are fetched by `source`.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>, source: impl KeySource) -> Self {
        let issuers = issuers.into_iter().map(|issuer| (issuer, KeyCache::default())).collect();
        Self(Arc::new(Parts { issuers, source: Arc::new(source) }))
    }
}

#[async_trait]
impl VerifyIdentity for Verifier {
    async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, VerifyError> {
        let jwt = Jwt::parse(token)?;
        let url = jwt.unverified_issuer();
        let (issuer, cache) =
            self.0.issuers.iter().find(|(issuer, _)| Some(issuer.url()) == url).ok_or_else(
                || {
                    let fault =
                        if url.is_none() { ClaimFault::Missing } else { ClaimFault::Mismatch };
                    JwtError::Claim { claim: "iss", fault }
                },
            )?;
        let keys = cache.keys(issuer, &self.0.source, jwt.key_id(), now).await;
        let keys = keys
            .map_err(|source| VerifyError::Unavailable { issuer: issuer.url().into(), source })?;
        let digest = jwt.digest();
        Ok(Verified { claims: jwt.verify(issuer, &keys, now)?, digest })
    }
}

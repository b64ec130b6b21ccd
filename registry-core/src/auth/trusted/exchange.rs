use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{Mismatch, TrustedPublisher, TrustedPublisherRecord, TrustedPublisherStore};
use crate::{
    BoxError,
    auth::{
        AuthStoreError, CratePattern, CredentialId, EndpointScope, NewToken, Principal, Revocation,
        Scopes, SingleUse, Token, TokenKind, TokenRecord, TokenStore, Vouched,
        oidc::{Claims, JwtError, Verified, VerifyError, VerifyIdentity},
    },
    checksum::Checksum,
    name::CanonicalName,
    record::Timestamp,
};

/// Exchanges identity tokens of CI runs for tokens of the registry. Clones share everything.
#[derive(Clone)]
pub struct TrustedPublishing {
    verifier: Arc<dyn VerifyIdentity>,
    publishers: Arc<dyn TrustedPublisherStore>,
    single_use: Arc<dyn SingleUse>,
    tokens: Arc<dyn TokenStore>,
}

impl TrustedPublishing {
    /// For how many seconds a token counts. Source: crates.io.
    pub const LIFETIME: u64 = 30 * 60;
    /// Most publishers of one crate. Source: ours.
    pub const MAX_PUBLISHERS: usize = 20;

    /// Believes what `verifier` verifies, of runs that are in `publishers`; makes tokens in `tokens`.
    pub fn new(
        verifier: impl VerifyIdentity,
        publishers: impl TrustedPublisherStore,
        single_use: impl SingleUse,
        tokens: impl TokenStore,
    ) -> Self {
        Self {
            verifier: Arc::new(verifier),
            publishers: Arc::new(publishers),
            single_use: Arc::new(single_use),
            tokens: Arc::new(tokens),
        }
    }

    /// The publishers that crates have.
    pub fn publishers(&self) -> &dyn TrustedPublisherStore {
        &*self.publishers
    }

    /// A token for the crates that have this run among their publishers. It counts when this
    /// returns, for [`TrustedPublishing::LIFETIME`], to publish versions of each of them while that has
    /// the publisher, and to read what they need. An identity token is exchanged once.
    ///
    /// # Errors
    /// [`ExchangeError`] says why there is none.
    pub async fn exchange(
        &self,
        identity_token: &str,
        now: Timestamp,
    ) -> Result<(Token, TokenRecord), ExchangeError> {
        let Verified { claims, digest } = match self.verifier.verify(identity_token, now).await {
            Ok(verified) => verified,
            Err(VerifyError::Invalid(error)) => return Err(ExchangeError::Invalid(error)),
            Err(error) => return Err(ExchangeError::Unavailable(error)),
        };
        let matched = self.publishers_of(&claims).await?;
        // Before there is a token: whoever comes second gets none, however close behind.
        let until = claims.counts_until().ok_or(ExchangeError::Invalid(JwtError::Malformed))?;
        if !self.single_use.claim(&identity(&claims, digest), until, now).await? {
            return Err(ExchangeError::Used);
        }
        let publishers = matched.iter().map(|record| record.id).collect();
        let token = Token::generate().map_err(|error| ExchangeError::Random(error.into()))?;
        let names: BTreeSet<&CanonicalName> = matched.iter().map(|record| &record.name).collect();
        let new = NewToken {
            login: TrustedPublisher::login_of(&claims),
            digest: token.digest(),
            name: run(&claims),
            kind: TokenKind::TrustedPublisher,
            scopes: Scopes::new(
                [EndpointScope::PublishUpdate, EndpointScope::ReadAll],
                names.into_iter().map(exactly),
            ),
            vouched: Vouched { publishers, ..Vouched::default() },
            created_at: now,
            expires_at: Some(Timestamp(now.0.saturating_add(Self::LIFETIME))),
        };
        let record = self.tokens.create(&new).await?;
        Ok((token, record))
    }

    /// Revokes the token that a run has come with; `false` if it has come with another credential.
    ///
    /// # Errors
    /// [`AuthStoreError`] if that cannot be done now.
    pub async fn revoke(
        &self,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<bool, AuthStoreError> {
        let CredentialId::TrustedPublisher(id) = principal.credential else { return Ok(false) };
        self.tokens.revoke(&Revocation::Token(id), now).await?;
        Ok(true)
    }

    /// The publishers that the run is one of.
    async fn publishers_of(
        &self,
        claims: &Claims,
    ) -> Result<Vec<TrustedPublisherRecord>, ExchangeError> {
        let candidates = self.publishers.find(&TrustedPublisher::sources_of(claims)).await?;
        let mut nearest = None;
        let mut matched = Vec::new();
        for record in candidates {
            match record.publisher.matches(claims) {
                Ok(()) => matched.push(record),
                // A candidate for each token of its issuer: what it compares is nobody else's matter.
                Err(_) if matches!(record.publisher, TrustedPublisher::Generic { .. }) => {}
                Err(mismatch) => {
                    nearest.get_or_insert(mismatch);
                }
            }
        }
        match (matched.is_empty(), nearest) {
            (false, _) => Ok(matched),
            (true, None) => Err(ExchangeError::Unknown),
            (true, Some(mismatch)) => Err(ExchangeError::Mismatch(mismatch)),
        }
    }
}

/// What an identity token is remembered by: the name that its issuer gives to none but this one, or
/// what the issuer has signed.
fn identity(claims: &Claims, signed: Checksum) -> Checksum {
    match (claims.issuer(), claims.plain("jti")) {
        (Some(issuer), Some(id)) => Checksum::of(format!("{issuer} {id}")),
        _ => signed,
    }
}

/// The crate and no other.
fn exactly(name: &CanonicalName) -> CratePattern {
    CratePattern::new(name.as_str()).expect("a name is a pattern")
}

/// What the token is called, so that the run that got it can be found again.
fn run(claims: &Claims) -> String {
    const MAX_CHARS: usize = 100;
    let run = ["run_id", "pipeline_id", "build_number", "job_id", "sub"];
    let run = run.into_iter().find_map(|name| Some(format!("{name} {}", claims.plain(name)?)));
    let words = [TrustedPublisher::project_of(claims), run];
    let words: Vec<_> = words.into_iter().flatten().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
}

impl fmt::Debug for TrustedPublishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedPublishing")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

/// Why a CI run gets no token. Says which claim is wrong, and nothing of what others have configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The identity token does not count.
    #[error("the identity token does not count: {0}")]
    Invalid(JwtError),
    /// No crate has a publisher of this repository, project or pipeline.
    #[error("no crate trusts the repository or pipeline that the identity token is of")]
    Unknown,
    /// A crate has one, and the run is another one.
    #[error("the identity token is not of a trusted publisher: {0}")]
    Mismatch(Mismatch),
    /// The identity token was exchanged before.
    #[error("the identity token has already been used")]
    Used,
    /// The issuer's keys are not at hand.
    #[error("the identity token cannot be verified now")]
    Unavailable(#[source] VerifyError),
    /// The system has no random numbers to give.
    #[error("cannot get random numbers from the operating system")]
    Random(#[source] BoxError),
    /// What has to be looked up or stored cannot be.
    #[error(transparent)]
    Store(#[from] AuthStoreError),
}

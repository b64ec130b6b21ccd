use std::sync::Arc;

use url::{Host, Url};

use super::Algorithm;
use crate::echo::Echo;

/// Whose tokens count, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    url: Arc<str>,
    audience: Arc<str>,
    algorithms: Arc<[Algorithm]>,
}

impl Issuer {
    /// How a token may be signed, if nothing else is said.
    pub const DEFAULT_ALGORITHMS: [Algorithm; 2] = [Algorithm::Rs256, Algorithm::Es256];

    /// By how many seconds the clock of an issuer may differ from ours.
    pub const LEEWAY: u64 = 60;

    /// The issuer that is called `url`, letter by letter, in its tokens (`iss`); those of them count
    /// that are made for `audience` and nobody else (`aud`).
    ///
    /// # Errors
    /// [`IssuerError`] if its keys could not be fetched safely: the URL has to begin with
    /// `https://`, or lead to this machine, and have no query, fragment or credentials.
    pub fn new(url: &str, audience: &str) -> Result<Self, IssuerError> {
        if audience.is_empty() {
            return Err(IssuerError::NoAudience { url: url.into() });
        }
        let parsed = key_url(url).ok_or_else(|| IssuerError::Url { url: url.into() })?;
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(IssuerError::Url { url: url.into() });
        }
        let algorithms = Self::DEFAULT_ALGORITHMS.into();
        Ok(Self { url: url.into(), audience: audience.into(), algorithms })
    }

    /// Takes tokens that are signed in one of these ways. Default:
    /// [`Issuer::DEFAULT_ALGORITHMS`].
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// As its tokens spell it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// For whom its tokens have to be made.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Whether its tokens may be signed in this way.
    pub fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Where it says where its keys are. Source: OpenID Connect Discovery, section 4.1.
    #[cfg(feature = "oidc")]
    pub(super) fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/'))
    }
}

/// An address from which keys may be fetched: nobody on the way can put others in their place.
pub(super) fn key_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_here;
    let is_plain = url.username().is_empty() && url.password().is_none();
    (is_safe && is_plain).then_some(url)
}

/// Tokens of this issuer cannot be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// Its keys could be exchanged on the way.
    #[error(
        "`{}` is not the URL of an issuer: it has to begin with https:// and have neither query \
         nor credentials",
        Echo(url)
    )]
    Url {
        /// The URL.
        url: Box<str>,
    },
    /// Tokens that it makes for others would count here.
    #[error(
        "the issuer `{}` needs an audience, which its tokens for this registry name",
        Echo(url)
    )]
    NoAudience {
        /// Its URL.
        url: Box<str>,
    },
}

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{Duration, SystemTime},
};

use super::Registry;
use crate::{
    auth::{AuthError, Caller},
    limits::{Buckets, RateLimits, RequestKind},
    owner::Login,
    record::Timestamp,
};

/// Counts requests against the [`RateLimits`].
#[derive(Debug, Default)]
pub(super) struct Limiter {
    pub(super) limits: RateLimits,
    buckets: Buckets,
}

impl Limiter {
    pub(super) fn new(limits: RateLimits) -> Self {
        Self { limits, buckets: Buckets::default() }
    }
}

/// Whose requests are counted together.
#[derive(Hash)]
enum Who<'a> {
    User(&'a Login),
    Network(IpAddr),
}

impl Registry {
    /// Counts a request that its caller is about to make, by their login, or by their address if
    /// they are nobody. Nobody of whom there is no address either is not counted.
    ///
    /// To be called once a request, for reads, searches and the exchange of tokens, by what serves
    /// them. Writes are counted by the registry, which alone knows whether a crate is new.
    ///
    /// # Errors
    /// [`AuthError::TooMany`] if they have made too many: see
    /// [`RegistryBuilder::rate_limits`](super::RegistryBuilder::rate_limits).
    pub fn admit(&self, caller: &Caller, kind: RequestKind) -> Result<(), AuthError> {
        let Limiter { limits, buckets } = &*self.parts.limiter;
        let Some(rate) = limits.rate(kind) else { return Ok(()) };
        let who = match (&caller.principal, caller.address) {
            (Some(principal), _) => Who::User(&principal.user.login),
            (None, Some(address)) => Who::Network(network(address)),
            (None, None) => return Ok(()),
        };
        let now = self.parts.clock.now();
        let taken = buckets.take(&(kind, who), rate, now.monotonic);
        taken.map_err(|wait| too_many(kind.complaint(), wait, now.wall))
    }
}

/// What belongs to one client: it may choose any IPv6 address of its network. Source: RFC 6177,
/// which gives no site less than 64 bits.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// Source of the text: crates.io.
pub(super) fn too_many(complaint: &str, wait: Duration, now: SystemTime) -> AuthError {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let retry_after = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
    let Timestamp(now) = now.into();
    let then = Timestamp(now.saturating_add(retry_after.into())).to_http_date();
    let then = then.as_deref().unwrap_or("some time");
    let reason = format!("{complaint} in a short period of time. Please try again after {then}");
    AuthError::TooMany { reason, retry_after }
}

#[cfg(test)]
mod tests;

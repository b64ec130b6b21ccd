use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Registry,
    limit::{network, too_many},
};
use crate::{
    auth::{AuthError, Credential, Principal, Token},
    limits::{Buckets, Rate},
};

/// Remembers from where credentials came that do not count.
///
/// Many people share one address. So a token that fails again within a minute is not counted again:
/// a job with an old token takes nothing from its neighbours. And a token of this registry that has
/// counted within the last hour is looked at even while its address has to wait: nobody guesses 256
/// bits. A password may be guessed: each one that fails is counted, for its user as well, who may be
/// tried from many addresses, and all have to wait.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Buckets,
    failed_tokens: Buckets,
    accepted_tokens: Buckets,
}

impl Registry {
    /// Has the authenticator look at a credential, unless too many have failed.
    pub(super) async fn authenticate(
        &self,
        credential: &Credential,
        address: Option<IpAddr>,
    ) -> Result<Arc<Principal>, AuthError> {
        let rate = self.parts.limiter.limits.failed_credentials();
        let attempt = rate.and_then(|rate| Attempt::new(credential, address, rate));
        let Some(attempt) = attempt else {
            return self.parts.authenticator.authenticate(credential).await;
        };
        let throttle = &self.parts.throttle;
        let now = self.parts.clock.now();
        let wait = throttle.wait(&attempt, now.monotonic);
        if !wait.is_zero() {
            return Err(too_many("Too many credentials were tried", wait, now.wall));
        }
        let principal = self.parts.authenticator.authenticate(credential).await;
        match &principal {
            Ok(_) => throttle.accepted(&attempt, now.monotonic),
            Err(AuthError::Rejected) => {
                throttle.rejected(&attempt, self.parts.clock.now().monotonic);
            }
            Err(_) => {}
        }
        principal
    }
}

/// A credential that somebody brings.
struct Attempt<'a> {
    secret: &'a str,
    network: Option<Suspect<'a>>,
    /// Whose password it is, if it is one.
    user: Option<Suspect<'a>>,
    rate: Rate,
}

/// By what credentials that fail are counted.
#[derive(Hash)]
enum Suspect<'a> {
    Network(IpAddr),
    User(&'a str),
}

impl<'a> Attempt<'a> {
    /// `None` if there is nothing to count it by.
    fn new(credential: &'a Credential, address: Option<IpAddr>, rate: Rate) -> Option<Self> {
        let secret = credential.expose();
        let user = credential.user().filter(|_| !Token::is_well_formed(secret));
        let (network, user) = (address.map(network).map(Suspect::Network), user.map(Suspect::User));
        let is_counted = network.is_some() || user.is_some();
        is_counted.then_some(Self { secret, network, user, rate })
    }

    fn suspects(&self) -> impl Iterator<Item = &Suspect<'a>> {
        self.network.iter().chain(&self.user)
    }
}

impl Throttle {
    const FAILED_AGAIN: Rate = Rate::of(1, 60);
    const ACCEPTED: Rate = Rate::of(1, 60 * 60);

    /// For how long the credential is not looked at.
    fn wait(&self, attempt: &Attempt<'_>, now: Instant) -> Duration {
        let wait = |suspect| self.failures.wait(suspect, attempt.rate, now);
        let wait = attempt.suspects().map(wait).max().unwrap_or_default();
        match !wait.is_zero() && self.was_accepted(attempt, now) {
            true => Duration::ZERO,
            false => wait,
        }
    }

    fn was_accepted(&self, attempt: &Attempt<'_>, now: Instant) -> bool {
        !self.accepted_tokens.wait(&attempt.secret, Self::ACCEPTED, now).is_zero()
    }

    fn accepted(&self, attempt: &Attempt<'_>, now: Instant) {
        if !self.was_accepted(attempt, now) && Token::is_well_formed(attempt.secret) {
            self.accepted_tokens.owe(&attempt.secret, Self::ACCEPTED, now);
        }
    }

    fn rejected(&self, attempt: &Attempt<'_>, now: Instant) {
        let is_counted = attempt.user.is_some()
            || self.failed_tokens.take(&attempt.secret, Self::FAILED_AGAIN, now).is_ok();
        if is_counted {
            // Also if there is none left: those who were let in at one time are all counted.
            attempt.suspects().for_each(|suspect| self.failures.owe(suspect, attempt.rate, now));
        }
    }
}

#[cfg(test)]
mod tests;

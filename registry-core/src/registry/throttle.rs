mod turns;

use std::{
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use self::turns::Turns;
use super::{
    Registry,
    limit::{network, too_many},
};
use crate::{
    auth::{AuthError, Credential, CredentialId, Principal},
    limits::{Buckets, Rate},
};

/// Remembers from where credentials came that do not count.
///
/// A password, or any other credential that is short, is counted before it is looked at, and given
/// back if it is right: of so many guesses at one time, no more are looked at than may fail. If more
/// people than that log in by passwords from one address at one time, some have to come again. The
/// same ones wait for each other, so that the many requests of one client count once.
///
/// Many people share one address, and the jobs of a CI service do, each with a token of its own. So
/// a long secret is counted only once it has failed: however many right ones come, they are looked
/// at. One that fails again within a minute is not counted again:
/// a job with an old token takes nothing from its neighbours. And a token that has counted within
/// the last hour is looked at even while its address has to wait: nobody guesses 256 bits.
///
/// A password may be guessed, so each one that fails is counted: by its address, and by its user,
/// who may be tried from many addresses. Users are held up by the latter only where they have not
/// logged in within the last hour.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Buckets,
    failed_tokens: Buckets,
    accepted_tokens: Buckets,
    accepted_users: Buckets,
    turns: Turns,
}

impl Registry {
    /// Has the authenticator look at a credential, unless too many have failed.
    pub(super) async fn authenticate(
        &self,
        credential: &Credential,
        address: Option<IpAddr>,
    ) -> Result<Arc<Principal>, AuthError> {
        let authenticator = &self.parts.authenticator;
        let rate = self.parts.limiter.limits.failed_credentials();
        let attempt = rate.and_then(|rate| Attempt::new(credential, address, rate));
        let Some(attempt) = attempt else {
            return authenticator.authenticate(credential).await;
        };
        let (throttle, clock) = (&self.parts.throttle, &self.parts.clock);
        if throttle.was_accepted(&attempt, clock.now().monotonic) {
            let principal = authenticator.authenticate(credential).await;
            throttle.heard_again(&attempt, &principal, clock.now().monotonic);
            return principal;
        }
        let _turn = throttle.turns.enter(&attempt.key()).await;
        let now = clock.now();
        let taken = throttle.take(&attempt, now.monotonic);
        let taken =
            taken.map_err(|wait| too_many("Too many credentials were tried", wait, now.wall))?;
        // A guess that is broken off here stays counted: it may have cost as much as any other.
        let principal = authenticator.authenticate(credential).await;
        throttle.heard(&attempt, &taken, &principal, clock.now().monotonic);
        principal
    }
}

/// A credential that somebody brings.
struct Attempt<'a> {
    secret: &'a str,
    network: Option<IpAddr>,
    /// Whose password it is, if it is one.
    user: Option<&'a str>,
    rate: Rate,
}

/// By what credentials that fail are counted.
#[derive(Hash)]
enum Suspect<'a> {
    Network(IpAddr),
    User(&'a str),
}

impl<'a> Attempt<'a> {
    /// From so many bytes on, a secret is guessed by nobody: it is a token of this registry or of an
    /// identity provider, or a signed one, whatever is written in front of it. Source: ours; so long
    /// are the shortest tokens that somebody may choose, those of an account file.
    const UNGUESSED_BYTES: usize = 32;

    /// `None` if there is nothing to count it by.
    fn new(credential: &'a Credential, address: Option<IpAddr>, rate: Rate) -> Option<Self> {
        let secret = credential.expose();
        let user = credential.user().filter(|_| secret.len() < Self::UNGUESSED_BYTES);
        let network = address.map(network);
        let is_counted = network.is_some() || user.is_some();
        is_counted.then_some(Self { secret, network, user, rate })
    }

    fn may_be_guessed(&self) -> bool {
        self.secret.len() < Self::UNGUESSED_BYTES
    }

    /// What the same attempt has once more.
    fn key(&self) -> impl Hash + use<'a> {
        (self.secret, self.network, self.user)
    }

    /// The user at the place from where they come.
    fn user_here(&self) -> Option<(IpAddr, &'a str)> {
        self.network.zip(self.user)
    }
}

impl Throttle {
    const FAILED_AGAIN: Rate = Rate::of(1, 60);
    const ACCEPTED: Rate = Rate::of(1, 60 * 60);

    /// Counts an attempt that may be a guess, and says by what.
    ///
    /// # Errors
    /// For how long the credential is not looked at, if too many have failed or are being tried.
    fn take<'a>(&self, attempt: &Attempt<'a>, now: Instant) -> Result<Vec<Suspect<'a>>, Duration> {
        if self.was_accepted(attempt, now) {
            return Ok(Vec::new());
        }
        if !attempt.may_be_guessed() {
            let wait = |network| self.failures.wait(&Suspect::Network(network), attempt.rate, now);
            return match attempt.network.map(wait).unwrap_or_default() {
                Duration::ZERO => Ok(Vec::new()),
                wait => Err(wait),
            };
        }
        let is_known_here = attempt
            .user_here()
            .is_some_and(|user| !self.accepted_users.wait(&user, Self::ACCEPTED, now).is_zero());
        let user = attempt.user.filter(|_| !is_known_here).map(Suspect::User);
        let mut taken = Vec::with_capacity(2);
        for suspect in attempt.network.map(Suspect::Network).into_iter().chain(user) {
            if let Err(wait) = self.failures.take(&suspect, attempt.rate, now) {
                self.give_back(attempt, &taken, now);
                return Err(wait);
            }
            taken.push(suspect);
        }
        Ok(taken)
    }

    fn give_back(&self, attempt: &Attempt<'_>, taken: &[Suspect<'_>], now: Instant) {
        taken.iter().for_each(|suspect| self.failures.give_back(suspect, attempt.rate, now));
    }

    fn was_accepted(&self, attempt: &Attempt<'_>, now: Instant) -> bool {
        !self.accepted_tokens.wait(&attempt.secret, Self::ACCEPTED, now).is_zero()
    }

    /// What came of an attempt, and of what it was counted by.
    fn heard(
        &self,
        attempt: &Attempt<'_>,
        taken: &[Suspect<'_>],
        answer: &Result<Arc<Principal>, AuthError>,
        now: Instant,
    ) {
        let counts = match answer {
            Ok(principal) => {
                self.accepted(attempt, principal, now);
                false
            }
            Err(AuthError::Rejected) => {
                let counts = attempt.user.is_some()
                    || self.failed_tokens.take(&attempt.secret, Self::FAILED_AGAIN, now).is_ok();
                if let Some(network) =
                    attempt.network.filter(|_| counts && !attempt.may_be_guessed())
                {
                    // However many fail at one time, nobody waits for longer than after the last
                    // that may.
                    let _ = self.failures.take(&Suspect::Network(network), attempt.rate, now);
                }
                counts
            }
            Err(_) => false,
        };
        if !counts {
            self.give_back(attempt, taken, now);
        }
    }

    /// What came of one that has counted within the last hour.
    fn heard_again(
        &self,
        attempt: &Attempt<'_>,
        answer: &Result<Arc<Principal>, AuthError>,
        now: Instant,
    ) {
        match answer {
            Ok(principal) => self.accepted(attempt, principal, now),
            Err(AuthError::Rejected) => {
                self.accepted_tokens.give_back(&attempt.secret, Self::ACCEPTED, now);
            }
            Err(_) => {}
        }
    }

    fn accepted(&self, attempt: &Attempt<'_>, principal: &Principal, now: Instant) {
        // A password is chosen by a person, however long.
        let is_token = principal.credential != CredentialId::Password;
        if is_token && !attempt.may_be_guessed() {
            self.accepted_tokens.take_all(&attempt.secret, Self::ACCEPTED, now);
        }
        if let Some(user) = attempt.user_here() {
            self.accepted_users.take_all(&user, Self::ACCEPTED, now);
        }
    }
}

#[cfg(test)]
mod tests;

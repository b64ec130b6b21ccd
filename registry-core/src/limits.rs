//! How often somebody may ask: [`RateLimits`].

mod buckets;

use std::{num::NonZeroU32, str::FromStr, time::Duration};

pub(crate) use self::buckets::Buckets;
use crate::echo::Echo;

/// What a request asks for, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// The first version of a crate.
    PublishNew,
    /// A further version, or one of a crate that is somebody else's.
    PublishUpdate,
    /// To yank a version, or to undo it.
    Yank,
    /// To add or remove owners.
    Owners,
    /// To make, exchange, list or revoke tokens.
    Tokens,
    /// To read anything.
    Read,
    /// To search, or to list the crates.
    Search,
}

impl RequestKind {
    const ALL: [(Self, &'static str); 7] = [
        (Self::PublishNew, "publish-new"),
        (Self::PublishUpdate, "publish-update"),
        (Self::Yank, "yank"),
        (Self::Owners, "owners"),
        (Self::Tokens, "tokens"),
        (Self::Read, "read"),
        (Self::Search, "search"),
    ];

    /// What is told to whoever asks for it too often. Source: crates.io, for the first three.
    pub(crate) fn complaint(self) -> &'static str {
        match self {
            Self::PublishNew => "You have published too many new crates",
            Self::PublishUpdate => "You have published too many updates to existing crates",
            Self::Yank => "You have yanked or unyanked too many versions",
            Self::Owners => "You have changed too many owners",
            Self::Tokens => "You have asked for too many tokens",
            Self::Read => "You have sent too many requests",
            Self::Search => "You have searched too many times",
        }
    }
}

/// So many at once, and from then on one more every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    burst: NonZeroU32,
    interval: Duration,
}

impl Rate {
    /// Longest time for one more: a day. Source: ours.
    pub const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

    /// `burst` at once, and one more every `interval`, or [`Rate::MAX_INTERVAL`] if that is less.
    pub fn new(burst: NonZeroU32, interval: Duration) -> Self {
        Self { burst, interval: interval.min(Self::MAX_INTERVAL) }
    }

    pub(crate) const fn of(burst: u32, seconds: u64) -> Self {
        let burst = NonZeroU32::new(burst).expect("no limit is 0");
        Self { burst, interval: Duration::from_secs(seconds) }
    }

    /// How long it takes until the whole burst is there again.
    fn refill(self) -> Duration {
        self.interval * self.burst.get()
    }
}

/// How often one user, or one address of those who are nobody, may ask for what.
///
/// Each process counts for itself: behind a balancer, `n` servers allow up to `n` times as much.
/// What has been asked for is forgotten when a process ends.
///
/// As a text, its parts with commas between: `crates-io`, which is [`RateLimits::crates_io`], or
/// `KIND=BURST/INTERVAL`, such as `publish-new=5/10m` or `read=500/20ms`, or `KIND=off`. A kind is
/// `publish-new`, `publish-update`, `yank`, `owners`, `tokens`, `read`, `search` or
/// `failed-credentials`; an interval is a number of `ms`, `s`, `m`, `h` or `d`.
///
/// ```
/// use registry_core::limits::RateLimits;
///
/// let limits: RateLimits = "crates-io,search=20/3s".parse().unwrap();
/// assert_ne!(limits, RateLimits::crates_io());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    rates: [Option<Rate>; RequestKind::ALL.len()],
    failed_credentials: Option<Rate>,
}

impl RateLimits {
    /// What [`RateLimits::failed_credentials`] is if nothing else is said: 10 at once, and 10 a
    /// minute. Source: ours.
    pub const FAILED_CREDENTIALS: Rate = Rate::of(10, 6);

    /// No limits, but for [`RateLimits::failed_credentials`].
    pub const fn none() -> Self {
        Self { rates: [None; _], failed_credentials: Some(Self::FAILED_CREDENTIALS) }
    }

    /// Those of crates.io: 5 new crates and one more every ten minutes, 30 further versions and one
    /// more a minute, 100 yanks and one more a minute. Source: crates.io, `rate_limiter.rs`.
    pub const fn crates_io() -> Self {
        let mut limits = Self::none();
        limits.rates[RequestKind::PublishNew as usize] = Some(Rate::of(5, 10 * 60));
        limits.rates[RequestKind::PublishUpdate as usize] = Some(Rate::of(30, 60));
        limits.rates[RequestKind::Yank as usize] = Some(Rate::of(100, 60));
        limits
    }

    /// The same with this limit, or none, on requests of a kind.
    #[must_use]
    pub fn with(mut self, kind: RequestKind, rate: Option<Rate>) -> Self {
        self.rates[kind as usize] = rate;
        self
    }

    /// The same with this limit on failed credentials, or none.
    #[must_use]
    pub fn with_failed_credentials(self, rate: Option<Rate>) -> Self {
        Self { failed_credentials: rate, ..self }
    }

    /// How often requests of a kind are answered.
    pub fn rate(&self, kind: RequestKind) -> Option<Rate> {
        self.rates[kind as usize]
    }

    /// How many credentials that do not count may come from an address, or with the name of a user,
    /// before no more are looked at.
    pub fn failed_credentials(&self) -> Option<Rate> {
        self.failed_credentials
    }

    /// The same with one part of the text that [`RateLimits`] speaks of.
    fn with_part(self, part: &str) -> Option<Self> {
        let Some((kind, rate)) = part.split_once('=') else {
            let Self { rates, .. } = Self::crates_io();
            return (part == "crates-io").then_some(Self { rates, ..self });
        };
        let rate = match rate {
            "off" => None,
            rate => Some(rate.parse::<Rate>().ok()?),
        };
        if kind == "failed-credentials" {
            return Some(self.with_failed_credentials(rate));
        }
        let (kind, _) = RequestKind::ALL.into_iter().find(|(_, name)| *name == kind)?;
        Some(self.with(kind, rate))
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::none()
    }
}

impl FromStr for RateLimits {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        text.split(',').try_fold(Self::none(), |limits, part| {
            limits.with_part(part).ok_or_else(|| RateLimitError { part: part.into() })
        })
    }
}

impl FromStr for Rate {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        let rate = || {
            let (burst, interval) = text.split_once('/')?;
            let unit = interval.find(|char: char| !char.is_ascii_digit())?;
            let (count, unit) = interval.split_at(unit);
            let milliseconds: u64 = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60 * 1000,
                "h" => 60 * 60 * 1000,
                "d" => 24 * 60 * 60 * 1000,
                _ => return None,
            };
            let milliseconds = count.parse::<u64>().ok()?.checked_mul(milliseconds)?;
            let interval = Duration::from_millis(milliseconds);
            let is_possible = !interval.is_zero() && interval <= Self::MAX_INTERVAL;
            is_possible.then_some(Self { burst: burst.parse().ok()?, interval })
        };
        rate().ok_or_else(|| RateLimitError { part: text.into() })
    }
}

/// A text is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no limit: expected `crates-io`, `KIND=BURST/INTERVAL` with an interval of up to a day, \
     such as `publish-new=5/10m`, or `KIND=off`",
    Echo(part)
)]
pub struct RateLimitError {
    part: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(burst: u32, seconds: u64) -> Option<Rate> {
        let burst = NonZeroU32::new(burst).unwrap();
        Some(Rate::new(burst, Duration::from_secs(seconds)))
    }

    #[test]
    fn those_of_crates_io_are_as_its_source_has_them() {
        let limits = RateLimits::crates_io();
        let rates = RequestKind::ALL.map(|(kind, name)| (name, limits.rate(kind)));
        let expected = [
            ("publish-new", rate(5, 600)),
            ("publish-update", rate(30, 60)),
            ("yank", rate(100, 60)),
            ("owners", None),
            ("tokens", None),
            ("read", None),
            ("search", None),
        ];
        assert_eq!(rates, expected);
        assert_eq!(limits.failed_credentials(), rate(10, 6));
        assert_eq!(RateLimits::default(), RateLimits::none());
        assert_eq!(RateLimits::none().rates, [None; 7]);
    }

    #[test]
    fn limits_are_read_from_a_text() {
        let none = RateLimits::none();
        let quick = Rate::new(NonZeroU32::new(500).unwrap(), Duration::from_millis(20));
        for (text, limits) in [
            ("crates-io", RateLimits::crates_io()),
            ("publish-new=5/10m", none.with(RequestKind::PublishNew, rate(5, 600))),
            ("owners=1/1d,tokens=7/1h", {
                let owners = none.with(RequestKind::Owners, rate(1, 86_400));
                owners.with(RequestKind::Tokens, rate(7, 3600))
            }),
            ("read=500/20ms", none.with(RequestKind::Read, Some(quick))),
            ("crates-io,yank=off", RateLimits::crates_io().with(RequestKind::Yank, None)),
            ("failed-credentials=off,crates-io", {
                RateLimits::crates_io().with_failed_credentials(None)
            }),
            ("failed-credentials=3/1m", none.with_failed_credentials(rate(3, 60))),
        ] {
            assert_eq!(text.parse(), Ok(limits), "{text}");
        }
    }

    #[test]
    fn what_is_no_limit_is_refused_with_its_part() {
        for part in [
            "",
            "crates.io",
            "yank",
            "yank=",
            "yank=5",
            "yank=0/1s",
            "yank=5/0s",
            "yank=5/s",
            "yank=5/10",
            "yank=5/1w",
            "yank=5/25h",
            "yank=-5/1s",
            "yank=5/-1s",
            "yank=4294967296/1s",
            "yank=5/18446744073709551615d",
            "yanks=5/1s",
            "read=off ",
            "off",
        ] {
            let error = RateLimitError { part: part.into() };
            assert_eq!(format!("crates-io,{part}").parse::<RateLimits>(), Err(error));
        }
    }
}

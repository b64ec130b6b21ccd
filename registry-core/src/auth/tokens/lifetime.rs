use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::echo::Echo;

/// For how long a token is valid. Written as in `90m`, `12h`, `90d`, or `never`, which says that it
/// never expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lifetime {
    /// So many seconds.
    Seconds(u64),
    /// Until it is revoked.
    Unlimited,
}

/// The units, the longest first, in seconds.
const UNITS: [(u64, char); 4] = [(24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm'), (1, 's')];

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Seconds(seconds) = *self else { return f.write_str("never") };
        let is_whole = |(unit, _): &(u64, char)| seconds.is_multiple_of(*unit) && seconds >= *unit;
        let (unit, letter) = UNITS.into_iter().find(is_whole).unwrap_or((1, 's'));
        write!(f, "{}{letter}", seconds / unit)
    }
}

impl FromStr for Lifetime {
    type Err = LifetimeError;

    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        if text == "never" {
            return Ok(Self::Unlimited);
        }
        let seconds = || {
            let (digits, letter) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let (unit, _) = UNITS.into_iter().find(|(_, unit)| letter.starts_with(*unit))?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count: u64 = Some(digits).filter(|_| is_number)?.parse().ok()?;
            count.checked_mul(unit).filter(|seconds| *seconds > 0)
        };
        seconds().map(Self::Seconds).ok_or_else(|| LifetimeError { text: text.into() })
    }
}

impl From<Duration> for Lifetime {
    /// In whole seconds, rounded down.
    fn from(duration: Duration) -> Self {
        Self::Seconds(duration.as_secs())
    }
}

impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is not a lifetime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a time: use a number of `s`, `m`, `h` or `d`, such as `12h`, or `never`",
    Echo(text)
)]
pub struct LifetimeError {
    text: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_and_a_unit_or_never() {
        for (text, seconds, shown) in [
            ("2s", 2, "2s"),
            ("90s", 90, "90s"),
            ("120s", 120, "2m"),
            ("90m", 5_400, "90m"),
            ("12h", 43_200, "12h"),
            ("24h", 86_400, "1d"),
            ("90d", 7_776_000, "90d"),
        ] {
            let lifetime: Lifetime = text.parse().unwrap();
            assert_eq!(
                (lifetime, lifetime.to_string()),
                (Lifetime::Seconds(seconds), shown.into())
            );
        }
        assert_eq!("never".parse(), Ok(Lifetime::Unlimited));
        assert_eq!(Lifetime::Unlimited.to_string(), "never");
        assert!(Lifetime::Seconds(u64::MAX) < Lifetime::Unlimited);
        let too_long = format!("{}d", u64::MAX / 86_400 + 1);
        for text in
            ["", "h", "12", "12 h", "-1h", "+1h", "0h", "1.5h", "12H", "1é", "Never", &too_long]
        {
            assert_eq!(text.parse::<Lifetime>(), Err(LifetimeError { text: text.into() }));
        }
    }
}

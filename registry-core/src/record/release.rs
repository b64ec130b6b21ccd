use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use jiff::tz::TimeZone;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{echo::Echo, entry::IndexLine, owner::Login};

/// One release of a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// Its line in the index, verbatim.
    pub line: IndexLine,
    /// Length of the crate file in bytes.
    pub size: u64,
    /// When it was published.
    pub published_at: Timestamp,
    /// Who published it.
    pub published_by: Login,
    /// Whether and how it can be reached.
    pub state: ReleaseState,
}

impl ReleaseRecord {
    /// The version, with build metadata.
    pub fn version(&self) -> &Version {
        self.line.version()
    }
}

/// Whether and how a release can be reached. In every state its version stays taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseState {
    /// In the index, for everyone to resolve to.
    Published,
    /// In the index, only for lockfiles that name it.
    Yanked,
    /// Not in the index, but downloadable.
    Unlisted,
    /// Not in the index, not downloadable, the file kept.
    Archived,
    /// The file is gone for good.
    Disposed,
    /// Removed by an administrator.
    Deleted,
}

impl ReleaseState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Published,
        Self::Yanked,
        Self::Unlisted,
        Self::Archived,
        Self::Disposed,
        Self::Deleted,
    ];

    /// The state as it is stored, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Yanked => "yanked",
            Self::Unlisted => "unlisted",
            Self::Archived => "archived",
            Self::Disposed => "disposed",
            Self::Deleted => "deleted",
        }
    }

    /// Whether the release has a line in the index.
    pub fn is_listed(self) -> bool {
        matches!(self, Self::Published | Self::Yanked)
    }

    /// Whether its file is kept, handed out or not.
    pub fn keeps_file(self) -> bool {
        !matches!(self, Self::Disposed | Self::Deleted)
    }

    /// Whether its file is handed out.
    pub fn is_downloadable(self) -> bool {
        matches!(self, Self::Published | Self::Yanked | Self::Unlisted)
    }
}

impl FromStr for ReleaseState {
    type Err = ReleaseStateError;
    fn from_str(text: &str) -> Result<Self, ReleaseStateError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| ReleaseStateError { text: text.into() })
    }
}

/// A text is not the state of a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the state of a release", Echo(text))]
pub struct ReleaseStateError {
    text: Box<str>,
}

/// Seconds since the Unix epoch: all the precision that an index line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Exactly `YYYY-MM-DDThh:mm:ssZ`; `None` behind the year 9999. Source: RFC 3339.
    pub fn to_rfc3339(self) -> Option<String> {
        let time = jiff::Timestamp::from_second(i64::try_from(self.0).ok()?).ok()?;
        Some(time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// Reads a time, with any offset, to the second; `None` if it is none, or before the epoch.
    /// Source: RFC 3339.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_second()).ok().map(Self)
    }

    /// As in `Sun, 06 Nov 1994 08:49:37 GMT`; `None` behind the year 9999. Source: RFC 9110, section
    /// 5.6.7, IMF-fixdate.
    pub fn to_http_date(self) -> Option<String> {
        let time = jiff::Timestamp::from_second(i64::try_from(self.0).ok()?).ok()?;
        Some(time.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }
}

impl From<SystemTime> for Timestamp {
    /// A time before the epoch, as a clock that was never set shows it, is taken for the epoch.
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
    }
}

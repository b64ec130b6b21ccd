use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::AuthStoreError;
use crate::{checksum::Checksum, record::Timestamp};

/// Remembers what counts only once, by every process on the same data: signed tokens that would
/// otherwise be good for as many writes as somebody has copies of them.
///
/// The source of [`MemorySingleUse`](crate::memory::MemorySingleUse) is a complete one.
#[async_trait]
pub trait SingleUse: fmt::Debug + Send + Sync + 'static {
    /// Whether it is the first time that this is claimed; of any number of callers at once, one is
    /// told so. Durable, and seen by every process on the same data, when this returns.
    ///
    /// `digest` stands for what is claimed; `until`, the last moment at which it could count by any
    /// clock that is right to the minute. It may be forgotten [`SINGLE_USE_MARGIN`] after that, and
    /// is some time later: as time goes by, the store holds what was claimed lately and no more.
    ///
    /// A claim that fails, or whose future is dropped, may have been made: what it was made for does
    /// not count any more.
    async fn claim(
        &self,
        digest: &Checksum,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, AuthStoreError>;
}

/// For how many seconds more than asked for a claim is remembered: the clock of the process that
/// forgets it may be ahead of that of the one before which it is repeated.
pub const SINGLE_USE_MARGIN: u64 = 15 * 60;

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SingleUse + ?Sized> SingleUse for Arc<S> {
    async fn claim(
        &self,
        digest: &Checksum,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, AuthStoreError> {
        (**self).claim(digest, until, now).await
    }
}

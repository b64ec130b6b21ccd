use std::{sync::Arc, time::SystemTime};

use super::{AuthError, SingleUse};
use crate::{checksum::Checksum, record::Timestamp};

/// A use that is had once, whoever shows what it was given for, and before whichever process.
#[derive(Clone, Debug)]
pub struct Once {
    used: Arc<dyn SingleUse>,
    digest: Checksum,
    until: Timestamp,
}

impl Once {
    /// The use of what has this digest, and counts until then.
    pub fn new(used: Arc<dyn SingleUse>, digest: Checksum, until: Timestamp) -> Self {
        Self { used, digest, until }
    }

    /// Makes use of it.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] if that has been done, [`AuthError::Backend`] if that cannot be
    /// found out now; it does not count any more then either.
    pub async fn take(&self) -> Result<(), AuthError> {
        match self.used.claim(&self.digest, self.until, SystemTime::now().into()).await? {
            true => Ok(()),
            false => {
                let reason = "this token has been used: one is signed for each change".into();
                Err(AuthError::Forbidden { reason })
            }
        }
    }
}

/// Whether it is the same use.
impl PartialEq for Once {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, self.until) == (other.digest, other.until)
    }
}

impl Eq for Once {}

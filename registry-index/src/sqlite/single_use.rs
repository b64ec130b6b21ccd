use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    Checksum,
    auth::{AuthStoreError, SINGLE_USE_MARGIN, SingleUse},
    record::Timestamp,
};

use super::{BACKEND, pool::Pool};

/// What was claimed in a [`SqliteDatabase`](super::SqliteDatabase).
#[derive(Clone)]
pub struct SqliteSingleUse {
    pub(super) pool: Arc<Pool>,
}

impl fmt::Debug for SqliteSingleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSingleUse").field("pool", &self.pool).finish()
    }
}

#[async_trait]
impl SingleUse for SqliteSingleUse {
    async fn claim(
        &self,
        digest: &Checksum,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, AuthStoreError> {
        let digest = *digest;
        let ended = seconds(Timestamp(now.0.saturating_sub(SINGLE_USE_MARGIN)));
        let claimed = self.pool.write(move |transaction| {
            let mut forget = transaction.prepare_cached(include_str!("sql/forget_claims.sql"))?;
            forget.execute([ended])?;
            let mut claim = transaction.prepare_cached(include_str!("sql/claim.sql"))?;
            Ok(claim.execute((digest.as_bytes(), seconds(until)))? == 1)
        });
        claimed
            .await
            .map_err(|error| AuthStoreError { backend: BACKEND, source: error.into_source() })
    }
}

/// Seconds as the database has them. What is later than those is as good as never.
fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

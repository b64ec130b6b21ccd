use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    Checksum,
    auth::{AuthStoreError, SINGLE_USE_MARGIN, SingleUse},
    record::Timestamp,
};

use super::{BACKEND, Database};
use crate::write_error::WriteError;

/// What was claimed in a [`PostgresDatabase`](super::PostgresDatabase).
#[derive(Clone)]
pub struct PostgresSingleUse {
    pub(super) database: Arc<Database>,
}

impl fmt::Debug for PostgresSingleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSingleUse").field("pool", &self.database.pool).finish()
    }
}

#[async_trait]
impl SingleUse for PostgresSingleUse {
    async fn claim(
        &self,
        digest: &Checksum,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, AuthStoreError> {
        let failed =
            |error: WriteError| AuthStoreError { backend: BACKEND, source: error.into_source() };
        let pool = &self.database.pool;
        let ended = seconds(Timestamp(now.0.saturating_sub(SINGLE_USE_MARGIN)));
        pool.write(include_str!("sql/forget_claims.sql"), &[&ended]).await.map_err(failed)?;
        let claim: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&digest.as_bytes().as_slice(), &seconds(until)];
        let rows = pool.write(include_str!("sql/claim.sql"), &claim).await.map_err(failed)?;
        Ok(rows.len() == 1)
    }
}

/// Seconds as the database has them. What is later than those is as good as never.
fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

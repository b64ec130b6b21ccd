//! Connections, and what the failure of one means.

use std::{fmt, num::NonZeroUsize, time::Duration};

use deadpool_postgres::{BuildError, Manager, ManagerConfig, Object, RecyclingMethod, Runtime};
use registry_core::BoxError;
use tokio_postgres::{
    Row, Statement,
    error::{DbError, Severity, SqlState},
    types::ToSql,
};

use super::settings::Settings;
use crate::write_error::WriteError;

/// How long a caller waits for a connection while all are in use.
const WAIT: Duration = Duration::from_secs(10);
/// How long an answer may take: longer than the server lets a statement run, so that only a server
/// that has vanished is given up.
const ANSWER: Duration = Duration::from_secs(20);

pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Connections that are kept for the next caller. Clones share them.
#[derive(Clone)]
pub(super) struct Pool(deadpool_postgres::Pool);

impl Pool {
    pub(super) fn new(settings: &Settings, connections: NonZeroUsize) -> Result<Self, BuildError> {
        // Fast: not asked whether it is still there each time it is taken, which would double the
        // way of every read. One that has ended is noticed at once, or at its next use.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager =
            Manager::from_config(settings.config.clone(), settings.tls.clone(), recycling);
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(connections.get())
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(ANSWER))
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self(pool))
    }

    /// Runs a query that changes nothing.
    pub(super) async fn read(
        &self,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, BoxError> {
        loop {
            let (connection, statement) = self.prepare(query).await?;
            match in_time(connection.query(&statement, parameters)).await {
                Ok(rows) => return Ok(rows),
                Err(failure) if retire(connection, &failure) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Runs one statement, which is a transaction by itself.
    pub(super) async fn write(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, WriteError> {
        let (connection, statement) = self.prepare(statement).await.map_err(WriteError::Failed)?;
        match in_time(connection.query(&statement, parameters)).await {
            Ok(rows) => Ok(rows),
            Err(failure) => Err(match failure.reported() {
                // The connection ended, perhaps between the commit and its report.
                None => {
                    retire(connection, &failure);
                    WriteError::Unknown(failure.into())
                }
                Some(error) if *error.code() == SqlState::DISK_FULL => {
                    WriteError::Full(failure.into())
                }
                Some(_) => WriteError::Failed(failure.into()),
            }),
        }
    }

    /// A connection on which `query` is prepared, as it is from its second use on.
    async fn prepare(&self, query: &str) -> Result<(Object, Statement), BoxError> {
        loop {
            let connection = self.0.get().await?;
            match in_time(connection.prepare_cached(query)).await {
                Ok(statement) => return Ok((connection, statement)),
                Err(failure) if retire(connection, &failure) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

/// Closes a connection that is of no further use; whether what failed is worth another one.
///
/// It is if the connection had been idle, and so may have ended long before. There are only so many
/// of these: sooner or later a new one is made.
fn retire(connection: Object, failure: &Failure) -> bool {
    if failure.reported().is_some() {
        return false;
    }
    let was_idle = Object::metrics(&connection).recycled.is_some();
    drop(Object::take(connection));
    was_idle && matches!(failure, Failure::Postgres(_))
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Postgres(tokio_postgres::Error),
    #[error("no answer after {ANSWER:?}")]
    Late,
}

impl Failure {
    /// What the server said of a statement that had no effect, on a connection that goes on. A fatal
    /// error is about the connection, and may come behind the commit.
    fn reported(&self) -> Option<&DbError> {
        let Self::Postgres(error) = self else { return None };
        error.as_db_error().filter(|error| error.parsed_severity() == Some(Severity::Error))
    }
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(Failure::Postgres),
        Err(_) => Err(Failure::Late),
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.0.status()).finish()
    }
}

//! Bringing a database up to date.

use registry_core::BoxError;
use tokio_postgres::{Client, Transaction};

use super::settings::Settings;

/// What makes version n + 1 of the schema out of version n. Never edited, only added to.
pub(super) const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/1.sql"), include_str!("migrations/2.sql")];

/// Held while migrations run. The number is ours alone among the locks of a database.
const ADVISORY_LOCK: i64 = i64::from_be_bytes(*b"CrgoRgst");

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOpenError {
    /// The URL, or the TLS it asks for, makes no sense. Not shown: there may be a password in it.
    #[error("the URL of the PostgreSQL database cannot be used")]
    Url {
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The database keeps text in an encoding that has not got every character.
    #[error("the PostgreSQL database has the encoding `{found}`, not `UTF8`")]
    Encoding {
        /// Its encoding.
        found: String,
    },
    /// The server acknowledges commits that may be lost when the power fails.
    #[error("`synchronous_commit` is off: acknowledged writes could be lost")]
    NotDurable,
    /// The database was written by a later version of this library.
    #[error(
        "the PostgreSQL database has schema version {found}, this version reads up to {}",
        MIGRATIONS.len()
    )]
    Newer {
        /// Its schema version.
        found: i32,
    },
    /// The server cannot be reached, or failed.
    #[error("cannot open the PostgreSQL database")]
    Postgres {
        /// What it said.
        #[source]
        source: BoxError,
    },
}

impl From<tokio_postgres::Error> for PostgresOpenError {
    fn from(source: tokio_postgres::Error) -> Self {
        Self::Postgres { source: source.into() }
    }
}

/// Checks the database, and runs what migrations it lacks.
pub(super) async fn open(settings: &Settings) -> Result<(), PostgresOpenError> {
    let (mut client, connection) = settings.config.connect(settings.tls.clone()).await?;
    // Ends with the client.
    tokio::spawn(connection);
    check(&client).await?;
    let transaction = client.transaction().await?;
    // Other processes may be running the same migrations, for as long as that takes. The lock goes
    // with the transaction.
    transaction
        .batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
        .await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
    migrate(&transaction).await?;
    Ok(transaction.commit().await?)
}

async fn check(client: &Client) -> Result<(), PostgresOpenError> {
    let settings = "SELECT current_setting('server_encoding'), \
                    current_setting('synchronous_commit')";
    let row = client.query_one(settings, &[]).await?;
    let encoding: String = row.try_get(0)?;
    if encoding != "UTF8" {
        return Err(PostgresOpenError::Encoding { found: encoding });
    }
    match row.try_get(1)? {
        "off" => Err(PostgresOpenError::NotDurable),
        _ => Ok(()),
    }
}

async fn migrate(transaction: &Transaction<'_>) -> Result<(), PostgresOpenError> {
    let exists = "SELECT to_regclass('registry_schema') IS NOT NULL";
    let found: i32 = if transaction.query_one(exists, &[]).await?.try_get(0)? {
        transaction.query_one("SELECT version FROM registry_schema", &[]).await?.try_get(0)?
    } else {
        0
    };
    let Some(missing) = usize::try_from(found).ok().and_then(|done| MIGRATIONS.get(done..)) else {
        return Err(PostgresOpenError::Newer { found });
    };
    if missing.is_empty() {
        return Ok(());
    }
    for migration in missing {
        transaction.batch_execute(migration).await?;
    }
    let version = i32::try_from(MIGRATIONS.len()).expect("there are a handful");
    transaction.execute("UPDATE registry_schema SET version = $1", &[&version]).await?;
    Ok(())
}

//! Bringing a database up to date.

use registry_core::{
    BoxError,
    auth::{Scopes, TokenDigest, TokenId, TokenKey, TokenKind, Vouched},
};
use tokio_postgres::{Client, Transaction, types::ToSql};

use super::settings::Settings;

/// What makes version n + 1 of the schema out of version n. Never edited, only added to.
pub(super) const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
    include_str!("migrations/5.sql"),
];

/// Behind this version, tokens are under a key: which [`key_tokens`] sees to.
const KEYED_TOKENS: usize = 3;

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
    let versions = MIGRATIONS.len() - missing.len() + 1..;
    for (version, migration) in versions.zip(missing) {
        transaction.batch_execute(migration).await?;
        if version == KEYED_TOKENS {
            let keyed = key_tokens(transaction).await;
            keyed.map_err(|source| PostgresOpenError::Postgres { source })?;
        }
    }
    let version = i32::try_from(MIGRATIONS.len()).expect("there are a handful");
    transaction.execute("UPDATE registry_schema SET version = $1", &[&version]).await?;
    Ok(())
}

/// Makes the key of the database, and puts the tokens of version 2, which are plain digests, under
/// it.
async fn key_tokens(transaction: &Transaction<'_>) -> Result<(), BoxError> {
    let key = TokenKey::generate()?;
    let insert_key = include_str!("sql/insert_token_key.sql");
    transaction.execute(insert_key, &[&key.expose().as_slice()]).await?;
    let plain = "SELECT digest, account, extract(epoch FROM created_at)::bigint FROM plain_token";
    let scopes = serde_json::to_string(&Scopes::all_but_admin())?;
    let vouched = serde_json::to_string(&Vouched::default())?;
    for row in transaction.query(plain, &[]).await? {
        let digest = <[u8; 32]>::try_from(row.try_get::<_, &[u8]>(0)?)?;
        let hash = key.hash(&TokenDigest::from_bytes(digest));
        let id = i64::try_from(TokenId::of(&hash).number())?;
        let never = None::<i64>;
        let row: [&(dyn ToSql + Sync); 11] = [
            &hash.as_bytes().as_slice(),
            &id,
            &row.try_get::<_, i64>(1)?,
            &"",
            &TokenKind::User.as_str(),
            &scopes,
            &row.try_get::<_, i64>(2)?,
            &never,
            &never,
            &never,
            &vouched,
        ];
        transaction.execute(include_str!("sql/insert_token.sql"), &row).await?;
    }
    Ok(transaction.batch_execute("DROP TABLE plain_token").await?)
}

//! Registries, users, tokens and audit trails in a PostgreSQL database, for any number of processes.
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! use registry_index::postgres::PostgresDatabase;
//!
//! let database = PostgresDatabase::connect("postgres://registry@db.example.com/registry").await?;
//! let index = database.index("main");
//! let tokens = database.tokens();
//! # Ok(())
//! # }
//! ```
//!
//! Each process keeps up to [`PostgresDatabase::DEFAULT_CONNECTIONS`] connections, and one more for
//! each [`Listener`]; the disk writes of commits that come together are one. A connection that was
//! lost is replaced at its next use; a commit during which it was lost ends in
//! [`IndexError::OutcomeUnknown`].
//!
//! # The URL
//!
//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE&…`, with the parameters of libpq
//! that [`tokio_postgres::Config`] knows, and of TLS, as libpq means them:
//!
//! | `sslmode` | encrypted | the server is the one that was meant |
//! |---|---|---|
//! | `disable` | no | unknown |
//! | `prefer` (default) | if the server can | unknown |
//! | `require` | yes | unknown |
//! | `verify-full` | yes | by its certificate and name |
//!
//! `verify-full` trusts what the operating system trusts, or the certificates in the PEM file that
//! `sslrootcert` names. `allow`, `verify-ca` and certificates of clients are not supported; after a
//! failed handshake `prefer` does not try again in the clear.
//!
//! # The database
//!
//! PostgreSQL 13 or later, tested with 15; encoding UTF8. Tables are made in the first schema of the
//! `search_path`, which is `public`, or the one that `options=-csearch_path%3DNAME` sets. The user
//! must own them. A pooler between must keep to sessions: statements are prepared.
//!
//! What each connection is told at its start, unless `options` says otherwise: `statement_timeout`
//! 15 s, `lock_timeout` 5 s, `idle_in_transaction_session_timeout` 15 s. Not changed is
//! `synchronous_commit`: a database that has it off is refused, and if it has standby servers the
//! administrator says which of them an acknowledged write has reached.

mod accounts;
mod approved_names;
mod audit;
mod index;
mod keys;
mod listen;
mod pool;
mod registries;
mod schema;
mod search;
mod settings;
mod single_use;
mod tls;
mod tokens;
mod trusted;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use registry_core::{BoxError, CanonicalName, IndexError};

pub use self::{
    accounts::PostgresAccounts, approved_names::PostgresApprovedNames, audit::PostgresAudit,
    index::PostgresIndex, keys::PostgresKeys, listen::Listener, registries::PostgresRegistries,
    schema::PostgresOpenError, single_use::PostgresSingleUse, tokens::PostgresTokens,
    trusted::PostgresTrustedPublishers,
};
use self::{
    listen::{Announcer, Listeners},
    pool::Pool,
    settings::Settings,
};

const BACKEND: &str = "postgres";

/// One PostgreSQL database, opened. Clones share its connections.
#[derive(Clone)]
pub struct PostgresDatabase(Arc<Database>);

/// What the parts of a database have in common.
struct Database {
    pool: Pool,
    announcer: Announcer,
    listeners: Arc<Listeners>,
}

impl Database {
    /// Tells those who listen, soon, that a crate was committed.
    fn announce(&self, registry: &str, name: &CanonicalName) {
        self.announcer.announce(registry, name);
    }
}

impl PostgresDatabase {
    /// How many connections are kept at most. Ten processes stay below the 100 that a server takes
    /// by default.
    pub const DEFAULT_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

    /// Opens the database at `url`, and makes its tables or brings them up to date; any number of
    /// processes may do so at once. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// [`PostgresOpenError`] if the URL makes no sense, the database cannot be reached, is of a later
    /// version, or cannot keep the promises of an index.
    pub async fn connect(url: &str) -> Result<Self, PostgresOpenError> {
        Self::connect_with(url, Self::DEFAULT_CONNECTIONS).await
    }

    /// As [`PostgresDatabase::connect`], with up to this many connections.
    ///
    /// # Errors
    /// As [`PostgresDatabase::connect`].
    pub async fn connect_with(
        url: &str,
        connections: NonZeroUsize,
    ) -> Result<Self, PostgresOpenError> {
        let settings = Settings::parse(url).map_err(|source| PostgresOpenError::Url { source })?;
        schema::open(&settings).await?;
        let pool = Pool::new(&settings, connections)
            .map_err(|source| PostgresOpenError::Postgres { source: source.into() })?;
        let announcer = Announcer::start(pool.clone());
        let listeners = Listeners::new(settings);
        Ok(Self(Arc::new(Database { pool, announcer, listeners })))
    }

    /// The index of the registry called `registry`; its crates are not seen by any other.
    ///
    /// A registry is there as soon as something is published in it, but for one of the
    /// [list](Self::registries): `registry` is its [key] then, which alone has a
    /// `#` in it, and nothing can be published in it after it was deleted.
    ///
    /// [key]: registry_core::registries::RegistryRecord::key
    pub fn index(&self, registry: &str) -> PostgresIndex {
        PostgresIndex { database: self.0.clone(), registry: registry.into() }
    }

    /// The list of those registries in this database that were made by name. They have users, tokens and keys
    /// in common with all others.
    pub fn registries(&self) -> PostgresRegistries {
        PostgresRegistries { database: self.0.clone() }
    }

    /// The users, service accounts and groups, which all registries in this database have in common.
    pub fn accounts(&self) -> PostgresAccounts {
        PostgresAccounts { database: self.0.clone() }
    }

    /// The users and tokens, which all registries in this database have in common.
    pub fn tokens(&self) -> PostgresTokens {
        PostgresTokens::new(self.0.clone())
    }

    /// The trusted publishers of the crates of the registry called `registry`.
    pub fn trusted_publishers(&self, registry: &str) -> PostgresTrustedPublishers {
        PostgresTrustedPublishers { database: self.0.clone(), registry: registry.into() }
    }

    /// The keys that users sign tokens with, which all registries in this database have in common.
    pub fn keys(&self) -> PostgresKeys {
        PostgresKeys { database: self.0.clone() }
    }

    /// The new names that were agreed to in the registry called `registry`.
    pub fn approved_names(&self, registry: &str) -> PostgresApprovedNames {
        PostgresApprovedNames { database: self.0.clone(), registry: registry.into() }
    }

    /// What counts only once, in all registries in this database.
    pub fn single_use(&self) -> PostgresSingleUse {
        PostgresSingleUse { database: self.0.clone() }
    }

    /// The audit trail of the registry called `registry`. Its index writes to it by itself: what was
    /// committed and its entry are one statement.
    pub fn audit(&self, registry: &str) -> PostgresAudit {
        PostgresAudit { database: self.0.clone(), registry: registry.into() }
    }

    /// Calls `on_change` with each crate that any process commits to the registry called `registry`,
    /// a moment after it did, this process included; until the listener is dropped.
    ///
    /// All listeners of a database have one connection in common, which is none of its
    /// [usual ones](Self::connect_with). It is made again and again by itself, and `on_change` called
    /// with `None` each time it is there: any crate may have changed meanwhile. A commit may go unheard if its process ends
    /// then, or loses its connection, or if its future was dropped: this makes caches current sooner
    /// than a time limit of their own does, but does not stand for one. `on_change` must not block.
    /// Has to be called within a tokio runtime.
    pub fn listen(
        &self,
        registry: &str,
        on_change: impl Fn(Option<&CanonicalName>) + Send + Sync + 'static,
    ) -> Listener {
        self.0.listeners.add(registry, Arc::new(on_change))
    }
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresDatabase").field(&self.0.pool).finish()
    }
}

fn failed(source: BoxError) -> IndexError {
    IndexError::Backend { backend: BACKEND, source }
}

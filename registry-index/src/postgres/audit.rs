use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, CanonicalName, Login,
    audit::{AuditEntry, AuditLog, AuditQuery, AuditRecord, AuditText},
    auth::AuthStoreError,
    record::Timestamp,
};
use tokio_postgres::{Row, types::ToSql};

use super::{BACKEND, Database, pool::Parameters};
use crate::write_error::WriteError;

/// The audit trail of one registry of a [`PostgresDatabase`](super::PostgresDatabase).
///
/// What a [`PostgresIndex`](super::PostgresIndex) of that registry commits is in it by itself.
#[derive(Clone)]
pub struct PostgresAudit {
    pub(super) database: Arc<Database>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for PostgresAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = &mut f.debug_struct("PostgresAudit");
        fields.field("registry", &self.registry).field("pool", &self.database.pool).finish()
    }
}

#[async_trait]
impl AuditLog for PostgresAudit {
    async fn append(&self, entry: &AuditEntry) -> Result<(), AuthStoreError> {
        let columns = Columns::of(entry).map_err(failed)?;
        let canonical = entry.crate_name.as_ref().map(CanonicalName::as_str);
        let registry = &*self.registry;
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&registry, &canonical];
        parameters.extend(columns.parameters());
        let statement = include_str!("sql/insert_audit.sql");
        let written = self.database.pool.write(statement, &parameters).await;
        written.map(drop).map_err(WriteError::into_source).map_err(failed)
    }

    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, AuthStoreError> {
        let at = |at: Timestamp| i64::try_from(at.0).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> = &[
            &&*self.registry,
            &i64::try_from(query.after).unwrap_or(i64::MAX),
            &query.login.as_ref().map(Login::as_str),
            &query.crate_name.as_ref().map(CanonicalName::as_str),
            &query.action.as_ref().map(|action| action.as_str()),
            &query.outcome.map(|outcome| outcome.as_str()),
            &query.since.map(at),
            &query.until.map(at),
            &i64::try_from(query.limit.get()).unwrap_or(i64::MAX),
        ];
        let rows = self.database.pool.read(include_str!("sql/audit.sql"), parameters).await;
        let records = rows.and_then(|rows| rows.iter().map(record).collect());
        records.map_err(failed)
    }
}

/// What an entry says, but for the crate, as the statements that write one have it.
pub(super) struct Columns<'a> {
    at: i64,
    login: Option<&'a str>,
    credential: Option<&'a str>,
    action: &'a str,
    version: Option<String>,
    outcome: &'static str,
    detail: Option<&'a str>,
    request: Option<&'a str>,
    address: Option<String>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(entry: &'a AuditEntry) -> Result<Self, BoxError> {
        let text = |text: &'a Option<AuditText>| text.as_ref().map(AuditText::as_str);
        Ok(Self {
            at: entry.at.0.try_into()?,
            login: entry.login.as_ref().map(Login::as_str),
            credential: text(&entry.credential),
            action: entry.action.as_str(),
            version: entry.version.as_ref().map(ToString::to_string),
            outcome: entry.outcome.as_str(),
            detail: text(&entry.detail),
            request: text(&entry.request),
            address: entry.address.map(|address| address.to_string()),
        })
    }

    /// In the order of the statements.
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.at,
            &self.login,
            &self.credential,
            &self.action,
            &self.version,
            &self.outcome,
            &self.detail,
            &self.request,
            &self.address,
        ]
    }
}

fn record(row: &Row) -> Result<AuditRecord, BoxError> {
    let text = |column: usize| row.try_get::<_, Option<&str>>(column);
    let kept = |column| Ok::<_, BoxError>(text(column)?.map(AuditText::new));
    let entry = AuditEntry {
        at: Timestamp(u64::try_from(row.try_get::<_, i64>(1)?)?),
        login: text(2)?.map(Login::new).transpose()?,
        credential: kept(3)?,
        action: row.try_get::<_, &str>(4)?.parse()?,
        crate_name: text(5)?.map(CanonicalName::new).transpose()?,
        version: text(6)?.map(str::parse).transpose()?,
        outcome: row.try_get::<_, &str>(7)?.parse()?,
        detail: kept(8)?,
        request: kept(9)?,
        address: text(10)?.map(str::parse).transpose()?,
    };
    Ok(AuditRecord { id: u64::try_from(row.try_get::<_, i64>(0)?)?, entry })
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

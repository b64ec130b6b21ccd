use std::{fmt, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    BoxError, CanonicalName, Login,
    audit::{AuditEntry, AuditLog, AuditQuery, AuditRecord, AuditText},
    auth::AuthStoreError,
    record::Timestamp,
};
use rusqlite::{Row, ToSql, Transaction, named_params};

use super::{BACKEND, pool::Pool};
use crate::write_error::WriteError;

/// The audit trail of one registry of a [`SqliteDatabase`](super::SqliteDatabase).
///
/// What a [`SqliteIndex`](super::SqliteIndex) of that registry commits is in it by itself.
#[derive(Clone)]
pub struct SqliteAudit {
    pub(super) pool: Arc<Pool>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for SqliteAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = &mut f.debug_struct("SqliteAudit");
        fields.field("registry", &self.registry).field("pool", &self.pool).finish()
    }
}

#[async_trait]
impl AuditLog for SqliteAudit {
    async fn append(&self, entry: &AuditEntry) -> Result<(), AuthStoreError> {
        let (registry, entry) = (self.registry.clone(), entry.clone());
        let written = self.pool.write(move |transaction| insert(transaction, &registry, &entry));
        written.await.map_err(WriteError::into_source).map_err(failed)
    }

    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, AuthStoreError> {
        let (registry, query) = (self.registry.clone(), query.clone());
        let found = self.pool.read(move |transaction| select(transaction, &registry, &query));
        found.await.map_err(failed)
    }
}

/// Adds an entry in the transaction of what it is about.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    registry: &str,
    entry: &AuditEntry,
) -> Result<(), BoxError> {
    let text = |text: &Option<AuditText>| text.as_ref().map(|text| text.as_str().to_owned());
    let mut insert = transaction.prepare_cached(include_str!("sql/insert_audit.sql"))?;
    insert.execute(named_params! {
        ":registry": registry,
        ":at": i64::try_from(entry.at.0)?,
        ":login": entry.login.as_ref().map(Login::as_str),
        ":credential": text(&entry.credential),
        ":action": entry.action.as_str(),
        ":canonical": entry.crate_name.as_ref().map(CanonicalName::as_str),
        ":version": entry.version.as_ref().map(ToString::to_string),
        ":outcome": entry.outcome.as_str(),
        ":detail": text(&entry.detail),
        ":request": text(&entry.request),
        ":address": entry.address.map(|address| address.to_string()),
    })?;
    Ok(())
}

/// Only with conditions that are there, an index serves them.
fn select(
    transaction: &Transaction<'_>,
    registry: &str,
    query: &AuditQuery,
) -> Result<Vec<AuditRecord>, BoxError> {
    let at = |at: Timestamp| i64::try_from(at.0).unwrap_or(i64::MAX);
    let after = i64::try_from(query.after).unwrap_or(i64::MAX);
    let limit = i64::try_from(query.limit.get()).unwrap_or(i64::MAX);
    let login = query.login.as_ref().map(Login::as_str);
    let canonical = query.crate_name.as_ref().map(CanonicalName::as_str);
    let action = query.action.as_ref().map(|action| action.as_str());
    let outcome = query.outcome.map(|outcome| outcome.as_str());
    let (since, until) = (query.since.map(at), query.until.map(at));
    let mut sql = include_str!("sql/audit.sql").to_owned();
    let mut parameters: Vec<(&str, &dyn ToSql)> =
        vec![(":registry", &registry), (":after", &after), (":limit", &limit)];
    let mut only = |condition: &str, name: &'static str, value: Option<_>| {
        if let Some(value) = value {
            sql += condition;
            parameters.push((name, value));
        }
    };
    only(" AND login = :login", ":login", login.as_ref().map(dynamic));
    only(" AND canonical = :canonical", ":canonical", canonical.as_ref().map(dynamic));
    only(" AND action = :action", ":action", action.as_ref().map(dynamic));
    only(" AND outcome = :outcome", ":outcome", outcome.as_ref().map(dynamic));
    only(" AND at >= :since", ":since", since.as_ref().map(dynamic));
    only(" AND at < :until", ":until", until.as_ref().map(dynamic));
    sql += " ORDER BY id LIMIT :limit";
    let mut query = transaction.prepare_cached(&sql)?;
    let mut rows = query.query(&*parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

fn dynamic(value: &impl ToSql) -> &dyn ToSql {
    value
}

fn record(row: &Row<'_>) -> Result<AuditRecord, BoxError> {
    let text = |column| Ok::<_, BoxError>(row.get_ref(column)?.as_str_or_null()?);
    let kept = |column| Ok::<_, BoxError>(text(column)?.map(AuditText::new));
    let entry = AuditEntry {
        at: Timestamp(u64::try_from(row.get::<_, i64>(1)?)?),
        login: text(2)?.map(Login::new).transpose()?,
        credential: kept(3)?,
        action: row.get_ref(4)?.as_str()?.parse()?,
        crate_name: text(5)?.map(CanonicalName::new).transpose()?,
        version: text(6)?.map(str::parse).transpose()?,
        outcome: row.get_ref(7)?.as_str()?.parse()?,
        detail: kept(8)?,
        request: kept(9)?,
        address: text(10)?.map(str::parse).transpose()?,
    };
    Ok(AuditRecord { id: u64::try_from(row.get::<_, i64>(0)?)?, entry })
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

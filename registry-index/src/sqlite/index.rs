use std::{fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{
    BoxError, CanonicalName, CrateName, CrateRecord, ETag, Index, IndexError, IndexFile, IndexLine,
    Login,
    audit::AuditEntry,
    index::{Lookup, Revision, Stored},
    record::{Change, ChangeKind, ReleaseRecord, Timestamp},
    version::UniqueVersion,
};
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params, params};

use super::{BACKEND, audit, failed, pool::Pool, words_text};

/// One registry of a [`SqliteDatabase`](super::SqliteDatabase): its index, and its search.
///
/// A publish adds one row and a yank changes one, beside the row of the crate; only a crate's
/// first commit writes every release of the record, so that a crate can be brought in whole.
#[derive(Clone)]
pub struct SqliteIndex {
    pub(super) pool: Arc<Pool>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for SqliteIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = &mut f.debug_struct("SqliteIndex");
        fields.field("registry", &self.registry).field("pool", &self.pool).finish()
    }
}

#[async_trait]
impl Index for SqliteIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let (registry, name, known) = (self.registry.clone(), name.clone(), known.cloned());
        let found = self
            .pool
            .read(move |transaction| index_file(transaction, &registry, &name, known.as_ref()));
        found.await.map_err(failed)
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        let (registry, name, known) = (self.registry.clone(), name.clone(), known.cloned());
        let found =
            self.pool.read(move |transaction| load(transaction, &registry, &name, known.as_ref()));
        found.await.map_err(failed)
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        let expected = match expected.map(|revision| revision.as_str().parse::<i64>()) {
            None => None,
            Some(Ok(revision)) => Some(revision),
            // Not one of ours, so not that of any record here.
            Some(Err(_)) => return Err(IndexError::Conflict { name }),
        };
        let (registry, kind, next) = (self.registry.clone(), change.kind.clone(), next.clone());
        let entry = AuditEntry::from(change);
        let written = self.pool.write(move |transaction| {
            let revision = commit(transaction, &registry, expected, &kind, &next)?;
            if revision.is_some() {
                audit::insert(transaction, &registry, &entry)?;
            }
            Ok(revision)
        });
        match written.await {
            Ok(Some(revision)) => Ok(Revision::from(revision.to_string())),
            Ok(None) => Err(IndexError::Conflict { name }),
            Err(error) => Err(error.of_commit(BACKEND, name)),
        }
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let registry = self.registry.clone();
        // Every name is behind the empty text.
        let after = after.map(|name| name.as_str().to_owned()).unwrap_or_default();
        let limit = i64::try_from(limit.get()).unwrap_or(i64::MAX);
        let names = self.pool.read(move |transaction| {
            let mut query = transaction.prepare_cached(include_str!("sql/names.sql"))?;
            let mut rows = query.query(params![&*registry, after, limit])?;
            let mut names = Vec::new();
            while let Some(row) = rows.next()? {
                names.push(CanonicalName::new(text(row, 0)?)?);
            }
            Ok(names)
        });
        names.await.map_err(failed)
    }

    async fn ready(&self) -> Result<(), IndexError> {
        // The version that is there, written again: a lock alone is to be had on a full disk, too.
        let ready = self.pool.write(|transaction| {
            let version: i32 =
                transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            Ok(transaction.pragma_update(None, "user_version", version)?)
        });
        ready.await.map_err(|error| error.of_ready(BACKEND))
    }
}

fn index_file(
    transaction: &Transaction<'_>,
    registry: &str,
    name: &CanonicalName,
    known: Option<&ETag>,
) -> Result<Lookup<IndexFile>, BoxError> {
    let mut query = transaction.prepare_cached(include_str!("sql/find_crate.sql"))?;
    let mut rows = query.query(params![registry, name.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(Lookup::Absent);
    };
    let id: i64 = row.get(0)?;
    let name = CrateName::new(text(row, 1)?)?;
    let etag = ETag::parse(text(row, 2)?).ok_or("the stored validator is none")?;
    if Some(&etag) == known {
        return Ok(Lookup::Unchanged);
    }
    let mut body = Vec::new();
    let mut lines = transaction.prepare_cached(include_str!("sql/index_lines.sql"))?;
    let mut rows = lines.query([id])?;
    while let Some(row) = rows.next()? {
        body.extend_from_slice(text(row, 0)?.as_bytes());
        body.push(b'\n');
    }
    Ok(Lookup::Found(IndexFile { name, etag, body: body.into() }))
}

fn load(
    transaction: &Transaction<'_>,
    registry: &str,
    name: &CanonicalName,
    known: Option<&Revision>,
) -> Result<Lookup<Stored>, BoxError> {
    let mut query = transaction.prepare_cached(include_str!("sql/load_crate.sql"))?;
    let mut rows = query.query(params![registry, name.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(Lookup::Absent);
    };
    let id: i64 = row.get(0)?;
    let revision = Revision::from(row.get::<_, i64>(1)?.to_string());
    if Some(&revision) == known {
        return Ok(Lookup::Unchanged);
    }
    let name = CrateName::new(text(row, 2)?)?;
    let owners = serde_json::from_str(text(row, 3)?)?;
    let about = serde_json::from_str(text(row, 4)?)?;
    let mut query = transaction.prepare_cached(include_str!("sql/load_releases.sql"))?;
    let mut rows = query.query([id])?;
    let mut releases = Vec::new();
    while let Some(row) = rows.next()? {
        releases.push(Arc::new(ReleaseRecord {
            line: IndexLine::parse(Bytes::copy_from_slice(text(row, 0)?.as_bytes()))?,
            size: u64::try_from(row.get::<_, i64>(1)?)?,
            published_at: Timestamp(u64::try_from(row.get::<_, i64>(2)?)?),
            published_by: Login::new(text(row, 3)?)?,
            state: text(row, 4)?.parse()?,
        }));
    }
    let record = CrateRecord::from_parts(name, owners, about, releases)?;
    Ok(Lookup::Found(Stored { record, revision }))
}

/// The new revision; `None` if the record has another one than `expected`.
fn commit(
    transaction: &Transaction<'_>,
    registry: &str,
    expected: Option<i64>,
    kind: &ChangeKind,
    next: &CrateRecord,
) -> Result<Option<i64>, BoxError> {
    let Some((id, revision)) = write_crate(transaction, registry, expected, next)? else {
        return Ok(None);
    };
    let releases = next.releases();
    match (expected, kind) {
        (None, _) => insert_releases(transaction, id, 0, releases)?,
        (Some(_), ChangeKind::Published(_)) => {
            let last = releases.len().saturating_sub(1);
            insert_releases(transaction, id, last, &releases[last..])?;
        }
        (Some(_), ChangeKind::YankedSet(release)) => update_release(transaction, id, release)?,
        (Some(_), ChangeKind::OwnersAdded(_) | ChangeKind::OwnersRemoved(_)) => {}
        // What may differ anywhere, or a kind of change that this backend does not know: right in
        // any case, if not cheap.
        _ => {
            transaction.prepare_cached(include_str!("sql/delete_releases.sql"))?.execute([id])?;
            insert_releases(transaction, id, 0, releases)?;
        }
    }
    Ok(Some(revision))
}

/// Writes the crate's own row; its id and new revision, unless it has another one than `expected`.
fn write_crate(
    transaction: &Transaction<'_>,
    registry: &str,
    expected: Option<i64>,
    next: &CrateRecord,
) -> Result<Option<(i64, i64)>, BoxError> {
    let written = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (canonical, etag) = (next.name().canonical(), next.etag());
    let owners = serde_json::to_string(next.owners())?;
    let about = serde_json::to_string(next.about())?;
    let max_version = next.max_version().map(ToString::to_string);
    let words = words_text(&canonical, next.about());
    let row = named_params! {
        ":registry": registry, ":canonical": canonical.as_str(),
        ":name": next.name().as_str(), ":etag": etag.as_str(), ":owners": owners,
        ":about": about, ":max_version": max_version, ":words": words,
    };
    let row = match expected {
        None => {
            let mut insert = transaction.prepare_cached(include_str!("sql/insert_crate.sql"))?;
            insert.query_row(row, written).optional()?
        }
        Some(expected) => {
            let mut update = transaction.prepare_cached(include_str!("sql/update_crate.sql"))?;
            let expected = named_params! { ":expected": expected };
            let row: Vec<_> = row.iter().chain(expected).copied().collect();
            update.query_row(&*row, written).optional()?
        }
    };
    Ok(row)
}

fn insert_releases(
    transaction: &Transaction<'_>,
    id: i64,
    first: usize,
    releases: &[Arc<ReleaseRecord>],
) -> Result<(), BoxError> {
    let mut insert = transaction.prepare_cached(include_str!("sql/insert_release.sql"))?;
    for (position, release) in (first..).zip(releases) {
        insert.execute(named_params! {
            ":crate": id, ":position": i64::try_from(position)?,
            ":version": UniqueVersion::from(release.version()).to_string(),
            ":state": release.state.as_str(), ":line": line_text(release)?,
            ":size": i64::try_from(release.size)?,
            ":published_at": i64::try_from(release.published_at.0)?,
            ":published_by": release.published_by.as_str(),
        })?;
    }
    Ok(())
}

fn update_release(
    transaction: &Transaction<'_>,
    id: i64,
    release: &ReleaseRecord,
) -> Result<(), BoxError> {
    let version = UniqueVersion::from(release.version()).to_string();
    let mut update = transaction.prepare_cached(include_str!("sql/update_release.sql"))?;
    match update.execute(params![id, version, release.state.as_str(), line_text(release)?])? {
        1 => Ok(()),
        _ => Err(format!("there is no row for version `{version}`").into()),
    }
}

fn line_text(release: &ReleaseRecord) -> Result<&str, BoxError> {
    Ok(std::str::from_utf8(release.line.as_bytes())?)
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, BoxError> {
    Ok(row.get_ref(column)?.as_str()?)
}

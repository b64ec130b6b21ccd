use std::{fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use registry_core::{
    BoxError, CanonicalName, CrateName, CrateRecord, ETag, Index, IndexError, IndexFile, IndexLine,
    Login,
    audit::AuditEntry,
    index::{Lookup, Revision, Stored},
    record::{Change, ChangeKind, ReleaseRecord, Timestamp},
    version::UniqueVersion,
};
use tokio_postgres::Row;

use super::{BACKEND, Database, audit, failed, pool::Parameters, search::found_by};
use crate::write_error::WriteError;

/// One registry of a [`PostgresDatabase`](super::PostgresDatabase): its index, and its search.
///
/// Reading an index file, loading a record and committing one are one statement each, so each sees
/// or makes one state of the crate, in one round trip. A publish adds one row and a yank changes
/// one, beside the row of the crate.
#[derive(Clone)]
pub struct PostgresIndex {
    pub(super) database: Arc<Database>,
    pub(super) registry: Arc<str>,
}

impl fmt::Debug for PostgresIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = &mut f.debug_struct("PostgresIndex");
        fields.field("registry", &self.registry).field("pool", &self.database.pool).finish()
    }
}

#[async_trait]
impl Index for PostgresIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let known = known.map(ETag::as_str);
        let parameters: Parameters<'_> = &[&&*self.registry, &name.as_str(), &known];
        let query = include_str!("sql/index_file.sql");
        let rows = self.database.pool.read(query, parameters).await.map_err(failed)?;
        rows.first().map_or(Ok(Lookup::Absent), index_file).map_err(failed)
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        // One that is not ours is not that of any record here.
        let known: Option<i64> = known.and_then(|revision| revision.as_str().parse().ok());
        let parameters: Parameters<'_> = &[&&*self.registry, &name.as_str(), &known];
        let query = include_str!("sql/load.sql");
        let rows = self.database.pool.read(query, parameters).await.map_err(failed)?;
        match rows.first() {
            None => Ok(Lookup::Absent),
            Some(first) => stored(first, &rows, known).map_err(failed),
        }
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
        let written = self.write(&name, expected, change, next).await;
        if matches!(written, Ok(Some(_)) | Err(WriteError::Unknown(_))) {
            self.database.announce(&self.registry, &name);
        }
        match written {
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
        // Every name is behind the empty text.
        let after = after.map_or("", CanonicalName::as_str);
        let limit = i64::try_from(limit.get()).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> = &[&&*self.registry, &after, &limit];
        let query = include_str!("sql/names.sql");
        let rows = self.database.pool.read(query, parameters).await.map_err(failed)?;
        let name = |row: &Row| Ok(CanonicalName::new(row.try_get(0)?)?);
        rows.iter().map(name).collect::<Result<_, BoxError>>().map_err(failed)
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let written = self.database.pool.write(include_str!("sql/ready.sql"), &[]).await;
        written.map(drop).map_err(|error| error.of_ready(BACKEND))
    }
}

impl PostgresIndex {
    /// The new revision; `None` if the record has another one than `expected`.
    async fn write(
        &self,
        name: &CanonicalName,
        expected: Option<i64>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Option<i64>, WriteError> {
        let owners = serde_json::to_string(next.owners()).map_err(impossible)?;
        let about = serde_json::to_string(next.about()).map_err(impossible)?;
        let max_version = next.max_version().map(ToString::to_string);
        let words = found_by(name, next.about());
        let rows = match expected {
            None => Releases::from(next, 0),
            Some(_) => Releases::differing(next, &change.kind),
        };
        let rows = rows.map_err(WriteError::Failed)?;
        let count = i32::try_from(next.releases().len()).map_err(impossible)?;
        let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = Vec::new();
        let (registry, canonical, spelled) = (&*self.registry, name.as_str(), next.name().as_str());
        let etag = next.etag();
        let etag = etag.as_str();
        parameters.extend_from_slice(&[
            &registry,
            &canonical,
            &spelled,
            &etag,
            &owners,
            &about,
            &max_version,
            &words,
        ]);
        parameters.extend_from_slice(&[
            &rows.positions,
            &rows.versions,
            &rows.states,
            &rows.lines,
            &rows.sizes,
            &rows.published_at,
            &rows.published_by,
        ]);
        let statement = match &expected {
            None => include_str!("sql/create.sql"),
            Some(expected) => {
                parameters.extend_from_slice(&[expected, &count]);
                include_str!("sql/update.sql")
            }
        };
        let entry = AuditEntry::from(change);
        let audited = audit::Columns::of(&entry).map_err(WriteError::Failed)?;
        parameters.extend(audited.parameters());
        let written = self.database.pool.write(statement, &parameters).await?;
        let revision = written.first().map(|row| row.try_get(0)).transpose();
        revision.map_err(|error| WriteError::Unknown(error.into()))
    }
}

/// Rows of releases, a column each.
#[derive(Default)]
struct Releases<'a> {
    positions: Vec<i32>,
    versions: Vec<String>,
    states: Vec<&'static str>,
    lines: Vec<&'a str>,
    sizes: Vec<i64>,
    published_at: Vec<i64>,
    published_by: Vec<&'a str>,
}

impl<'a> Releases<'a> {
    /// The rows that a change makes others of.
    fn differing(next: &'a CrateRecord, kind: &ChangeKind) -> Result<Self, BoxError> {
        let releases = next.releases();
        match kind {
            ChangeKind::Published(_) => Self::from(next, releases.len().saturating_sub(1)),
            ChangeKind::YankedSet(changed) => {
                let is_changed =
                    |release: &Arc<ReleaseRecord>| release.version() == changed.version();
                let position = releases.iter().position(is_changed);
                let position = position.ok_or("the record lacks the version that is yanked")?;
                let mut rows = Self::default();
                rows.push(position, &releases[position])?;
                Ok(rows)
            }
            ChangeKind::OwnersAdded(_) | ChangeKind::OwnersRemoved(_) => Ok(Self::default()),
            // What may differ anywhere, or a kind of change that this backend does not know: right
            // in any case, if not cheap.
            _ => Self::from(next, 0),
        }
    }

    /// All rows from a position on.
    fn from(next: &'a CrateRecord, first: usize) -> Result<Self, BoxError> {
        let mut rows = Self::default();
        for (position, release) in next.releases().iter().enumerate().skip(first) {
            rows.push(position, release)?;
        }
        Ok(rows)
    }

    fn push(&mut self, position: usize, release: &'a ReleaseRecord) -> Result<(), BoxError> {
        self.positions.push(position.try_into()?);
        self.versions.push(UniqueVersion::from(release.version()).to_string());
        self.states.push(release.state.as_str());
        self.lines.push(std::str::from_utf8(release.line.as_bytes())?);
        self.sizes.push(release.size.try_into()?);
        self.published_at.push(release.published_at.0.try_into()?);
        self.published_by.push(release.published_by.as_str());
        Ok(())
    }
}

fn index_file(row: &Row) -> Result<Lookup<IndexFile>, BoxError> {
    let name = CrateName::new(row.try_get(0)?)?;
    let etag = ETag::parse(row.try_get(1)?).ok_or("the stored validator is none")?;
    let Some(lines) = row.try_get::<_, Option<Vec<&str>>>(2)? else {
        return Ok(Lookup::Unchanged);
    };
    let mut body = BytesMut::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        body.put_slice(line.as_bytes());
        body.put_u8(b'\n');
    }
    Ok(Lookup::Found(IndexFile { name, etag, body: body.freeze() }))
}

fn stored(first: &Row, rows: &[Row], known: Option<i64>) -> Result<Lookup<Stored>, BoxError> {
    let revision: i64 = first.try_get(0)?;
    if known == Some(revision) {
        return Ok(Lookup::Unchanged);
    }
    let name = CrateName::new(first.try_get(1)?)?;
    let owners = serde_json::from_str(first.try_get(2)?)?;
    let about = serde_json::from_str(first.try_get(3)?)?;
    let mut releases = Vec::with_capacity(rows.len());
    for row in rows {
        // Without any release there is one row all the same.
        let Some(line) = row.try_get::<_, Option<&str>>(4)? else { break };
        releases.push(Arc::new(ReleaseRecord {
            line: IndexLine::parse(Bytes::copy_from_slice(line.as_bytes()))?,
            size: u64::try_from(row.try_get::<_, i64>(5)?)?,
            published_at: Timestamp(u64::try_from(row.try_get::<_, i64>(6)?)?),
            published_by: Login::new(row.try_get(7)?)?,
            state: row.try_get::<_, &str>(8)?.parse()?,
        }));
    }
    let record = CrateRecord::from_parts(name, owners, about, releases)?;
    Ok(Lookup::Found(Stored { record, revision: Revision::from(revision.to_string()) }))
}

/// What cannot fail, but has a result: nothing was written.
fn impossible(error: impl Into<BoxError>) -> WriteError {
    WriteError::Failed(error.into())
}

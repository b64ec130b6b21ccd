//! Everything in memory: for tests, and for registries that may forget.
//!
//! Each of these keeps its state behind an [`Arc`]: clones are handles on one state. They are the
//! oracle that other backends are compared with, so they are written to be obviously right and not
//! to be fast.

mod accounts;
mod approved_names;
mod keys;
mod single_use;
mod trusted;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;

pub use self::{
    accounts::MemoryAccounts, approved_names::MemoryApprovedNames, keys::MemoryKeys,
    single_use::MemorySingleUse, trusted::MemoryTrustedPublishers,
};
use crate::{
    BoxError,
    audit::{AuditEntry, AuditLog, AuditQuery, AuditRecord},
    auth::{
        AuthStoreError, NewToken, Revocation, TokenDigest, TokenId, TokenKey, TokenRecord,
        TokenStore, TokenTable, TokenTransfer, UserTokens,
    },
    index::{ETag, Index, IndexError, IndexFile, Lookup, Revision, Stored},
    name::CanonicalName,
    owner::{Login, Owner},
    record::{Change, CrateRecord, Timestamp},
    search::{FoundCrate, Rank, Search, SearchPage, SearchQuery, crate_words},
    store::{
        AsideCrate, AsideCrates, AsideReason, ByteRange, CrateBody, CrateFile, CrateKey,
        CrateStore, CrateUpkeep, StoreError, StoredCrate, StoredCrates,
    },
};

const BACKEND: &str = "memory";

/// An [`Index`] that lasts as long as its last clone, and a [`Search`] over it.
#[derive(Clone, Debug, Default)]
pub struct MemoryIndex(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    crates: BTreeMap<CanonicalName, Stored>,
    commits: u64,
    audit: Option<MemoryAudit>,
}

impl MemoryIndex {
    /// An index without crates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes an entry of each commit to `audit` from now on, for all handles.
    #[must_use]
    pub fn with_audit(self, audit: MemoryAudit) -> Self {
        lock(&self.0).audit = Some(audit);
        self
    }

    fn record(&self, name: &CanonicalName) -> Option<CrateRecord> {
        lock(&self.0).crates.get(name).map(|stored| stored.record.clone())
    }
}

#[async_trait]
impl Index for MemoryIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        Ok(Lookup::of(self.record(name).map(|record| record.index_file()), known))
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        Ok(Lookup::of_stored(lock(&self.0).crates.get(name).cloned(), known))
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        let mut records = lock(&self.0);
        if records.crates.get(&name).map(|stored| &stored.revision) != expected {
            return Err(IndexError::Conflict { name });
        }
        records.commits += 1;
        // Counted over all crates: a revision names one state of one record, and never another.
        let revision = Revision::from(records.commits.to_string());
        let stored = Stored { record: next.clone(), revision: revision.clone() };
        records.crates.insert(name, stored);
        if let Some(audit) = &records.audit {
            audit.push(change.into());
        }
        Ok(revision)
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let records = lock(&self.0);
        let rest = records.crates.keys().filter(|name| after.is_none_or(|after| *name > after));
        Ok(rest.take(limit.get()).cloned().collect())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

#[async_trait]
impl Search for MemoryIndex {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError> {
        let mut found: Vec<(Rank, CanonicalName, FoundCrate)> = Vec::new();
        for (name, Stored { record, .. }) in &lock(&self.0).crates {
            let Some(max_version) = record.max_version().cloned() else { continue };
            let words = crate_words(name, record.about());
            let Some(rank) = Rank::of(query, name, &words) else { continue };
            let description = record.about().description.clone();
            let shown = FoundCrate { name: record.name().clone(), max_version, description };
            found.push((rank, name.clone(), shown));
        }
        found.sort_by(|(rank, name, _), (other_rank, other_name, _)| {
            (rank, name).cmp(&(other_rank, other_name))
        });
        let total = found.len().min(SearchPage::MAX_TOTAL);
        let page = found.into_iter().skip(query.offset()).take(query.limit().get());
        Ok(SearchPage { crates: page.map(|(.., shown)| shown).collect(), total })
    }
}

/// A [`CrateStore`] and [`CrateUpkeep`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryCrateStore(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    in_place: BTreeMap<CrateKey, (Bytes, SystemTime)>,
    aside: BTreeMap<u64, (AsideCrate, Bytes)>,
    /// How often a file was put aside.
    moves: u64,
}

impl MemoryCrateStore {
    /// A store without files.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Files {
    fn remove_aside(&mut self, entry: &AsideCrate) -> Option<(AsideCrate, Bytes)> {
        self.aside.remove(&entry.id.parse().ok()?)
    }

    /// The file in its place, or one that nobody named and is aside.
    fn find(&self, key: &CrateKey) -> Result<Option<(&Bytes, SystemTime)>, StoreError> {
        if let Some((bytes, modified)) = self.in_place.get(key) {
            return Ok(Some((bytes, *modified)));
        }
        let mut aside = self.aside.values().filter(|(entry, _)| entry.key == *key).peekable();
        let is_quarantined = aside.peek().is_some();
        match aside.find(|(entry, _)| entry.reason == AsideReason::Unnamed) {
            Some((entry, bytes)) => Ok(Some((bytes, entry.since))),
            None if is_quarantined => Err(StoreError::Quarantined { key: key.clone().into() }),
            None => Ok(None),
        }
    }
}

fn stored(key: &CrateKey, bytes: &Bytes, modified: SystemTime) -> StoredCrate {
    StoredCrate { key: key.clone(), size: bytes.len() as u64, modified }
}

#[async_trait]
impl CrateStore for MemoryCrateStore {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        let bytes = file.to_bytes().map_err(|error| StoreError::failed(BACKEND, error))?;
        lock(&self.0).in_place.insert(key.clone(), (bytes, SystemTime::now()));
        Ok(())
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let files = lock(&self.0);
        let found = files.find(key)?;
        Ok(found.map(|(bytes, modified)| CrateFile::from_bytes(bytes, range, modified)))
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        let files = lock(&self.0);
        Ok(files.find(key)?.map(|(bytes, modified)| stored(key, bytes, modified)))
    }

    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn list(&self) -> StoredCrates<'_> {
        let files = lock(&self.0);
        let all = files.in_place.iter();
        let all: Vec<_> =
            all.map(|(key, (bytes, modified))| Ok(stored(key, bytes, *modified))).collect();
        Box::pin(stream::iter(all))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl CrateUpkeep for MemoryCrateStore {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        let mut files = lock(&self.0);
        if let Some((bytes, _)) = files.in_place.remove(key) {
            files.moves += 1;
            let number = files.moves;
            let (key, since, id) = (key.clone(), SystemTime::now(), number.to_string().into());
            let entry = AsideCrate { key, reason, since, id, size: bytes.len() as u64 };
            files.aside.insert(number, (entry, bytes));
        }
        Ok(())
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        let files = lock(&self.0);
        let all: Vec<_> = files.aside.values().map(|(entry, _)| Ok(entry.clone())).collect();
        Box::pin(stream::iter(all))
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        let Ok(number) = entry.id.parse::<u64>() else { return Ok(None) };
        let files = lock(&self.0);
        let found = files.aside.get(&number);
        Ok(found.map(|(entry, bytes)| CrateFile::from_bytes(bytes, None, entry.since)))
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        let mut files = lock(&self.0);
        if let Some((entry, bytes)) = files.remove_aside(entry) {
            files.in_place.entry(entry.key).or_insert((bytes, SystemTime::now()));
        }
        Ok(())
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        lock(&self.0).remove_aside(entry);
        Ok(())
    }
}

/// A [`TokenStore`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryTokens(Arc<Mutex<TokenTable>>);

impl MemoryTokens {
    /// A store without users.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl TokenStore for MemoryTokens {
    async fn create(&self, token: &NewToken) -> Result<TokenRecord, AuthStoreError> {
        lock(&self.0).create(token, None).map_err(tokens_failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError> {
        Ok(lock(&self.0).find(digest, None))
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError> {
        Ok(lock(&self.0).list(login))
    }

    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError> {
        Ok(lock(&self.0).revoke(revocation, at))
    }

    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError> {
        lock(&self.0).used(uses);
        Ok(())
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        Ok(lock(&self.0).user(login).cloned())
    }
}

#[async_trait]
impl TokenTransfer for MemoryTokens {
    async fn keys(&self) -> Result<Vec<TokenKey>, AuthStoreError> {
        Ok(lock(&self.0).keys().to_vec())
    }

    async fn add_keys(&self, keys: &[TokenKey]) -> Result<(), AuthStoreError> {
        lock(&self.0).add_keys(keys);
        Ok(())
    }

    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError> {
        Ok(lock(&self.0).export())
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError> {
        lock(&self.0).adopt(user).map_err(tokens_failed)
    }
}

/// An [`AuditLog`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryAudit(Arc<Mutex<Vec<AuditEntry>>>);

impl MemoryAudit {
    /// A trail without entries.
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&self, entry: AuditEntry) {
        lock(&self.0).push(entry);
    }
}

#[async_trait]
impl AuditLog for MemoryAudit {
    async fn append(&self, entry: &AuditEntry) -> Result<(), AuthStoreError> {
        self.push(entry.clone());
        Ok(())
    }

    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, AuthStoreError> {
        let entries = lock(&self.0);
        let found =
            (1..).zip(&*entries).filter(|(id, entry)| *id > query.after && query.matches(entry));
        let found = found.take(query.limit.get());
        Ok(found.map(|(id, entry)| AuditRecord { id, entry: entry.clone() }).collect())
    }
}

fn tokens_failed(source: impl Into<BoxError>) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source: source.into() }
}

/// No change above is half done when something panics, so a poisoned lock guards a whole state.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

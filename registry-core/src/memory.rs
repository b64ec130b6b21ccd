//! Everything in memory: for tests, and for registries that may forget.
//!
//! Each of these keeps its state behind an [`Arc`]: clones are handles on one state. They are the
//! oracle that other backends are compared with, so they are written to be obviously right and not
//! to be fast.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;

use crate::{
    BoxError,
    auth::{AdoptionError, TokenDigest, TokenStore, TokenStoreError, TokenTransfer, UserTokens},
    index::{ETag, Index, IndexError, IndexFile, Lookup, Revision, Stored},
    name::CanonicalName,
    owner::{Login, Owner},
    record::{Change, CrateRecord},
    search::{FoundCrate, Rank, Search, SearchPage, SearchQuery, crate_words},
    store::{CrateBody, CrateFile, CrateKey, CrateStore, StoreError, StoredCrate},
};

const BACKEND: &str = "memory";

/// An [`Index`] that lasts as long as its last clone, and a [`Search`] over it.
#[derive(Clone, Debug, Default)]
pub struct MemoryIndex(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    crates: BTreeMap<CanonicalName, Stored>,
    commits: u64,
}

impl MemoryIndex {
    /// An index without crates.
    pub fn new() -> Self {
        Self::default()
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
        _: &Change,
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

/// A [`CrateStore`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryCrateStore(Arc<Mutex<BTreeMap<CrateKey, (CrateBody, SystemTime)>>>);

impl MemoryCrateStore {
    /// A store without files.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl CrateStore for MemoryCrateStore {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        lock(&self.0).insert(key.clone(), (file, SystemTime::now()));
        Ok(())
    }

    async fn get(&self, key: &CrateKey) -> Result<Option<CrateFile>, StoreError> {
        let files = lock(&self.0);
        Ok(files.get(key).map(|(file, modified)| CrateFile::from_body(file.clone(), *modified)))
    }

    async fn delete(&self, key: &CrateKey) -> Result<(), StoreError> {
        lock(&self.0).remove(key);
        Ok(())
    }

    async fn list(
        &self,
        after: Option<&CrateKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<StoredCrate>, StoreError> {
        let files = lock(&self.0);
        let rest = files.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
        let stored = rest.map(|(key, (file, modified))| StoredCrate {
            key: key.clone(),
            size: file.len(),
            modified: *modified,
        });
        Ok(stored.take(limit.get()).collect())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A [`TokenStore`] that lasts as long as its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryTokens(Arc<Mutex<Users>>);

#[derive(Debug, Default)]
struct Users {
    users: BTreeMap<Login, Owner>,
    tokens: BTreeMap<TokenDigest, Login>,
}

impl MemoryTokens {
    /// A store without users.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl TokenStore for MemoryTokens {
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, TokenStoreError> {
        let mut state = lock(&self.0);
        if state.tokens.get(digest).is_some_and(|other| other != login) {
            return Err(tokens_failed("the token is another user's"));
        }
        let last = state.users.values().map(|user| user.id).max().unwrap_or(0);
        let id = last.checked_add(1).ok_or_else(|| tokens_failed("there are no more ids"))?;
        let user = state.users.entry(login.clone()).or_insert_with(|| Owner {
            id,
            login: login.clone(),
            name: None,
        });
        let user = user.clone();
        state.tokens.insert(*digest, login.clone());
        Ok(user)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, TokenStoreError> {
        let state = lock(&self.0);
        Ok(state.tokens.get(digest).and_then(|login| state.users.get(login)).cloned())
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, TokenStoreError> {
        Ok(lock(&self.0).users.get(login).cloned())
    }
}

#[async_trait]
impl TokenTransfer for MemoryTokens {
    async fn export(&self) -> Result<Vec<UserTokens>, TokenStoreError> {
        let state = lock(&self.0);
        let tokens_of = |user: &Owner| {
            let tokens = state.tokens.iter().filter(|(_, login)| **login == user.login);
            tokens.map(|(digest, _)| *digest).collect()
        };
        let users = state.users.values();
        let mut users: Vec<_> =
            users.map(|user| UserTokens { user: user.clone(), tokens: tokens_of(user) }).collect();
        users.sort_by_key(|user| user.user.id);
        Ok(users)
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), TokenStoreError> {
        let UserTokens { user, tokens } = user;
        let mut state = lock(&self.0);
        let same_id = state.users.values().find(|other| other.id == user.id);
        let same_login = state.users.get(&user.login);
        AdoptionError::check(user, same_login, same_id).map_err(tokens_failed)?;
        let of_another = |digest| state.tokens.get(digest).is_some_and(|it| *it != user.login);
        if tokens.iter().any(of_another) {
            let login = user.login.clone();
            return Err(tokens_failed(AdoptionError::TokenTaken { login }));
        }
        state.users.entry(user.login.clone()).or_insert_with(|| user.clone());
        state.tokens.extend(tokens.iter().map(|digest| (*digest, user.login.clone())));
        Ok(())
    }
}

fn tokens_failed(source: impl Into<BoxError>) -> TokenStoreError {
    TokenStoreError { backend: BACKEND, source: source.into() }
}

/// No change above is half done when something panics, so a poisoned lock guards a whole state.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

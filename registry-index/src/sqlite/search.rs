use std::collections::BTreeSet;

use async_trait::async_trait;
use registry_core::{
    BoxError, CrateName, IndexError,
    record::About,
    search::{FoundCrate, Search, SearchPage, SearchQuery, words},
    version::parse_version,
};
use rusqlite::{OptionalExtension as _, Params, Row, Transaction, params};

use super::{failed, index::SqliteIndex};

/// Up to so many crates found by their words are read and sorted; beyond, it takes less time to go
/// through the names in order and to see which of them were found. Of those that are more than are
/// counted, one is met so soon that it takes less time to look each name up.
const FEW: usize = 5_000;

/// Reads the words' own index and the names of one page, and not every crate.
#[async_trait]
impl Search for SqliteIndex {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError> {
        let (registry, query) = (self.registry.clone(), query.clone());
        let page = self.pool.read_long(move |transaction| {
            SearchOf::new(transaction, &registry, &query).page(&query)
        });
        page.await.map_err(failed)
    }
}

/// A search in one registry.
struct SearchOf<'a> {
    transaction: &'a Transaction<'a>,
    registry: &'a str,
    /// The names from here to before `end` are those that begin with the text, the one that equals
    /// it first.
    prefix: String,
    end: String,
    /// How many are few, and how many are counted at most.
    few: usize,
    most: usize,
}

impl<'a> SearchOf<'a> {
    fn new(transaction: &'a Transaction<'a>, registry: &'a str, query: &SearchQuery) -> Self {
        let prefix = query.canonical();
        // Behind every name that begins so: names are ASCII.
        let end = format!("{prefix}\u{10ffff}");
        Self { transaction, registry, prefix, end, few: FEW, most: SearchPage::MAX_TOTAL }
    }

    fn page(&self, query: &SearchQuery) -> Result<SearchPage, BoxError> {
        if query.text().is_empty() {
            let crates = self.by_name(query.offset(), query.limit().get())?;
            return Ok(SearchPage { crates, total: self.count_names()? });
        }
        // A name that begins with the text has words that begin with its words, so the words find
        // it, too: without a word there is nothing, and otherwise they find all there is.
        let Some(pattern) = self.pattern(query)? else {
            return Ok(SearchPage::default());
        };
        let mut crates = self.by_name(query.offset(), query.limit().get())?;
        let room = query.limit().get() - crates.len();
        if room == 0 {
            let total = self
                .count(include_str!("sql/count_words.sql"), (pattern, i64::try_from(self.most)?))?;
            return Ok(SearchPage { crates, total });
        }
        let ids = self.matches(&pattern)?;
        let named = self.count_names()?;
        let offset = query.offset().saturating_sub(named);
        crates.extend(if ids.len() <= self.few {
            self.by_words(&pattern, offset, room)?
        } else if ids.len() < self.most {
            self.by_walk(offset, room, |id| Ok(ids.binary_search(&id).is_ok()))?
        } else {
            self.by_walk(offset, room, |id| self.matches_crate(&pattern, id))?
        });
        Ok(SearchPage { crates, total: ids.len() })
    }

    /// What finds the crates of this registry with these words; `None` if nothing does.
    fn pattern(&self, query: &SearchQuery) -> Result<Option<String>, BoxError> {
        let mut find = self.transaction.prepare_cached(include_str!("sql/find_registry.sql"))?;
        let number = find.query_row([self.registry], |row| row.get::<_, u32>(0)).optional()?;
        let Some(number) = number else { return Ok(None) };
        // As the view `crate_found_words` has it.
        let registry =
            char::from_u32(0xf_0000 + number).ok_or("a registry has too high a number")?;
        // Nothing in quotes has a meaning but the quote, which is in no word.
        let words: BTreeSet<String> = words(query.text()).into_iter().collect();
        let words: Vec<_> = words.iter().map(|word| format!("\"{registry}{word}\"*")).collect();
        Ok((!words.is_empty()).then(|| words.join(" AND ")))
    }

    fn count(&self, sql: &str, params: impl Params) -> Result<usize, BoxError> {
        let mut query = self.transaction.prepare_cached(sql)?;
        let count: i64 = query.query_row(params, |row| row.get(0))?;
        Ok(usize::try_from(count)?)
    }

    fn count_names(&self) -> Result<usize, BoxError> {
        let most = i64::try_from(self.most)?;
        let range = (self.registry, &self.prefix, &self.end, most);
        self.count(include_str!("sql/count_names.sql"), range)
    }

    /// Crates whose name begins with the text.
    fn by_name(&self, offset: usize, limit: usize) -> Result<Vec<FoundCrate>, BoxError> {
        let (offset, limit) = (i64::try_from(offset)?, i64::try_from(limit)?);
        let params = params![self.registry, self.prefix, self.end, limit, offset];
        self.found(include_str!("sql/search_names.sql"), params)
    }

    /// Crates whose name begins otherwise.
    fn by_words(
        &self,
        pattern: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<FoundCrate>, BoxError> {
        let (offset, limit) = (i64::try_from(offset)?, i64::try_from(limit)?);
        let params = params![pattern, self.prefix, self.end, limit, offset];
        self.found(include_str!("sql/search_words.sql"), params)
    }

    /// The crates that have the words, in ascending order; no more of them than are counted.
    fn matches(&self, pattern: &str) -> Result<Vec<i64>, BoxError> {
        let mut query = self.transaction.prepare_cached(include_str!("sql/match_words.sql"))?;
        let ids = query.query_map((pattern, i64::try_from(self.most)?), |row| row.get(0))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether this crate has the words.
    fn matches_crate(&self, pattern: &str, id: i64) -> Result<bool, BoxError> {
        let mut query = self.transaction.prepare_cached(include_str!("sql/match_crate.sql"))?;
        Ok(query.exists((pattern, id))?)
    }

    /// Crates that are found and whose name begins otherwise.
    fn by_walk(
        &self,
        offset: usize,
        limit: usize,
        is_found: impl Fn(i64) -> Result<bool, BoxError>,
    ) -> Result<Vec<FoundCrate>, BoxError> {
        let mut walk = self.transaction.prepare_cached(include_str!("sql/walk_names.sql"))?;
        let mut rows = walk.query((self.registry, &self.prefix, &self.end))?;
        let (mut crates, mut passed) = (Vec::new(), 0);
        while crates.len() < limit
            && let Some(row) = rows.next()?
        {
            let id: i64 = row.get(0)?;
            if is_found(id)? {
                if passed < offset {
                    passed += 1;
                } else {
                    crates.extend(self.found(include_str!("sql/found_crate.sql"), [id])?);
                }
            }
        }
        Ok(crates)
    }

    fn found(&self, sql: &str, params: impl Params) -> Result<Vec<FoundCrate>, BoxError> {
        let mut query = self.transaction.prepare_cached(sql)?;
        let mut rows = query.query(params)?;
        let mut crates = Vec::new();
        while let Some(row) = rows.next()? {
            crates.push(found_crate(row)?);
        }
        Ok(crates)
    }
}

fn found_crate(row: &Row<'_>) -> Result<FoundCrate, BoxError> {
    let about: About = serde_json::from_str(row.get_ref(2)?.as_str()?)?;
    Ok(FoundCrate {
        name: CrateName::new(row.get_ref(0)?.as_str()?)?,
        max_version: parse_version(row.get_ref(1)?.as_str()?)?,
        description: about.description,
    })
}

#[cfg(test)]
mod tests;

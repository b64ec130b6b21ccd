use async_trait::async_trait;
use registry_core::{
    BoxError, CanonicalName, CrateName, IndexError,
    record::About,
    search::{FoundCrate, Search, SearchPage, SearchQuery, crate_words, words},
    version::parse_version,
};
use tokio_postgres::Row;

use super::{failed, index::PostgresIndex, pool::Parameters};

/// What of a word is kept. A query is no longer, so that nothing is found by more of it; PostgreSQL
/// takes lexemes of up to 2046 bytes.
const WORD_CHARS: usize = SearchQuery::MAX_CHARS;
/// What is kept of all words of a crate: PostgreSQL takes a megabyte, with 4 bytes beside each word.
/// A thousand times as much as crates have.
const WORDS_BYTES: usize = 512 << 10;

/// Up to so many crates found by their words are read and sorted; beyond, it takes less time to go
/// through the names in order and to see which of them were found.
const FEW: usize = 5_000;

/// Reads the index of words, a short row for each crate that it counts, and the names of one page: up
/// to four statements, each of its own moment.
#[async_trait]
impl Search for PostgresIndex {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError> {
        SearchOf::new(self, query).page(query).await.map_err(failed)
    }
}

/// A search in one registry.
struct SearchOf<'a> {
    index: &'a PostgresIndex,
    /// The names from here to before `end` are those that begin with the text, the one that equals
    /// it first.
    prefix: String,
    end: String,
    /// How many are few, and how many are counted at most.
    few: usize,
    most: usize,
}

impl<'a> SearchOf<'a> {
    fn new(index: &'a PostgresIndex, query: &SearchQuery) -> Self {
        // No name has U+0000 in it, and no text that PostgreSQL is given may.
        let prefix = query.canonical().replace('\0', " ");
        // Behind every name that begins so: names are ASCII.
        let end = format!("{prefix}\u{10ffff}");
        Self { index, prefix, end, few: FEW, most: SearchPage::MAX_TOTAL }
    }

    async fn page(&self, query: &SearchQuery) -> Result<SearchPage, BoxError> {
        let (offset, limit) = (query.offset(), query.limit().get());
        if query.text().is_empty() {
            let crates = self.by_name(offset, limit).await?;
            return Ok(SearchPage { crates, total: self.count_names().await? });
        }
        // A name that begins with the text has words that begin with its words, so the words find
        // it, too: without a word there is nothing, and otherwise they find all there is.
        let Some(pattern) = pattern(query.text()) else {
            return Ok(SearchPage::default());
        };
        let registry = &*self.index.registry;
        let total = self.count(include_str!("sql/count_words.sql"), &[&pattern]).await?;
        let mut crates = self.by_name(offset, limit).await?;
        let room = limit - crates.len();
        if room > 0 && offset + crates.len() < total {
            let named = self.count_names().await?;
            // Of as many as are counted there may be any number.
            let are_few = total < self.most && total.saturating_sub(named) <= self.few;
            let sql = match are_few {
                true => include_str!("sql/search_words.sql"),
                false => include_str!("sql/search_walk.sql"),
            };
            let (limit, offset) = range(room, offset.saturating_sub(named))?;
            crates.extend(
                self.read(sql, &[&registry, &self.prefix, &self.end, &limit, &offset, &pattern])
                    .await?,
            );
        }
        Ok(SearchPage { crates, total })
    }

    async fn by_name(&self, offset: usize, limit: usize) -> Result<Vec<FoundCrate>, BoxError> {
        let registry = &*self.index.registry;
        let (limit, offset) = range(limit, offset)?;
        let parameters: Parameters<'_> = &[&registry, &self.prefix, &self.end, &limit, &offset];
        self.read(include_str!("sql/search_names.sql"), parameters).await
    }

    async fn count_names(&self) -> Result<usize, BoxError> {
        self.count(include_str!("sql/count_names.sql"), &[&self.prefix, &self.end]).await
    }

    /// The number that a statement gives for this registry, up to the most that is counted.
    async fn count(&self, sql: &str, parameters: Parameters<'_>) -> Result<usize, BoxError> {
        let (registry, most) = (&*self.index.registry, i64::try_from(self.most)?);
        let first: Parameters<'_> = &[&registry, &most];
        let parameters = [first, parameters].concat();
        let rows = self.index.database.pool.read(sql, &parameters).await?;
        let row = rows.first().ok_or("a count has no row")?;
        Ok(usize::try_from(row.try_get::<_, i64>(0)?)?)
    }

    async fn read(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<FoundCrate>, BoxError> {
        let rows = self.index.database.pool.read(sql, parameters).await?;
        rows.iter().map(found_crate).collect()
    }
}

fn range(limit: usize, offset: usize) -> Result<(i64, i64), BoxError> {
    Ok((limit.try_into()?, offset.try_into()?))
}

/// The words by which a crate is found, as they are stored.
pub(super) fn found_by(name: &CanonicalName, about: &About) -> Vec<String> {
    let mut bytes = 0;
    let cut = crate_words(name, about).into_iter().map(|mut word| {
        if let Some((end, _)) = word.char_indices().nth(WORD_CHARS) {
            word.truncate(end);
        }
        word
    });
    cut.take_while(|word| {
        bytes += word.len() + size_of::<u32>();
        bytes <= WORDS_BYTES
    })
    .collect()
}

/// What finds crates that have a word beginning with each word of the text; `None` if it has none.
fn pattern(text: &str) -> Option<String> {
    // Nothing in quotes has a meaning but quotes and backslashes, which are in no word.
    let words: Vec<_> = words(text).iter().map(|word| format!("'{word}':*")).collect();
    (!words.is_empty()).then(|| words.join(" & "))
}

fn found_crate(row: &Row) -> Result<FoundCrate, BoxError> {
    let about: About = serde_json::from_str(row.try_get(2)?)?;
    Ok(FoundCrate {
        name: CrateName::new(row.try_get(0)?)?,
        max_version: parse_version(row.try_get(1)?)?,
        description: about.description,
    })
}

#[cfg(test)]
mod tests;

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

#[async_trait]
impl Search for PostgresIndex {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError> {
        let (Ok(limit), Ok(offset)) = (query.limit().get().try_into(), query.offset().try_into())
        else {
            return Ok(SearchPage::default());
        };
        let (limit, offset): (i64, i64) = (limit, offset);
        let pool = &self.database.pool;
        let rows = match pattern(query.text()) {
            Some(pattern) => {
                // No name has U+0000 in it, and no text that PostgreSQL is given may.
                let name = query.canonical().replace('\0', " ");
                let parameters: Parameters<'_> =
                    &[&&*self.registry, &name, &pattern, &limit, &offset];
                pool.read(include_str!("sql/search.sql"), parameters).await
            }
            None if query.text().is_empty() => {
                let parameters: Parameters<'_> = &[&&*self.registry, &limit, &offset];
                pool.read(include_str!("sql/list.sql"), parameters).await
            }
            None => return Ok(SearchPage::default()),
        };
        rows.and_then(|rows| page(&rows)).map_err(failed)
    }
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

fn page(rows: &[Row]) -> Result<SearchPage, BoxError> {
    let mut page = SearchPage::default();
    for row in rows {
        page.total = usize::try_from(row.try_get::<_, i64>(0)?)?;
        let Some(name) = row.try_get::<_, Option<&str>>(1)? else { break };
        let about: About = serde_json::from_str(row.try_get(3)?)?;
        page.crates.push(FoundCrate {
            name: CrateName::new(name)?,
            max_version: parse_version(row.try_get(2)?)?,
            description: about.description,
        });
    }
    Ok(page)
}

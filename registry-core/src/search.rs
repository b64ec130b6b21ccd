//! Finding crates: the [`Search`] trait, and the search every index has.

use std::{collections::BTreeSet, fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use semver::Version;

use crate::{
    index::{self, Index, IndexError},
    name::{CanonicalName, CrateName},
    record::About,
};

/// Finds crates by words.
#[async_trait]
pub trait Search: fmt::Debug + Send + Sync + 'static {
    /// One page of the crates that `query` finds, best first, crates of one rank in the order of
    /// their canonical names:
    ///
    /// 1. the crate of exactly that name, `-` and `_` alike;
    /// 2. crates whose name begins with the text, `-` and `_` alike;
    /// 3. crates that have, for each word of the text, a word that begins with it: in the name,
    ///    the description or a keyword, as [`crate_words`] gives them. A search by names alone
    ///    looks at the words of the name.
    ///
    /// Empty text finds every crate; text without a word in it, such as `!!`, finds none.
    /// Crates without a published version that is not yanked are left out. A commit is found as
    /// soon as it has returned.
    ///
    /// Whole words and their beginnings, and not any part of a text, because that is what an
    /// inverted index answers: a search that looks into the middle of words reads every crate.
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError>;
}

/// A shared search, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Search + ?Sized> Search for Arc<S> {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError> {
        (**self).search(query).await
    }
}

/// The words of a text, in lower case: what is between characters that are neither letters nor
/// digits, as [`char::is_alphanumeric`] has it. A crate name parts at `-` and `_`.
///
/// ```
/// use registry_core::search::words;
///
/// assert_eq!(words("serde_JSON: 2x as fast!"), ["serde", "json", "2x", "as", "fast"]);
/// assert_eq!(words("!!"), [""; 0]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    // Lower case first: what becomes of a letter need not be letters alone (`İ` is `i` with a
    // combining dot), and a query, which is in lower case already, has to be split alike.
    let text = text.to_lowercase();
    let words = text.split(|char: char| !char.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The [`words`] by which a crate is found: those of its name, its description and its keywords.
pub fn crate_words(name: &CanonicalName, about: &About) -> BTreeSet<String> {
    let texts = about.description.iter().chain(&about.keywords).map(String::as_str);
    texts.chain([name.as_str()]).flat_map(words).collect()
}

/// How a crate was found, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    ExactName,
    NamePrefix,
    Words,
}

impl Rank {
    /// The rank of a crate with this name, and these words to be found by; `None` if `query` does
    /// not find it.
    pub(crate) fn of(
        query: &SearchQuery,
        name: &CanonicalName,
        crate_words: &BTreeSet<String>,
    ) -> Option<Self> {
        let wanted = query.canonical();
        if name.as_str() == wanted {
            return Some(Self::ExactName);
        }
        if name.as_str().starts_with(&wanted) {
            return Some(Self::NamePrefix);
        }
        let words = words(query.text());
        let is_found = |word: &String| crate_words.iter().any(|other| other.starts_with(word));
        (!words.is_empty() && words.iter().all(is_found)).then_some(Self::Words)
    }
}

/// What is looked for, and which part of the answer is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    text: String,
    offset: usize,
    limit: NonZeroUsize,
}

impl SearchQuery {
    /// Most characters of [`SearchQuery::text`].
    pub const MAX_CHARS: usize = 256;
    /// Most crates on one page. Source: crates.io.
    pub const MAX_LIMIT: usize = 100;
    /// How far into the answer a page may begin. Source: crates.io.
    pub const MAX_OFFSET: usize = 20_000;

    /// A query for `text`, in any case; empty text finds every crate.
    ///
    /// # Errors
    /// [`SearchQueryError`] if a limit is passed.
    pub fn new(text: &str, offset: usize, limit: NonZeroUsize) -> Result<Self, SearchQueryError> {
        if limit.get() > Self::MAX_LIMIT {
            return Err(SearchQueryError::Limit);
        }
        if offset > Self::MAX_OFFSET {
            return Err(SearchQueryError::Offset);
        }
        let text = text.trim();
        match text.chars().count() {
            chars if chars > Self::MAX_CHARS => Err(SearchQueryError::Text { chars }),
            _ => Ok(Self { text: text.to_lowercase(), offset, limit }),
        }
    }

    /// The largest page of the same answer that begins there.
    pub(crate) fn with_offset(&self, offset: usize) -> Self {
        const LIMIT: NonZeroUsize = NonZeroUsize::new(SearchQuery::MAX_LIMIT).expect("not 0");
        Self { text: self.text.clone(), offset, limit: LIMIT }
    }

    /// The text looked for, in lower case.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text as a canonical name would begin that begins with it: lower case, `-` as `_`.
    pub fn canonical(&self) -> String {
        self.text.replace('-', "_")
    }

    /// How many crates to pass over.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Most crates wanted.
    pub fn limit(&self) -> NonZeroUsize {
        self.limit
    }
}

/// A query that is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchQueryError {
    /// More than [`SearchQuery::MAX_LIMIT`] crates are asked for.
    #[error("cannot request more than {} items", SearchQuery::MAX_LIMIT)]
    Limit,
    /// The page begins behind [`SearchQuery::MAX_OFFSET`].
    #[error("cannot request items behind the first {}", SearchQuery::MAX_OFFSET)]
    Offset,
    /// The text is too long.
    #[error("the search text is {chars} characters, limit {}", SearchQuery::MAX_CHARS)]
    Text {
        /// How long it is.
        chars: usize,
    },
}

/// One page of found crates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPage {
    /// The crates of this page, best first.
    pub crates: Vec<FoundCrate>,
    /// How many crates were found in all, counted up to [`SearchPage::MAX_TOTAL`]. [`NameSearch`] has
    /// not looked at all that are behind the page.
    pub total: usize,
}

impl SearchPage {
    /// Where [`SearchPage::total`] ends: behind it there is nothing that could be asked for. A word
    /// that most crates have would otherwise take the longer, the more there are. Source: ours.
    pub const MAX_TOTAL: usize = SearchQuery::MAX_OFFSET + SearchQuery::MAX_LIMIT;
}

/// A crate that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCrate {
    /// Its name.
    pub name: CrateName,
    /// Its highest version that is not yanked.
    pub max_version: Version,
    /// What it says of itself.
    pub description: Option<String>,
}

/// A search by name alone, over any index, with no table of its own.
///
/// Reads every name for each query, and of those that match the records up to the last of the page: for
/// small registries, and for backends that cannot search by themselves. Behind that, a crate of which
/// all versions are yanked is counted in the total.
#[derive(Clone, Debug)]
pub struct NameSearch(Arc<dyn Index>);

impl NameSearch {
    /// Searches the names in `index`.
    pub fn new(index: Arc<dyn Index>) -> Self {
        Self(index)
    }
}

#[async_trait]
impl Search for NameSearch {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError> {
        let names = index::all_names(&*self.0).await?.into_iter();
        let mut matches: Vec<(Rank, CanonicalName)> = names
            .filter_map(|name| {
                let words = words(name.as_str()).into_iter().collect();
                Some((Rank::of(query, &name, &words)?, name))
            })
            .collect();
        matches.sort();
        let (mut crates, mut before, mut total) = (Vec::new(), 0, matches.len());
        let names = matches.into_iter().map(|(_, name)| name).collect();
        let mut records = index::records(self.0.clone(), names);
        while crates.len() < query.limit().get()
            && let Some(record) = records.try_next().await?
        {
            match record.max_version().cloned() {
                None => total -= 1,
                Some(_) if before < query.offset() => before += 1,
                Some(max_version) => {
                    let (name, description) =
                        (record.name().clone(), record.about().description.clone());
                    crates.push(FoundCrate { name, max_version, description });
                }
            }
        }
        Ok(SearchPage { crates, total: total.min(SearchPage::MAX_TOTAL) })
    }
}

//! What the searches of the databases have in common to be tested by.

use std::num::NonZeroUsize;

use registry_core::{
    CrateRecord, Index,
    conformance::record_fixture as fixture,
    memory::MemoryIndex,
    search::{Search as _, SearchPage, SearchQuery},
};

/// Crates of which some have the word `common` in their description, and some in their name.
async fn fill(index: &dyn Index) {
    const DESCRIPTIONS: [&str; 3] = ["a common thing", "another", "as common as can be"];
    for number in 0..15 {
        let name = match number % 3 {
            0 => format!("common-{number}"),
            1 => format!("x{number}-common"),
            _ => format!("y{number}"),
        };
        let about = fixture::about(DESCRIPTIONS[number % 3]);
        let release = fixture::release(&name, "1.0.0");
        let (record, change) = CrateRecord::first(
            fixture::name(&name),
            fixture::alice(),
            about,
            release,
            fixture::origin(),
        );
        index.commit(None, &change, &record).await.unwrap();
    }
}

/// However few are few, and however few are counted: a page is that of memory, and its total ends
/// at the most that is counted. `search` is given the query and the two numbers.
pub(crate) async fn few_many_and_uncounted_crates_are_found_alike(
    index: &dyn Index,
    search: impl AsyncFn(SearchQuery, usize, usize) -> SearchPage,
) {
    let memory = MemoryIndex::new();
    fill(index).await;
    fill(&memory).await;
    for text in ["common", "com", "a", "thing", "common a", "", "x1"] {
        for (offset, limit) in [(0, 1), (0, 3), (1, 3), (2, 2), (3, 1)] {
            let limit = NonZeroUsize::new(limit).unwrap();
            let query = SearchQuery::new(text, offset, limit).unwrap();
            let expected = memory.search(&query).await.unwrap();
            for few in [1, 5, 100] {
                for most in [4, 8, 100] {
                    let expected =
                        SearchPage { total: expected.total.min(most), ..expected.clone() };
                    let found = search(query.clone(), few, most).await;
                    assert_eq!(found, expected, "{query:?}, {few} are few, {most} are counted");
                }
            }
        }
    }
}

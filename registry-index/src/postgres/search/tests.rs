use registry_core::conformance::{run, service};

use super::*;
use crate::{postgres::PostgresDatabase, search_cases};

#[test]
fn few_many_and_uncounted_crates_are_found_alike() {
    let Some(url) = service("REGISTRY_TEST_POSTGRES") else { return };
    run(async {
        // A registry that no other test has, in tables that all of them may share.
        let registry = format!("search_{:016x}", getrandom::u64().unwrap());
        let index = PostgresDatabase::connect(&url).await.unwrap().index(&registry);
        let search = async |query: SearchQuery, few, most| {
            let search = SearchOf { few, most, ..SearchOf::new(&index, &query) };
            search.page(&query).await.unwrap()
        };
        search_cases::few_many_and_uncounted_crates_are_found_alike(&index, search).await;
    });
}

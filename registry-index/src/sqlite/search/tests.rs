use registry_core::conformance::run;

use super::*;
use crate::{search_cases, sqlite::SqliteDatabase};

#[test]
fn few_many_and_uncounted_crates_are_found_alike() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let index = SqliteDatabase::open(folder.path().join("registry.sqlite")).unwrap();
        let index = index.index("main");
        let search = async |query: SearchQuery, few, most| {
            let found = index.pool.read(move |transaction| {
                SearchOf { few, most, ..SearchOf::new(transaction, "main", &query) }.page(&query)
            });
            found.await.unwrap()
        };
        search_cases::few_many_and_uncounted_crates_are_found_alike(&index, search).await;
    });
}

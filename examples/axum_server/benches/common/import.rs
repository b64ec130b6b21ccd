//! Crates that come in without being published.

use std::{path::Path, sync::Arc};

use registry_core::Index as _;
use registry_index::sqlite::SqliteDatabase;
use tokio::task::JoinSet;

use super::corpus::{crate_with, owner, stamp};

/// Crates that are brought in at the same time: as many as share one transaction.
const IMPORTERS: usize = 64;

/// Brings crates into the index of the server whose data are in `folder`, each with so many
/// versions; without their files, which nobody is to ask for.
pub(crate) async fn import(folder: &Path, crates: &[(String, usize)]) {
    let database = SqliteDatabase::open(folder.join("data/index.sqlite")).unwrap();
    let index = Arc::new(database.index("main"));
    let mut importers = JoinSet::new();
    for part in crates.chunks(crates.len().div_ceil(IMPORTERS)) {
        let (index, part) = (index.clone(), part.to_vec());
        importers.spawn(async move {
            let owner = owner();
            for (name, versions) in part {
                let record = crate_with(&name, versions, &owner);
                let (record, change) = record.imported(stamp(&owner));
                index.commit(None, &change, &record).await.unwrap();
            }
        });
    }
    importers.join_all().await;
}

//! Writers that come while another is at work share one commit, and no more than that.
#![cfg(feature = "sqlite")]

use std::{fs, path::Path};

use futures_util::future::join_all;
use registry_core::{
    Index as _, IndexError,
    conformance::record_fixture::{canonical, first, publish},
};
use registry_index::sqlite::SqliteDatabase;
use rusqlite::Connection;

/// How many transactions the write-ahead log has. Source: sqlite.org/fileformat.html, "The
/// Write-Ahead Log": the last frame of each tells how many pages the file has after it.
fn commits(path: &Path) -> usize {
    const LOG_HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let log = fs::read(path.with_extension("sqlite-wal")).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let frame = FRAME_HEADER + usize::try_from(number(8)).unwrap();
    let frames = (LOG_HEADER..log.len()).step_by(frame);
    // Frames of before the log was begun anew have another salt.
    frames.filter(|at| number(at + 8) == number(16) && number(at + 4) > 0).count()
}

#[tokio::test]
async fn racing_publishes_share_a_commit_and_one_that_fails_spoils_none() {
    const WRITERS: usize = 16;
    const FAILS: usize = 7;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let database = SqliteDatabase::open(&path).unwrap();
    let index = database.index("main");
    let mut crates = Vec::new();
    for writer in 0..WRITERS {
        let (record, change) = first(&format!("crate{writer}"), "1.0.0");
        let revision = index.commit(None, &change, &record).await.unwrap();
        let (next, change) = publish(&record, "1.1.0");
        // A row for the release that has one: SQLite refuses it, after the crate's own was written.
        let written = if writer == FAILS { record } else { next };
        crates.push((revision, change, written));
    }
    let before = commits(&path);

    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writes =
        crates.iter().map(|(revision, change, next)| index.commit(Some(revision), change, next));
    // Polled when all of them have come.
    let let_go = async { other.execute_batch("ROLLBACK").unwrap() };
    let (written, ()) = tokio::join!(join_all(writes), let_go);

    assert_eq!(commits(&path), before + 1);
    for (writer, (written, (before, _, next))) in written.into_iter().zip(&crates).enumerate() {
        let name = canonical(&format!("crate{writer}"));
        let stored = index.load(&name, None).await.unwrap().found().unwrap();
        assert_eq!(&stored.record, next);
        match written {
            Err(IndexError::Backend { .. }) if writer == FAILS => {
                assert_eq!(&stored.revision, before);
            }
            written => assert_eq!(stored.revision, written.unwrap()),
        }
    }
}

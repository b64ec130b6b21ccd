//! Several processes on one SQLite file, one of which may be killed at any time.
#![cfg(feature = "sqlite")]

#[path = "common/processes.rs"]
mod processes;

use std::thread;

use registry_index::sqlite::{SqliteDatabase, SqliteIndex};
use rusqlite::Connection;

async fn open(path: &str) -> SqliteIndex {
    SqliteDatabase::open(path).unwrap().index("main")
}

/// Not a test: what the processes run that the tests start.
#[test]
fn publisher() {
    processes::publish(open);
}

#[tokio::test]
async fn a_killed_process_takes_no_acknowledged_commit_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    processes::a_killed_process_takes_nothing_with_it(path.to_str().unwrap(), open).await;
}

#[tokio::test]
async fn two_processes_lose_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    processes::two_processes_lose_nothing_of_each_other(path.to_str().unwrap(), open).await;
}

#[test]
fn a_file_that_another_process_is_only_just_making_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    // As far as the other has come: there is a file, and it is about to write to it.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let opening = thread::spawn(move || SqliteDatabase::open(path).map(drop));
    for _ in 0..100_000 {
        if opening.is_finished() {
            break;
        }
        thread::yield_now();
    }
    other.execute_batch("COMMIT").unwrap();
    opening.join().unwrap().unwrap();
}

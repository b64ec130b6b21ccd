//! Several processes on one SQLite file, one of which may be killed at any time.
#![cfg(feature = "sqlite")]

#[path = "common/processes.rs"]
mod processes;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    thread,
};

use registry_core::{Index as _, conformance::record_fixture::first};
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

const ASKED: &str = "REGISTRY_INDEX_TEST_ASKED";

/// Not a test: a process that says its generation, after a commit if it is told a name.
#[test]
fn asked() {
    let Ok(path) = std::env::var(ASKED) else { return };
    let database = SqliteDatabase::open(path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for line in std::io::stdin().lines() {
        let name = line.unwrap();
        if !name.is_empty() {
            let (record, change) = first(&name, "1.0.0");
            runtime.block_on(database.index("main").commit(None, &change, &record)).unwrap();
        }
        println!("\ngeneration {}", database.generation().unwrap());
    }
}

#[tokio::test]
async fn a_commit_of_another_process_is_another_generation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let database = SqliteDatabase::open(&path).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "asked", "--nocapture"])
        .env(ASKED, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut other = |name: &str| {
        writeln!(told, "{name}").unwrap();
        let mut numbers = said.by_ref().map_while(Result::ok);
        numbers.find_map(|line| line.strip_prefix("generation ").map(str::to_owned)).unwrap()
    };
    let (here, there) = (database.generation().unwrap(), other(""));
    assert_eq!((database.generation(), other("")), (Some(here), there.clone()));
    other("theirs");
    let after_theirs = database.generation().unwrap();
    assert_ne!(after_theirs, here);
    let there = other("");
    assert_eq!(database.generation(), Some(after_theirs));
    let (record, change) = first("ours", "1.0.0");
    database.index("main").commit(None, &change, &record).await.unwrap();
    assert_ne!(other(""), there);
    assert_ne!(database.generation(), Some(after_theirs));
    drop(told);
    assert!(child.wait().unwrap().success());
}

const LOCKED: &str = "REGISTRY_INDEX_TEST_LOCKED";

/// Not a test: a process that says whether somebody else is writing.
#[test]
fn locked() {
    let Ok(path) = std::env::var(LOCKED) else { return };
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let is_locked = connection.execute_batch("BEGIN IMMEDIATE").is_err();
    println!("\nlocked {is_locked}");
}

/// With the first descriptor of a file that it closes, a process loses all its locks on the file.
#[test]
fn a_handle_that_is_dropped_leaves_the_locks_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let [one, other] = [(); 2].map(|()| SqliteDatabase::open(&path).unwrap());
    // Both look into the shared memory.
    assert!(one.generation().is_some() && other.generation().is_some());
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop(one);
    let is_locked = || {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "locked", "--nocapture"])
            .env(LOCKED, &path)
            .output()
            .unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        said.lines().find_map(|line| line.strip_prefix("locked ")).unwrap() == "true"
    };
    assert!(is_locked());
    writer.execute_batch("COMMIT").unwrap();
    assert!(!is_locked());
}

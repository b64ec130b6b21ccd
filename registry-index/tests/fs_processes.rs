//! Several processes on one folder, one of which may be killed at any time.
#![cfg(feature = "fs")]

#[path = "common/processes.rs"]
mod processes;

use std::{fs, thread};

use registry_core::{Index as _, conformance::record_fixture::canonical, index::Lookup};
use registry_index::fs::FolderIndex;

use self::processes::Publisher;

async fn open(path: &str) -> FolderIndex {
    FolderIndex::open(path).unwrap()
}

/// Not a test: what the processes run that the tests start.
#[test]
fn publisher() {
    processes::publish(open);
}

#[tokio::test]
async fn a_killed_process_takes_no_acknowledged_commit_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    processes::a_killed_process_takes_nothing_with_it(path.to_str().unwrap(), open).await;
}

#[tokio::test]
async fn two_processes_lose_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    processes::two_processes_lose_nothing_of_each_other(path.to_str().unwrap(), open).await;
}

#[tokio::test]
async fn what_a_web_server_serves_is_whole_after_a_kill_and_current_after_the_next_start() {
    const ROUNDS: usize = 30;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let (served, staged) = (path.join("3/f/foo"), path.join(".records/staged"));
    let watcher = open(path.to_str().unwrap()).await;
    let lines = async |index: &FolderIndex| match index.index_file(&canonical("foo"), None).await {
        Ok(Lookup::Found(file)) => file.body,
        other => panic!("{other:?}"),
    };
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut publisher = Publisher::start(path.to_str().unwrap(), &round.to_string());
        acknowledged.push(publisher.next().unwrap());
        // Long enough to be met at another place of its next commits each time.
        for _ in 0..round * 500 {
            thread::yield_now();
        }
        acknowledged.extend(publisher.kill());

        // Lines are only ever added here, so an earlier state is a part of the current one.
        let current = lines(&watcher).await;
        let found = fs::read(&served).unwrap();
        assert!(found.ends_with(b"\n") && current.starts_with(&found), "{found:?} of {current:?}");
        let behind = current[found.len()..].iter().filter(|byte| **byte == b'\n').count();
        assert!(behind <= 1, "{behind} lines behind");

        let index = open(path.to_str().unwrap()).await;
        assert_eq!(lines(&index).await, current);
        assert_eq!(fs::read(&served).unwrap(), current);
        assert_eq!(fs::read_dir(&staged).unwrap().count(), 0);
        let record = index.load(&canonical("foo"), None).await.unwrap().found().unwrap().record;
        assert_eq!(record.index_file().body, current);
        let versions: Vec<_> =
            record.releases().iter().map(|release| release.version().to_string()).collect();
        let said = versions.iter().filter(|version| acknowledged.contains(version)).count();
        assert_eq!(said, acknowledged.len(), "{acknowledged:?} of {versions:?}");
        // In each round one more may be there: committed, and killed before it was said.
        assert!(versions.len() <= said + round + 1, "{acknowledged:?} of {versions:?}");
    }
}

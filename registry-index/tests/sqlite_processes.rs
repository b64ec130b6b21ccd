//! Several processes on one SQLite file, one of which may be killed at any time.
//!
//! The processes are this test program, told by a variable to be a publisher.
#![cfg(feature = "sqlite")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use registry_core::{
    Index, IndexError,
    conformance::record_fixture::{canonical, first, publish},
    index::Stored,
};
use registry_index::sqlite::{SqliteDatabase, SqliteIndex};
use rusqlite::Connection;

const FILE: &str = "REGISTRY_INDEX_TEST_FILE";
const MAJOR: &str = "REGISTRY_INDEX_TEST_MAJOR";

/// What a publisher prints in front of a version whose commit was acknowledged.
const ACKNOWLEDGED: &str = "acknowledged ";

fn open(path: &Path) -> SqliteIndex {
    SqliteDatabase::open(path).unwrap().index("main")
}

async fn versions(index: &SqliteIndex) -> Vec<String> {
    let stored = index.load(&canonical("foo"), None).await.unwrap().found();
    let releases = stored.iter().flat_map(|stored| stored.record.releases());
    releases.map(|release| release.version().to_string()).collect()
}

/// Not a test: what a publisher runs. Publishes `<major>.0.0`, `<major>.0.1` and so on, until it
/// is killed.
#[test]
fn publisher() {
    let (Some(file), Some(major)) = (std::env::var_os(FILE), std::env::var(MAJOR).ok()) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let index = open(file.as_ref());
        for patch in 0..1_000 {
            let version = format!("{major}.0.{patch}");
            loop {
                let (expected, (next, change)) =
                    match index.load(&canonical("foo"), None).await.unwrap().found() {
                        None => (None, first("foo", &version)),
                        Some(Stored { record, revision }) => {
                            (Some(revision), publish(&record, &version))
                        }
                    };
                match index.commit(expected.as_ref(), &change, &next).await {
                    Ok(_) => break,
                    Err(IndexError::Conflict { .. }) => continue,
                    Err(error) => panic!("{error:?}"),
                }
            }
            println!("\n{ACKNOWLEDGED}{version}");
        }
    });
}

struct Publisher {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Publisher {
    fn start(file: &Path, major: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publisher", "--nocapture"])
            .envs([(FILE, file.as_os_str()), (MAJOR, major.as_ref())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next acknowledged version; `None` when the process is gone.
    fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // Without its line end, a line was cut by the kill.
            if let Some(version) = line.strip_prefix(ACKNOWLEDGED)
                && let Some(version) = version.strip_suffix('\n')
            {
                return Some(version.to_owned());
            }
        }
    }

    /// Kills the process, and gives what it had acknowledged before.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[tokio::test]
async fn a_killed_process_takes_no_acknowledged_commit_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut publisher = Publisher::start(&path, &round.to_string());
        // The kill meets the publisher at another place each time.
        acknowledged.extend((0..=round).map(|_| publisher.next().unwrap()));
        acknowledged.extend(publisher.kill());
        let found = versions(&open(&path)).await;
        // One more may be there: committed, and killed before it was said.
        let said = found.iter().filter(|version| acknowledged.contains(version)).count();
        assert_eq!(said, acknowledged.len(), "{acknowledged:?} of {found:?}");
        assert!(found.len() <= acknowledged.len() + round + 1, "{acknowledged:?} of {found:?}");
    }
}

#[tokio::test]
async fn two_processes_lose_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let mut publishers = ["1", "2"].map(|major| Publisher::start(&path, major));
    let mut acknowledged = Vec::new();
    for _ in 0..10 {
        for publisher in &mut publishers {
            acknowledged.push(publisher.next().unwrap());
        }
    }
    for publisher in publishers {
        acknowledged.extend(publisher.kill());
    }
    let found = versions(&open(&path)).await;
    for version in &acknowledged {
        assert!(found.contains(version), "{version} of {found:?}");
    }
    // Each publisher's versions are there in its own order.
    for major in ["1.", "2."] {
        let own: Vec<_> = found.iter().filter(|version| version.starts_with(major)).collect();
        let expected: Vec<_> = (0..own.len()).map(|patch| format!("{major}0.{patch}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
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

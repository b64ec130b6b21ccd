//! Several processes on the data of one index, one of which may be killed at any time.
//!
//! The processes are the test program itself, told by variables to be a publisher. A backend's file
//! of tests has this as a module, and a `#[test]` of the name `publisher` that is [`publish`].

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use registry_core::{
    Index, IndexError,
    conformance::record_fixture::{canonical, first, publish as next_version},
    index::Stored,
};

/// Where the data is, in words that the backend's test understands.
const PLACE: &str = "REGISTRY_INDEX_TEST_PLACE";
const MAJOR: &str = "REGISTRY_INDEX_TEST_MAJOR";

/// What a publisher prints in front of a version whose commit was acknowledged.
const ACKNOWLEDGED: &str = "acknowledged ";

/// What a publisher runs: publishes `<major>.0.0`, `<major>.0.1` and so on, until it is killed.
/// In a process that is no publisher, nothing.
pub(crate) fn publish<I: Index>(open: impl AsyncFn(&str) -> I) {
    let (Ok(place), Ok(major)) = (std::env::var(PLACE), std::env::var(MAJOR)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let index = open(&place).await;
        for patch in 0..1_000 {
            let version = format!("{major}.0.{patch}");
            loop {
                let stored = index.load(&canonical("foo"), None).await.unwrap().found();
                let (expected, (next, change)) = match stored {
                    None => (None, first("foo", &version)),
                    Some(Stored { record, revision }) => {
                        (Some(revision), next_version(&record, &version))
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

/// A process that publishes, and says what was acknowledged.
pub(crate) struct Publisher {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Publisher {
    pub(crate) fn start(place: &str, major: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publisher", "--nocapture"])
            .envs([(PLACE, place), (MAJOR, major)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next acknowledged version; `None` when the process is gone.
    pub(crate) fn next(&mut self) -> Option<String> {
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
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

async fn versions(index: &impl Index) -> Vec<String> {
    let stored = index.load(&canonical("foo"), None).await.unwrap().found();
    let releases = stored.iter().flat_map(|stored| stored.record.releases());
    releases.map(|release| release.version().to_string()).collect()
}

/// A publisher is killed again and again, and every version it had acknowledged is there.
pub(crate) async fn a_killed_process_takes_nothing_with_it<I: Index>(
    place: &str,
    open: impl AsyncFn(&str) -> I,
) {
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut publisher = Publisher::start(place, &round.to_string());
        // The kill meets the publisher at another place each time.
        acknowledged.extend((0..=round).map(|_| publisher.next().unwrap()));
        acknowledged.extend(publisher.kill());
        let found = versions(&open(place).await).await;
        // One more may be there: committed, and killed before it was said.
        let said = found.iter().filter(|version| acknowledged.contains(version)).count();
        assert_eq!(said, acknowledged.len(), "{acknowledged:?} of {found:?}");
        assert!(found.len() <= acknowledged.len() + round + 1, "{acknowledged:?} of {found:?}");
    }
}

/// Two publishers of one crate, both killed in the end: each one's versions are there, in order.
pub(crate) async fn two_processes_lose_nothing_of_each_other<I: Index>(
    place: &str,
    open: impl AsyncFn(&str) -> I,
) {
    let mut publishers = ["1", "2"].map(|major| Publisher::start(place, major));
    let mut acknowledged = Vec::new();
    for _ in 0..10 {
        for publisher in &mut publishers {
            acknowledged.push(publisher.next().unwrap());
        }
    }
    for publisher in publishers {
        acknowledged.extend(publisher.kill());
    }
    let found = versions(&open(place).await).await;
    for version in &acknowledged {
        assert!(found.contains(version), "{version} of {found:?}");
    }
    for major in ["1.", "2."] {
        let own: Vec<_> = found.iter().filter(|version| version.starts_with(major)).collect();
        let expected: Vec<_> = (0..own.len()).map(|patch| format!("{major}0.{patch}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}

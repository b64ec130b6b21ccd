use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::common::{Client, CrateFile, Server, wait_for};

/// Publishes small crates until the server is gone; those that were acknowledged go to `done`.
fn publish_until_killed(
    client: &Client,
    files: impl Iterator<Item = CrateFile>,
    done: &Mutex<Vec<CrateFile>>,
    killed: &AtomicBool,
) {
    for file in files {
        let answer = client.try_send("PUT", "/main/api/v1/crates/new", &[], &file.frame());
        match answer {
            Some(answer) if answer.status == 200 => done.lock().unwrap().push(file),
            Some(answer) => panic!("{}: {}", answer.status, answer.text()),
            None => {
                assert!(killed.load(Ordering::SeqCst), "no answer from a living server");
                return;
            }
        }
    }
}

#[test]
fn every_acknowledged_publish_survives_kill_9() {
    const ROUNDS: usize = 10;
    // So many that some of them share a commit.
    const PUBLISHERS: usize = 8;
    let mut server = Server::start();
    let token = server.token("alice");
    let done = Mutex::new(Vec::new());
    for round in 0..ROUNDS {
        let killed = AtomicBool::new(false);
        let client = server.client().with_token(&token);
        let before = done.lock().unwrap().len();
        std::thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                let (client, done, killed) = (&client, &done, &killed);
                scope.spawn(move || {
                    // In turn a version of a crate that all publish to, and one of a crate of its
                    // own.
                    let files = (0..).map(|count| {
                        let version = format!("{round}.{publisher}.{count}");
                        match count % 2 {
                            0 => CrateFile::library("shared", &version, version.as_bytes()),
                            _ => CrateFile::library(&format!("own-{publisher}"), &version, b""),
                        }
                    });
                    publish_until_killed(client, files, done, killed);
                });
            }
            // Some publishes on, others are always somewhere between their first byte and their
            // answer.
            wait_for("publishes", || (done.lock().unwrap().len() > before + round).then_some(()));
            killed.store(true, Ordering::SeqCst);
            server.kill();
        });
        server.restart();
        check(&server, &done.lock().unwrap());
    }
}

/// What was acknowledged is in the index, and whatever is in the index can be downloaded whole.
pub(crate) fn check(server: &Server, done: &[CrateFile]) {
    let client = server.client();
    let mut names: Vec<_> = done.iter().map(|file| file.name.clone()).collect();
    names.sort();
    names.dedup();
    let mut listed = BTreeMap::new();
    for name in names {
        let index = client.get(&crate::common::index_path(&name));
        assert_eq!(index.status, 200);
        assert!(index.text().ends_with('\n'));
        for line in index.text().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let [version, checksum] =
                ["vers", "cksum"].map(|key| line[key].as_str().unwrap().to_owned());
            let download = client.get(&format!("/main/dl/{name}/{version}/{checksum}"));
            assert_eq!(download.status, 200, "{name} {version}");
            assert_eq!(crate::common::checksum(&download.body), checksum, "{name} {version}");
            let twice = listed.insert((name.clone(), version), checksum);
            assert_eq!(twice, None);
        }
    }
    for file in done {
        let found = listed.get(&(file.name.clone(), file.version.clone()));
        assert_eq!(found, Some(&file.checksum()), "{} {}", file.name, file.version);
    }
}

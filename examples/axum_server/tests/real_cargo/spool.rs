use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use crate::common::{CrateFile, Server, noise, wait_for};

fn spooled(server: &Server) -> Vec<PathBuf> {
    let spool = server.data().join("crates/.spool");
    fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Half of it is more than is written at a time.
fn large() -> CrateFile {
    CrateFile::library("large", "1.0.0", &noise(4 << 20))
}

#[test]
fn a_client_that_goes_away_leaves_no_spooled_file() {
    let server = Server::start();
    let half = server.client_of("alice").half_a_publish(&large());
    wait_for("a spooled file", || (spooled(&server).len() == 1).then_some(()));
    drop(half);
    wait_for("it to be removed", || spooled(&server).is_empty().then_some(()));
    assert_eq!(server.client().get(&large().index_path()).status, 404);
    assert_eq!(server.client_of("alice").publish(&large().frame()).status, 200);
    assert!(spooled(&server).is_empty());
}

#[test]
fn what_a_killed_server_has_spooled_is_removed_when_it_is_old() {
    let mut server = Server::start();
    let _half = server.client_of("alice").half_a_publish(&large());
    wait_for("a spooled file", || (spooled(&server).len() == 1).then_some(()));
    server.kill();
    server.restart();
    // It could be that of another server.
    let left = spooled(&server);
    assert_eq!(left.len(), 1);
    server.kill();
    let two_hours_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    fs::File::options().write(true).open(&left[0]).unwrap().set_modified(two_hours_ago).unwrap();
    server.restart();
    assert!(spooled(&server).is_empty());
}

//! Several processes on one PostgreSQL database, one of which may be killed at any time.
#![cfg(feature = "postgres")]

#[path = "common/processes.rs"]
mod processes;
#[path = "common/postgres.rs"]
#[allow(dead_code, reason = "the files of tests share it, and none needs all")]
mod server;

use registry_core::conformance::{run, service};
use registry_index::postgres::{PostgresDatabase, PostgresIndex};

use self::server::Schema;

async fn open(url: &str) -> PostgresIndex {
    PostgresDatabase::connect(url).await.unwrap().index("main")
}

/// Not a test: what the processes run that the tests start.
#[test]
fn publisher() {
    processes::publish(open);
}

#[test]
fn a_killed_process_takes_no_acknowledged_commit_with_it() {
    let Some(service) = service("REGISTRY_TEST_POSTGRES") else { return };
    run(async {
        let schema = Schema::fresh(service).await;
        processes::a_killed_process_takes_nothing_with_it(&schema.url(), open).await;
    });
}

#[test]
fn two_processes_lose_nothing_of_each_other() {
    let Some(service) = service("REGISTRY_TEST_POSTGRES") else { return };
    run(async {
        let schema = Schema::fresh(service).await;
        processes::two_processes_lose_nothing_of_each_other(&schema.url(), open).await;
    });
}

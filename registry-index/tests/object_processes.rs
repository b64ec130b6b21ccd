//! Several processes on one bucket, one of which may be killed at any time.
#![cfg(feature = "object-store")]

#[path = "common/processes.rs"]
mod processes;
#[path = "common/s3.rs"]
mod s3;

use registry_core::conformance::service;
use registry_index::object::ObjectIndex;

const S3: &str = "REGISTRY_TEST_S3";

/// `place` is a part of the bucket that the environment names.
async fn open(place: &str) -> ObjectIndex {
    ObjectIndex::open(s3::at(&service(S3).unwrap(), place)).await.unwrap()
}

/// Not a test: what the processes run that the tests start.
#[test]
fn publisher() {
    processes::publish(open);
}

#[tokio::test]
async fn a_killed_process_takes_no_acknowledged_commit_with_it() {
    if service(S3).is_some() {
        processes::a_killed_process_takes_nothing_with_it(&s3::unused(), open).await;
    }
}

#[tokio::test]
async fn two_processes_lose_nothing_of_each_other() {
    if service(S3).is_some() {
        processes::two_processes_lose_nothing_of_each_other(&s3::unused(), open).await;
    }
}

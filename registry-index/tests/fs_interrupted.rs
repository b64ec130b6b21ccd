//! What becomes of interrupted writes to a folder.
#![cfg(feature = "fs")]

#[path = "common/folder.rs"]
mod folder;

use std::{fs, path::PathBuf};

use registry_core::{
    Index, IndexError, RegistryConfig,
    conformance::record_fixture::{canonical, first, publish},
    index::Lookup,
};

use self::folder::{CRATE, Fixture, LINES, RECORD, open};

const STAGED_LINES: &str = ".records/staged/foo_bar.lines";
const STAGED_RECORD: &str = ".records/staged/foo_bar.record";

/// Interruptions of a write, made by hand: what a kill, or the end of the power, leaves of the way
/// from the record in `before` to the one after it.
#[tokio::test]
async fn an_interrupted_write_is_settled_when_the_folder_is_opened() {
    type Interrupt = fn(&Fixture, Files, Files);
    struct Files {
        record: Vec<u8>,
        lines: Vec<u8>,
    }
    let cases: [(&str, bool, Interrupt); 5] = [
        ("staged in part", false, |fixture, old, new| {
            fixture.write(RECORD, old.record);
            fixture.write(LINES, old.lines);
            fixture.write(STAGED_RECORD, &new.record[..100]);
        }),
        ("staged", false, |fixture, old, new| {
            fixture.write(RECORD, old.record);
            fixture.write(LINES, old.lines);
            fixture.write(STAGED_RECORD, new.record);
            fixture.write(STAGED_LINES, new.lines);
        }),
        ("between the renames", true, |fixture, old, new| {
            fixture.write(LINES, old.lines);
            fixture.write(STAGED_LINES, new.lines);
        }),
        ("between the renames, with the power", false, |fixture, old, new| {
            fixture.write(RECORD, old.record);
            fixture.write(STAGED_RECORD, new.record);
        }),
        ("while a document was written", true, |fixture, _, _| {
            fixture.write(".records/staged/config.other", "{");
            fixture.write(".records/staged/ready.other", "");
            fixture.write(".records/staged/foreign", "");
        }),
    ];
    for (case, is_done, interrupt) in cases {
        let mut fixture = Fixture::new().await;
        let files =
            |fixture: &Fixture| Files { record: fixture.read(RECORD), lines: fixture.read(LINES) };
        let (old, before) = (files(&fixture), (fixture.record.clone(), fixture.revision.clone()));
        fixture.publish("0.2.0").await;
        interrupt(&fixture, old, files(&fixture));
        if !is_done {
            (fixture.record, fixture.revision) = before;
        }
        fixture.index = open(&fixture.folder);
        if case == "while a document was written" {
            let left = ["config.other", "foreign", "ready.other"].map(PathBuf::from);
            assert_eq!(fixture.staged(), left);
            let config = RegistryConfig::new("https://crates.example.com").unwrap();
            fixture.index.write_config(&config).await.unwrap();
            fixture.index.ready().await.unwrap();
            assert_eq!(fixture.staged(), ["foreign"].map(PathBuf::from));
            fs::remove_file(fixture.path(".records/staged/foreign")).unwrap();
        }
        fixture.assert_stored().await;
        fixture.publish("0.3.0").await;
        fixture.assert_stored().await;
    }
}

#[tokio::test]
async fn an_interrupted_first_write_leaves_nothing() {
    for lines_are_there in [true, false] {
        let mut fixture = Fixture::new().await;
        fs::rename(fixture.path(RECORD), fixture.path(STAGED_RECORD)).unwrap();
        if !lines_are_there {
            fs::rename(fixture.path(LINES), fixture.path(STAGED_LINES)).unwrap();
        }
        fixture.index = open(&fixture.folder);
        assert!(!fixture.path(LINES).exists());
        assert_eq!(fixture.staged(), [] as [PathBuf; 0]);
        assert_eq!(fixture.index.load(&canonical(CRATE), None).await.unwrap(), Lookup::Absent);
        let (record, change) = first(CRATE, "1.0.0");
        fixture.revision = fixture.index.commit(None, &change, &record).await.unwrap();
        fixture.record = record;
        fixture.assert_stored().await;
    }
}

/// Of two processes one is killed, and the other goes on.
#[tokio::test]
async fn an_interrupted_write_is_settled_by_the_next_of_its_crate() {
    let mut fixture = Fixture::new().await;
    let old = fixture.read(LINES);
    fixture.publish("0.2.0").await;
    fs::rename(fixture.path(LINES), fixture.path(STAGED_LINES)).unwrap();
    fixture.write(LINES, old);
    // A conflict is enough.
    let (next, change) = first(CRATE, "1.0.0");
    let refused = fixture.index.commit(None, &change, &next).await;
    assert!(matches!(refused, Err(IndexError::Conflict { .. })), "{refused:?}");
    fixture.assert_stored().await;
}

#[tokio::test]
async fn a_write_that_fails_behind_its_commit_is_not_taken_for_done() {
    let mut fixture = Fixture::new().await;
    // A file does not take the place of a folder.
    fs::remove_file(fixture.path(LINES)).unwrap();
    fs::create_dir(fixture.path(LINES)).unwrap();
    let (next, change) = publish(&fixture.record, "0.2.0");
    let committed = fixture.index.commit(Some(&fixture.revision), &change, &next).await;
    assert!(matches!(committed, Err(IndexError::OutcomeUnknown { .. })), "{committed:?}");
    let loaded = fixture.index.load(&canonical(CRATE), None).await;
    assert!(matches!(loaded, Err(IndexError::Backend { .. })), "{loaded:?}");

    fs::remove_dir(fixture.path(LINES)).unwrap();
    let stored = fixture.index.load(&canonical(CRATE), None).await.unwrap().found().unwrap();
    (fixture.record, fixture.revision) = (next, stored.revision);
    fixture.assert_stored().await;
    fixture.publish("0.3.0").await;
    fixture.assert_stored().await;
}

#[tokio::test]
async fn what_cannot_be_settled_yet_keeps_nothing_else_from_being_served() {
    let mut fixture = Fixture::new().await;
    fs::remove_file(fixture.path(LINES)).unwrap();
    fs::create_dir(fixture.path(LINES)).unwrap();
    fixture.write(STAGED_LINES, "");
    fixture.index = open(&fixture.folder);
    assert!(fixture.path(STAGED_LINES).exists());
    let file = fixture.index.index_file(&canonical(CRATE), None).await.unwrap();
    assert_eq!(file, Lookup::Found(fixture.record.index_file()));
    fs::remove_dir(fixture.path(LINES)).unwrap();
    fixture.publish("0.2.0").await;
    fixture.assert_stored().await;
}

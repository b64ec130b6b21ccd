//! The audit trail is only added to, and a row is in it if and only if its write is.
#![cfg(any(feature = "sqlite", feature = "postgres"))]

use registry_core::{
    Index as _,
    audit::{AuditAction, AuditEntry, AuditLog, AuditQuery},
    auth::Caller,
    conformance::record_fixture::{first, publish},
};

/// Rows are what they were, whatever is tried to make others of them.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn no_row_of_sqlite_is_changed_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let database = registry_index::sqlite::SqliteDatabase::open(&path).unwrap();
    let audit = database.audit("main");
    let entry = AuditEntry::refused(&Caller::anonymous(), AuditAction::YANK, "reason");
    audit.append(&entry).await.unwrap();
    let before = audit.query(&AuditQuery::default()).await.unwrap();
    let direct = rusqlite::Connection::open(&path).unwrap();
    for statement in [
        "UPDATE audit SET detail = 'another'",
        "UPDATE OR IGNORE audit SET id = 7",
        "DELETE FROM audit",
        "REPLACE INTO audit (id, registry, at, action, outcome) VALUES (1, 'main', 0, 'x', 'done')",
    ] {
        let refused = direct.execute(statement, []).unwrap_err().to_string();
        assert_eq!(refused, "the audit trail is only added to", "{statement}");
    }
    assert_eq!(audit.query(&AuditQuery::default()).await.unwrap(), before);
    // What is refused above is not refused to those who add.
    audit.append(&entry).await.unwrap();
    assert_eq!(audit.query(&AuditQuery::default()).await.unwrap().len(), 2);
}

#[cfg(feature = "postgres")]
#[path = "common/postgres.rs"]
#[allow(dead_code, reason = "the files of tests share it, and none needs all")]
mod server;

#[cfg(feature = "postgres")]
#[test]
fn no_row_of_postgres_is_changed_or_removed() {
    use registry_core::conformance::{run, service};

    let Some(service) = service("REGISTRY_TEST_POSTGRES") else { return };
    run(async {
        let schema = server::Schema::fresh(service).await;
        let audit = schema.open().await.audit("main");
        let entry = AuditEntry::refused(&Caller::anonymous(), AuditAction::YANK, "reason");
        audit.append(&entry).await.unwrap();
        let before = audit.query(&AuditQuery::default()).await.unwrap();
        let direct = schema.client().await;
        for statement in [
            "UPDATE audit SET detail = 'another'",
            "DELETE FROM audit",
            "TRUNCATE audit",
            "INSERT INTO audit (id, registry, at, action, outcome) OVERRIDING SYSTEM VALUE \
             VALUES (1, 'main', 0, 'x', 'done') ON CONFLICT (id) DO UPDATE SET detail = 'another'",
        ] {
            let refused = direct.batch_execute(statement).await.unwrap_err();
            let refused = refused.as_db_error().unwrap().message().to_owned();
            assert_eq!(refused, "the audit trail is only added to", "{statement}");
        }
        assert_eq!(audit.query(&AuditQuery::default()).await.unwrap(), before);
    });
}

/// The row and the write are one transaction: without room for the one there is none of the other.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_write_whose_row_cannot_be_written_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let database = registry_index::sqlite::SqliteDatabase::open(&path).unwrap();
    let (index, audit) = (database.index("main"), database.audit("main"));
    let (record, change) = first("foo", "1.0.0");
    let revision = index.commit(None, &change, &record).await.unwrap();
    let direct = rusqlite::Connection::open(&path).unwrap();
    direct
        .execute_batch(
            "CREATE TRIGGER no_room BEFORE INSERT ON audit
             BEGIN SELECT RAISE(ABORT, 'no room'); END",
        )
        .unwrap();
    let (next, change) = publish(&record, "1.1.0");
    index.commit(Some(&revision), &change, &next).await.unwrap_err();
    let stored = index.load(&record.name().canonical(), None).await.unwrap().found().unwrap();
    assert_eq!(stored.record, record);
    assert_eq!(audit.query(&AuditQuery::default()).await.unwrap().len(), 1);
}

//! The list of the registries of a database: made, found, listed, changed and deleted.
#![cfg(all(feature = "sqlite", feature = "postgres"))]

#[allow(dead_code, reason = "each test file uses its part")]
#[path = "common/postgres.rs"]
mod server;

use std::{num::NonZeroUsize, sync::Arc};

use registry_core::{
    Index, IndexError, RegistryName,
    conformance::{
        record_fixture::{canonical, first, publish},
        run, service,
    },
    record::Timestamp,
    registries::{Deletion, RegistryDescription, RegistryRecord, RegistrySettings, RegistryStore},
};
use registry_index::{postgres::PostgresDatabase, sqlite::SqliteDatabase};

use self::server::Schema;

/// The index under a key.
type IndexOf = Box<dyn Fn(&str) -> Arc<dyn Index>>;

/// A database of either kind.
struct Database {
    registries: Arc<dyn RegistryStore>,
    index: IndexOf,
}

impl Database {
    async fn create(&self, text: &str) -> RegistryRecord {
        let settings = RegistrySettings::default();
        self.registries.create(&name(text), &settings).await.unwrap().unwrap()
    }

    /// Commits a first release of `foo`.
    async fn publish(&self, key: &str) -> Result<(), IndexError> {
        let (record, change) = first("foo", "1.0.0");
        (self.index)(key).commit(None, &change, &record).await.map(drop)
    }

    async fn has_foo(&self, key: &str) -> bool {
        (self.index)(key).load(&canonical("foo"), None).await.unwrap().found().is_some()
    }

    async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.registries.keys().await.unwrap();
        keys.sort();
        keys.iter().map(ToString::to_string).collect()
    }
}

/// Runs a test on a new database of each kind that there is.
fn test(test: impl AsyncFn(Database)) {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open(folder.path().join("index.sqlite")).unwrap();
        let registries = Arc::new(database.registries());
        test(Database { registries, index: Box::new(move |key| Arc::new(database.index(key))) })
            .await;
        let Some(service) = service("REGISTRY_TEST_POSTGRES") else { return };
        let schema = Schema::fresh(service).await;
        let database: PostgresDatabase = schema.open().await;
        let registries = Arc::new(database.registries());
        test(Database { registries, index: Box::new(move |key| Arc::new(database.index(key))) })
            .await;
    });
}

fn name(text: &str) -> RegistryName {
    RegistryName::new(text).unwrap()
}

fn description(text: &str) -> RegistryDescription {
    RegistryDescription::new(text).unwrap()
}

#[test]
fn a_registry_is_there_once_it_is_made_and_as_it_was_said_to_be() {
    test(async |database| {
        let store = &database.registries;
        assert_eq!(store.find(&name("a")).await.unwrap(), None);
        let said = description("„Größe“ 🦀 'a'; -- \"b\\\" $1 ?1");
        let settings = RegistrySettings { private: true, read_only: false, description: said };
        let made = store.create(&name("a"), &settings).await.unwrap().unwrap();
        assert_eq!((made.name.as_str(), &made.settings), ("a", &settings));
        assert!(made.created_at.0 > 1_767_225_600, "{made:?}");
        assert_eq!(store.find(&name("a")).await.unwrap().as_ref(), Some(&made));
        assert_eq!(store.create(&name("a"), &settings).await.unwrap(), None);

        for said in ["x".repeat(256), String::new()] {
            let description = description(&said);
            let settings = RegistrySettings { private: false, read_only: true, description };
            assert!(store.change(&name("a"), &settings).await.unwrap());
            let changed = RegistryRecord { settings, ..made.clone() };
            assert_eq!(store.find(&name("a")).await.unwrap().as_ref(), Some(&changed));
            let listed = store.list("", None, NonZeroUsize::MAX).await.unwrap();
            assert_eq!(listed, [changed]);
        }
        assert!(!store.change(&name("b"), &settings).await.unwrap());
        assert_eq!(store.find(&name("b")).await.unwrap(), None);
    });
}

/// One that was made before registries had descriptions.
const OLDER: &str = "INSERT INTO named_registry (name, private, read_only, created_at)
                     VALUES ('older', true, false, 1795246288)";

async fn older_goes_on(store: &dyn RegistryStore) {
    let mut older = RegistryRecord {
        name: name("older"),
        key: "older#1".into(),
        settings: RegistrySettings { private: true, ..RegistrySettings::default() },
        created_at: Timestamp(1_795_246_288),
    };
    assert_eq!(store.find(&name("older")).await.unwrap().as_ref(), Some(&older));
    older.settings.description = description("Now it is said");
    assert!(store.change(&name("older"), &older.settings).await.unwrap());
    assert_eq!(store.list("", None, NonZeroUsize::MAX).await.unwrap(), [older]);
}

#[test]
fn a_registry_in_a_file_of_an_earlier_schema_has_no_description_until_one_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    let file = rusqlite::Connection::open(&path).unwrap();
    for step in [
        include_str!("../src/sqlite/migrations/1.sql"),
        include_str!("../src/sqlite/migrations/2.sql"),
        include_str!("../src/sqlite/migrations/3.sql"),
        include_str!("../src/sqlite/migrations/4.sql"),
        include_str!("../src/sqlite/migrations/5.sql"),
        "PRAGMA application_id = 1131571026; PRAGMA user_version = 5",
        OLDER,
    ] {
        file.execute_batch(step).unwrap();
    }
    drop(file);
    run(async { older_goes_on(&SqliteDatabase::open(path).unwrap().registries()).await });
}

#[test]
fn a_registry_in_tables_of_an_earlier_schema_has_no_description_until_one_is_said() {
    let Some(service) = service("REGISTRY_TEST_POSTGRES") else { return };
    run(async {
        let schema = Schema::fresh(service).await;
        let client = schema.client().await;
        for step in [
            include_str!("../src/postgres/migrations/1.sql"),
            include_str!("../src/postgres/migrations/2.sql"),
            include_str!("../src/postgres/migrations/3.sql"),
            include_str!("../src/postgres/migrations/4.sql"),
            "UPDATE registry_schema SET version = 4",
            OLDER,
        ] {
            client.batch_execute(step).await.unwrap();
        }
        older_goes_on(&schema.open().await.registries()).await;
    });
}

#[test]
fn pages_of_a_list_have_each_registry_once_whatever_is_made_meanwhile() {
    test(async |database| {
        let store = &database.registries;
        let mut all: Vec<_> = (0..25).map(|number| format!("r-{number}")).collect();
        for text in &all {
            database.create(text).await;
        }
        database.create("other").await;
        all.sort();
        let ten = NonZeroUsize::new(10).unwrap();
        let (mut listed, mut after, mut sizes) = (Vec::new(), None, Vec::new());
        loop {
            let page = store.list("r-", after.as_ref(), ten).await.unwrap();
            sizes.push(page.len());
            after = page.last().map(|record| record.name.clone());
            listed.extend(page.into_iter().map(|record| record.name.to_string()));
            // Before all that is to come.
            if sizes.len() == 1 {
                database.create("r-").await;
            }
            if sizes.last() < Some(&10) {
                break;
            }
        }
        assert_eq!((sizes, listed), (vec![10, 10, 5], all));
        let others = store.list("o", None, ten).await.unwrap();
        assert_eq!(others.len(), 1);
        assert_eq!(store.list("%", None, ten).await.unwrap(), []);
        assert_eq!(store.list("", Some(&name("r-9")), ten).await.unwrap(), []);
    });
}

#[test]
fn a_registry_with_crates_is_deleted_only_on_purpose_and_no_other_loses_any() {
    test(async |database| {
        let store = &database.registries;
        let (a, b) = (database.create("a").await, database.create("b").await);
        for key in [&*a.key, &*b.key, "main"] {
            database.publish(key).await.unwrap();
        }
        let kept = store.delete(&name("a"), false).await.unwrap();
        assert_eq!(kept, Deletion::HasCrates { crates: 1 });
        assert!(database.has_foo(&a.key).await);
        let deleted = store.delete(&name("a"), true).await.unwrap();
        assert_eq!(deleted, Deletion::Deleted { crates: 1 });
        assert_eq!(store.find(&name("a")).await.unwrap(), None);
        assert!(!database.has_foo(&a.key).await);
        assert!(database.has_foo(&b.key).await && database.has_foo("main").await);
        assert_eq!(store.delete(&name("a"), true).await.unwrap(), Deletion::Unknown);
        assert_eq!(store.delete(&name("main"), true).await.unwrap(), Deletion::Unknown);
        database.create("empty").await;
        let deleted = store.delete(&name("empty"), false).await.unwrap();
        assert_eq!(deleted, Deletion::Deleted { crates: 0 });
    });
}

#[test]
fn nothing_is_published_in_a_registry_after_it_was_deleted() {
    test(async |database| {
        let a = database.create("a").await;
        database.publish(&a.key).await.unwrap();
        let index = (database.index)(&a.key);
        let stored = index.load(&canonical("foo"), None).await.unwrap().found().unwrap();
        database.registries.delete(&name("a"), true).await.unwrap();
        // A server that does not know yet.
        let late = database.publish(&a.key).await;
        assert!(matches!(late, Err(IndexError::Backend { .. })), "{late:?}");
        let (next, change) = publish(&stored.record, "2.0.0");
        let late = index.commit(Some(&stored.revision), &change, &next).await;
        assert!(matches!(late, Err(IndexError::Conflict { .. })), "{late:?}");
        // One of the same name is another one.
        let again = database.create("a").await;
        assert_ne!(again.key, a.key);
        let late = database.publish(&a.key).await;
        assert!(matches!(late, Err(IndexError::Backend { .. })), "{late:?}");
        database.publish(&again.key).await.unwrap();
        assert!(!database.has_foo(&a.key).await && database.has_foo(&again.key).await);
        // Nor in one that never was; one that nobody made is there as ever.
        assert!(database.publish("b#1").await.is_err());
        database.publish("main").await.unwrap();
    });
}

#[test]
fn keys_are_those_of_all_that_may_hold_crates() {
    test(async |database| {
        assert_eq!(database.keys().await, [""; 0]);
        let (a, b) = (database.create("a").await, database.create("b").await);
        database.publish(&a.key).await.unwrap();
        database.publish("unlisted").await.unwrap();
        assert_eq!(database.keys().await, [&*a.key, &*b.key, "unlisted"]);
        database.registries.delete(&name("a"), true).await.unwrap();
        assert_eq!(database.keys().await, [&*b.key, "unlisted"]);
    });
}

/// Of a publish and a deletion at one time, whichever comes later fails.
#[test]
fn a_publish_is_never_lost_in_a_registry_that_is_deleted_as_empty() {
    test(async |database| {
        let mut published = 0;
        for _ in 0..20 {
            let a = database.create("a").await;
            let a_name = name("a");
            let (publish, delete) = futures_util::join!(
                database.publish(&a.key),
                database.registries.delete(&a_name, false)
            );
            match (publish, delete.unwrap()) {
                (Ok(()), Deletion::HasCrates { crates: 1 }) => {
                    published += 1;
                    assert!(database.has_foo(&a.key).await);
                    database.registries.delete(&a_name, true).await.unwrap();
                }
                (Err(_), Deletion::Deleted { crates: 0 }) => {
                    assert!(!database.has_foo(&a.key).await);
                }
                other => panic!("{other:?}"),
            }
        }
        println!("{published} of 20 were first");
    });
}

//! A file of an earlier schema is brought up to date when it is opened, or left as it was.
#![cfg(feature = "sqlite")]

use std::{
    fs,
    num::NonZeroUsize,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use registry_core::{
    Index as _, Login, Owner,
    auth::{Scopes, TokenDigest, TokenKind, TokenRecord, TokenStore as _, Vouched},
    conformance::record_fixture::{
        add_owner, alice, canonical, first, name, owner, publish, release, set_yanked, stamp,
    },
    record::{About, CrateRecord, Origin, Timestamp},
    search::{Search as _, SearchQuery},
};
use registry_index::sqlite::{SqliteDatabase, SqliteIndex};
use rusqlite::Connection;

/// When the tokens in there were made.
const TOKENS_MADE_AT: u64 = 1_795_246_288;

/// What version 1 of the schema left, written by the code of that time.
const SCHEMA_1: &str = include_str!("schema_1.sql");

fn file_of(path: &Path, sql: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

/// The records that are in the file.
fn records() -> [(&'static str, CrateRecord); 4] {
    let say = |description: &str, keywords: &[&str]| About {
        description: Some(description.into()),
        keywords: keywords.iter().map(ToString::to_string).collect(),
        homepage: Some("https://example.com".into()),
        ..About::default()
    };
    let of = |text: &str, version: &str, about| {
        CrateRecord::first(name(text), alice(), about, release(text, version), stamp().origin).0
    };
    let about = say("Reads JSON \"files\" (Größe)", &["parser", "no-std"]);
    let record = of("Foo-Bar", "0.1.0", about);
    let record = publish(&publish(&record, "0.2.0+build.1").0, "1.0.0").0;
    let record = set_yanked(&record, "0.1.0", true).0;
    let record = add_owner(&record, Owner { name: Some("Bob".into()), ..owner(2, "bob") }).0;
    let gone = of("gone", "1.0.0", say("json, all yanked", &[]));
    [
        ("main", record),
        ("main", first("plain", "0.1.0").0),
        ("main", set_yanked(&gone, "1.0.0", true).0),
        ("second", of("other", "1.0.0", say("json elsewhere", &[]))),
    ]
}

async fn find(index: &SqliteIndex, text: &str) -> (Vec<String>, usize) {
    let limit = NonZeroUsize::new(10).unwrap();
    let page = index.search(&SearchQuery::new(text, 0, limit).unwrap()).await.unwrap();
    (page.crates.iter().map(|found| found.name.as_str().to_owned()).collect(), page.total)
}

fn schema(path: &Path) -> Vec<(String, Option<String>)> {
    let connection = Connection::open(path).unwrap();
    let mut query =
        connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn user_version(path: &Path) -> i32 {
    let connection = Connection::open(path).unwrap();
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_file_of_schema_1_is_whole_and_its_crates_are_found_by_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    drop(file_of(&path, SCHEMA_1));
    assert_eq!(user_version(&path), 1);

    let database = SqliteDatabase::open(&path).unwrap();
    database.check().await.unwrap();
    for (registry, record) in records() {
        let stored = database.index(registry).load(&record.name().canonical(), None).await.unwrap();
        assert_eq!(stored.found().unwrap().record, record);
    }
    for (id, login) in [(1, "alice"), (2, "bob")] {
        let digest = TokenDigest::of(&format!("token-of-{login}"));
        let login = Login::new(login).unwrap();
        let token = database.tokens().find(&digest).await.unwrap().unwrap();
        let expected = TokenRecord {
            id: token.id,
            user: Owner { id, login, name: None },
            name: String::new(),
            kind: TokenKind::User,
            scopes: Scopes::all_but_admin(),
            vouched: Vouched::default(),
            created_at: Timestamp(TOKENS_MADE_AT),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        assert_eq!(token, expected);
    }
    let (main, second) = (database.index("main"), database.index("second"));
    let found = (vec!["Foo-Bar".to_owned()], 1);
    for text in ["foo", "bar", "json", "files reads", "größe", "no-std", "pars"] {
        assert_eq!(find(&main, text).await, found, "{text}");
    }
    assert_eq!(find(&main, "").await, (vec!["Foo-Bar".into(), "plain".into()], 2));
    assert_eq!(find(&main, "yanked").await, (vec![], 0));
    assert_eq!(find(&second, "json").await, (vec!["other".into()], 1));

    // Goes on from there: the words change, and a crate is found again.
    for (registry, record) in &records()[2..] {
        let index = database.index(registry);
        let stored = index.load(&record.name().canonical(), None).await.unwrap().found().unwrap();
        let about = About { description: Some("new".into()), ..About::default() };
        let release = release(record.name().as_str(), "2.0.0");
        let (next, change) =
            record.publish(record.name(), about, release, Origin::default()).unwrap();
        index.commit(Some(&stored.revision), &change, &next).await.unwrap();
    }
    assert_eq!(find(&main, "new").await, (vec!["gone".into()], 1));
    assert_eq!(find(&second, "json").await, (vec![], 0));
    let direct = Connection::open(&path).unwrap();
    // Fails if a word is in the index and not in the table it is made of, or the other way round.
    let check = "INSERT INTO crate_words (crate_words, rank) VALUES ('integrity-check', 1)";
    direct.execute(check, []).unwrap();

    // Nothing is left of the plain digests, also where nothing is any more.
    drop((main, second, database));
    // Connections of theirs may still be at work: until all that is in the log is in the file.
    direct.busy_timeout(Duration::from_secs(60)).unwrap();
    let is_busy = direct.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    assert_eq!(is_busy, Ok(false));
    let file = fs::read(&path).unwrap();
    for login in ["alice", "bob"] {
        let digest = TokenDigest::of(&format!("token-of-{login}"));
        assert!(!file.windows(32).any(|bytes| bytes == digest.as_bytes()), "{login}");
    }
}

#[test]
fn a_migrated_file_has_the_schema_of_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old.sqlite"), folder.path().join("new.sqlite"));
    drop(file_of(&old, SCHEMA_1));
    for path in [&old, &new] {
        drop(SqliteDatabase::open(path).unwrap());
    }
    assert_eq!(schema(&old), schema(&new));
    assert_eq!(user_version(&old), user_version(&new));
}

#[tokio::test]
async fn damage_that_a_migration_meets_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.sqlite");
    let direct = file_of(&path, SCHEMA_1);
    direct.execute("UPDATE crate SET about = '{' WHERE name = 'plain'", []).unwrap();
    let before = schema(&path);
    SqliteDatabase::open(&path).unwrap_err();
    assert_eq!((schema(&path), user_version(&path)), (before, 1));
    direct.execute("UPDATE crate SET about = '{}' WHERE name = 'plain'", []).unwrap();
    let index = SqliteDatabase::open(&path).unwrap().index("main");
    assert!(index.load(&canonical("plain"), None).await.unwrap().found().is_some());
}

const MIGRATED: &str = "REGISTRY_INDEX_TEST_MIGRATED";

/// Not a test: a process that migrates a file, and may be killed.
#[test]
fn migrator() {
    if let Ok(path) = std::env::var(MIGRATED) {
        drop(SqliteDatabase::open(path).unwrap());
    }
}

fn migrate(path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "migrator"]).env(MIGRATED, path).stdout(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn a_migration_that_is_killed_leaves_the_old_schema() {
    const MORE: usize = 15_000;
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.sqlite");
    let direct = file_of(&original, SCHEMA_1);
    // So much that it does not fit into memory, and is written before it is committed.
    direct
        .execute_batch(&format!(
            r#"
            WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {MORE})
            INSERT INTO crate
                (registry, canonical, name, revision, etag, owners, about, max_version, search_text)
            SELECT
                'main', printf('c%06d', i), printf('c%06d', i), 1, '', '',
                '{{"description":"one of many, number ' || i || '"}}', '1.0.0', ''
            FROM n;
            "#
        ))
        .unwrap();
    drop(direct);
    let mut killed = 0;
    for written in [1, 1 << 20, 3 << 20] {
        let path = folder.path().join(format!("{written}.sqlite"));
        fs::copy(&original, &path).unwrap();
        let log = folder.path().join(format!("{written}.sqlite-wal"));
        let mut migrator = migrate(&path);
        while migrator.try_wait().unwrap().is_none()
            && fs::metadata(&log).map_or(0, |log| log.len()) < written
        {
            std::thread::yield_now();
        }
        migrator.kill().unwrap();
        migrator.wait().unwrap();
        if user_version(&path) == 1 {
            killed += 1;
            assert_eq!(schema(&path), schema(&original));
        }
        let database = SqliteDatabase::open(&path).unwrap();
        database.check().await.unwrap();
        let limit = NonZeroUsize::MIN;
        let query = SearchQuery::new("many one", 0, limit).unwrap();
        assert_eq!(database.index("main").search(&query).await.unwrap().total, MORE);
    }
    assert_ne!(killed, 0, "none was killed before its end");
}

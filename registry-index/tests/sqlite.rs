//! What is particular to SQLite: the file, its schema, and several processes on it.
#![cfg(feature = "sqlite")]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use registry_core::{
    ETag, Index, IndexError, Login, Owner,
    auth::{NewToken, Token, TokenStore},
    conformance::record_fixture::{
        add_owner, alice, first, name, owner, publish, release, set_yanked, stamp,
    },
    index::Lookup,
    memory::MemoryIndex,
    record::{About, CrateRecord, Timestamp, Transition},
    search::{Search, SearchQuery},
};
use registry_index::sqlite::{SqliteBackupError, SqliteDatabase, SqliteOpenError};
use rusqlite::Connection;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn database(folder: &TempDir) -> SqliteDatabase {
    SqliteDatabase::open(folder.path().join("registry.sqlite")).unwrap()
}

fn about(text: &str, version: &str, about: About) -> Transition {
    CrateRecord::first(name(text), alice(), about, release(text, version), stamp().origin)
}

#[tokio::test]
async fn a_record_is_loaded_as_it_was_committed() {
    let folder = folder();
    let index = database(&folder).index("main");
    let (record, change) = about(
        "Foo-Bar",
        "0.1.0",
        About { description: Some("Ü".into()), keywords: vec!["k".into()], ..About::default() },
    );
    let name = record.name().canonical();
    assert_eq!(index.index_file(&name, None).await.unwrap(), Lookup::Absent);
    let mut revision = index.commit(None, &change, &record).await.unwrap();
    let (published, change) = publish(&record, "0.2.0+build");
    revision = index.commit(Some(&revision), &change, &published).await.unwrap();
    let (yanked, change) = set_yanked(&published, "0.1.0", true);
    revision = index.commit(Some(&revision), &change, &yanked).await.unwrap();
    let bob = Owner { name: Some("Bob".into()), ..owner(2, "bob") };
    let (owned, change) = add_owner(&yanked, bob);
    revision = index.commit(Some(&revision), &change, &owned).await.unwrap();

    drop(index);
    let index = database(&folder).index("main");
    let stored = index.load(&name, None).await.unwrap().found().unwrap();
    assert_eq!((stored.record, stored.revision), (owned.clone(), revision));
    let file = owned.index_file();
    assert_eq!(index.index_file(&name, None).await.unwrap(), Lookup::Found(file.clone()));
    assert_eq!(
        index.index_file(&name, Some(&ETag::of(b"other"))).await.unwrap(),
        Lookup::Found(file.clone())
    );
    assert_eq!(index.index_file(&name, Some(&file.etag)).await.unwrap(), Lookup::Unchanged);
}

#[tokio::test]
async fn a_first_commit_brings_every_release_in() {
    let folder = folder();
    let index = database(&folder).index("main");
    let (record, _) = first("foo", "0.1.0");
    let (record, _) = publish(&record, "0.2.0");
    let (record, change) = publish(&record, "0.3.0");
    index.commit(None, &change, &record).await.unwrap();
    let stored = index.load(&record.name().canonical(), None).await.unwrap().found().unwrap();
    assert_eq!(stored.record, record);
}

#[tokio::test]
async fn registries_in_one_file_do_not_see_each_other() {
    let folder = folder();
    let database = database(&folder);
    let (record, change) = first("foo", "0.1.0");
    let (other, other_change) = first("Foo", "2.0.0");
    database.index("a").commit(None, &change, &record).await.unwrap();
    database.index("b").commit(None, &other_change, &other).await.unwrap();
    let name = record.name().canonical();
    assert_eq!(
        database.index("a").load(&name, None).await.unwrap().found().unwrap().record,
        record
    );
    assert_eq!(database.index("b").load(&name, None).await.unwrap().found().unwrap().record, other);
    assert!(database.index("c").load(&name, None).await.unwrap().found().is_none());
    let limit = NonZeroUsize::MAX;
    assert_eq!(database.index("a").names(None, limit).await.unwrap(), [name]);
    assert_eq!(database.index("c").names(None, limit).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_handles_on_one_file_one_wins() {
    let folder = folder();
    let (one, two) = (database(&folder).index("main"), database(&folder).index("main"));
    let (record, change) = first("foo", "0.1.0");
    let name = record.name().canonical();
    let mut revision = one.commit(None, &change, &record).await.unwrap();
    assert!(matches!(
        two.commit(None, &change, &record).await,
        Err(IndexError::Conflict { name: conflict }) if conflict == name
    ));
    let mut record = record;
    for minor in 2..12 {
        let (a, a_change) = publish(&record, &format!("0.{minor}.0"));
        let (b, b_change) = publish(&record, &format!("0.{minor}.1"));
        let (a_result, b_result) = tokio::join!(
            one.commit(Some(&revision), &a_change, &a),
            two.commit(Some(&revision), &b_change, &b)
        );
        (record, revision) = match (a_result, b_result) {
            (Ok(revision), Err(IndexError::Conflict { .. })) => (a, revision),
            (Err(IndexError::Conflict { .. }), Ok(revision)) => (b, revision),
            results => panic!("{results:?}"),
        };
        for index in [&one, &two] {
            let stored = index.load(&name, None).await.unwrap().found().unwrap();
            assert_eq!((&stored.record, &stored.revision), (&record, &revision));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_made_by_two_handles_have_ids_of_their_own() {
    let folder = folder();
    let (one, two) = (database(&folder).tokens(), database(&folder).tokens());
    let mut tasks = Vec::new();
    for number in 0..20 {
        for tokens in [one.clone(), two.clone()] {
            let login = Login::new(&format!("user-{number}")).unwrap();
            let token = Token::generate().unwrap();
            tasks.push(tokio::spawn(async move {
                let new = NewToken::new(&login, &token.digest(), Timestamp(1_709_208_000));
                let created = tokens.create(&new).await.unwrap();
                assert_eq!(tokens.find(&token.digest()).await.unwrap(), Some(created.clone()));
                created.user
            }));
        }
    }
    let mut users = Vec::new();
    for task in tasks {
        users.push(task.await.unwrap());
    }
    users.sort_by_key(|user| user.id);
    users.dedup();
    assert_eq!(users.iter().map(|user| user.id).collect::<Vec<_>>(), Vec::from_iter(1..=20));
}

#[tokio::test]
async fn a_file_of_something_else_is_refused() {
    let folder = folder();
    let path = folder.path().join("registry.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    assert!(matches!(
        SqliteDatabase::open(&path),
        Err(SqliteOpenError::Foreign { path: refused }) if refused == path
    ));
    let tables: Vec<String> = Connection::open(&path)
        .unwrap()
        .prepare("SELECT name FROM sqlite_schema")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(tables, ["other"]);
    std::fs::write(&path, "not a database at all").unwrap();
    assert!(matches!(SqliteDatabase::open(&path), Err(SqliteOpenError::Sqlite { .. })));
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused() {
    let folder = folder();
    let path = folder.path().join("registry.sqlite");
    drop(SqliteDatabase::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 1000).unwrap();
    let error = SqliteDatabase::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` has schema version 1000, this version reads up to 6", path.display())
    );
}

#[tokio::test]
async fn many_may_open_a_new_file_at_once() {
    let folder = folder();
    let path = Arc::new(folder.path().join("a/b/registry.sqlite"));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || SqliteDatabase::open(path.as_path()).unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().index("main").ready().await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let path = folder.path().join("a/b/registry.sqlite");
    let database = SqliteDatabase::open(&path).unwrap();
    let (record, change) = first("foo", "0.1.0");
    database.index("main").commit(None, &change, &record).await.unwrap();
    let mode = |path: &str| {
        std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("a"), mode("a/b")), (0o700, 0o700));
    for file in ["registry.sqlite", "registry.sqlite-wal", "registry.sqlite-shm"] {
        assert_eq!(mode(&format!("a/b/{file}")), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_search_ranks_as_the_one_in_memory_does() {
    let folder = folder();
    let sqlite = database(&folder).index("main");
    let memory = MemoryIndex::new();
    let say = |description: &str, keywords: &[&str]| About {
        description: Some(description.into()),
        keywords: keywords.iter().map(ToString::to_string).collect(),
        ..About::default()
    };
    let mut records = vec![
        about("serde", "1.0.0", say("A serialization framework", &["serde"])),
        about("serde-json", "1.9.0", say("JSON for 100% of SERDE_users", &[])),
        about("Old_Serde", "0.1.0", About::default()),
        about("framework", "0.1.0", say("Größe\0zählt", &["web framework", "_"])),
        about("tokio", "0.1.0-rc.1", say("An event loop, not a serde", &["async", "fast"])),
    ];
    let (gone, _) = first("serde_gone", "1.0.0");
    records.push(set_yanked(&gone, "1.0.0", true));
    for (record, change) in &records {
        sqlite.commit(None, change, record).await.unwrap();
        memory.commit(None, change, record).await.unwrap();
    }
    for text in [
        "",
        "serde",
        "Serde-JSON",
        "serde json",
        "framework",
        "web framework",
        "framework web",
        "GRÖSSE",
        "größe",
        "%",
        "_",
        "-",
        "100%",
        "a b",
        "fast event",
        "nothing",
        "\0",
        "e\0z",
        "serde nothing",
        "\"",
        "'",
        "\\",
        "[",
        "loop,",
        "an-event",
        "rust\u{2003}serde",
        "users framework",
        "s",
        "old-s",
        "async ser",
    ] {
        for (offset, limit) in [(0, 100), (0, 2), (2, 2), (50, 1)] {
            let query = SearchQuery::new(text, offset, NonZeroUsize::new(limit).unwrap()).unwrap();
            assert_eq!(
                sqlite.search(&query).await.unwrap(),
                memory.search(&query).await.unwrap(),
                "{query:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_search_stays_in_its_registry() {
    let folder = folder();
    let database = database(&folder);
    let say = |text: &str| About { description: Some(text.into()), ..About::default() };
    for (registry, name) in [("a", "one"), ("b", "two"), ("a", "three"), ("c", "one")] {
        let (record, change) = about(name, "1.0.0", say("json of 1"));
        database.index(registry).commit(None, &change, &record).await.unwrap();
    }
    for (registry, text, expected) in [
        ("a", "", vec!["one", "three"]),
        ("a", "json", vec!["one", "three"]),
        ("b", "json", vec!["two"]),
        ("b", "one", vec![]),
        ("c", "o", vec!["one"]),
        ("d", "json", vec![]),
        ("d", "", vec![]),
        // No number of a registry, nor its character, is a word.
        ("a", "2", vec![]),
        ("a", "\u{f0001}json", vec!["one", "three"]),
        ("b", "\u{f0001}one", vec![]),
    ] {
        let query = SearchQuery::new(text, 0, NonZeroUsize::MIN.saturating_add(9)).unwrap();
        let page = database.index(registry).search(&query).await.unwrap();
        let found: Vec<_> = page.crates.iter().map(|found| found.name.as_str()).collect();
        assert_eq!((found, page.total), (expected.clone(), expected.len()), "{registry} {text:?}");
    }
}

#[tokio::test]
async fn many_crates_found_by_words_are_in_the_order_of_their_names() {
    const CRATES: usize = 12_000;
    let folder = folder();
    let index = database(&folder).index("main");
    // Beside the library, because a commit of each would take a disk some minutes. Every second
    // one has the word; the names are in another order than the rows.
    Connection::open(folder.path().join("registry.sqlite"))
        .unwrap()
        .execute_batch(&format!(
            r#"
            WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {CRATES})
            INSERT INTO crate
                (registry, canonical, name, revision, etag, owners, about, max_version, words)
            SELECT
                'main', name, name, 1, '', '', '{{}}', '1.0.0',
                replace(name, '_', ' ') || iif(i % 2 = 0, ' word', ' other')
            FROM (SELECT i, printf('c_%05d', i * 7919 % {CRATES}) AS name FROM n);
            "#
        ))
        .unwrap();
    let (named, change) = first("word-a", "1.0.0");
    index.commit(None, &change, &named).await.unwrap();
    let mut expected: Vec<String> =
        (0..CRATES).step_by(2).map(|i| format!("c_{:05}", i * 7919 % CRATES)).collect();
    expected.sort();
    expected.insert(0, "word-a".into());
    for (offset, limit) in [(0, 1), (0, 3), (1, 2), (5_990, 100), (6_000, 1), (6_001, 1)] {
        let limit = NonZeroUsize::new(limit).unwrap();
        let page = index.search(&SearchQuery::new("wor", offset, limit).unwrap()).await.unwrap();
        let found: Vec<_> = page.crates.iter().map(|found| found.name.as_str()).collect();
        let expected: Vec<_> = expected.iter().skip(offset).take(limit.get()).collect();
        assert_eq!((found, page.total), (expected.iter().map(|n| n.as_str()).collect(), 6_001));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_state_of_what_is_written_meanwhile() {
    let folder = folder();
    let database = database(&folder);
    let index = database.index("main");
    let (stop, path) = (Arc::new(AtomicBool::new(false)), folder.path().join("backup.sqlite"));
    let writing = tokio::spawn({
        let (index, stop) = (index.clone(), stop.clone());
        async move {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) || written < 100 {
                let (record, change) = first(&format!("c{written:06}"), "1.0.0");
                index.commit(None, &change, &record).await.unwrap();
                written += 1;
            }
            written
        }
    });
    while index.names(None, NonZeroUsize::MAX).await.unwrap().len() < 10 {}
    database.backup(&path).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();

    let backup = SqliteDatabase::open(&path).unwrap();
    backup.check().await.unwrap();
    let index = backup.index("main");
    let names = index.names(None, NonZeroUsize::MAX).await.unwrap();
    assert!((10..=written).contains(&names.len()), "{} of {written}", names.len());
    for (number, found) in names.iter().enumerate() {
        assert_eq!(found.as_str(), format!("c{number:06}"));
        let record = index.load(found, None).await.unwrap().found().unwrap().record;
        assert_eq!(record, first(found.as_str(), "1.0.0").0);
    }
    let query = SearchQuery::new("c", 0, NonZeroUsize::MIN).unwrap();
    assert_eq!(index.search(&query).await.unwrap().total, names.len());
    let (record, change) = first("later", "1.0.0");
    index.commit(None, &change, &record).await.unwrap();
}

#[tokio::test]
async fn a_backup_replaces_nothing_and_leaves_nothing_behind() {
    let folder = folder();
    let database = database(&folder);
    let path = folder.path().join("backup.sqlite");
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(
        database.backup(&path).await,
        Err(SqliteBackupError::Exists { path: refused }) if refused == path
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    std::fs::remove_file(&path).unwrap();
    let nowhere = folder.path().join("nowhere/backup.sqlite");
    assert!(matches!(
        database.backup(&nowhere).await,
        Err(SqliteBackupError::Write { path, source })
            if path == nowhere && source.kind() == std::io::ErrorKind::NotFound
    ));
    database.backup(&path).await.unwrap();
    let mut files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    files.sort();
    assert_eq!(files, ["backup.sqlite", "registry.sqlite"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn the_generation_changes_with_every_commit_and_stays_without() {
    let folder = folder();
    let (other, database) = (database(&folder), database(&folder));
    let mut seen = vec![database.generation().unwrap()];
    for (number, writer) in [&database, &other, &database].into_iter().enumerate() {
        let (record, change) = first(&format!("foo{number}"), "0.1.0");
        let index = writer.index("main");
        index.commit(None, &change, &record).await.unwrap();
        let generation = database.generation().unwrap();
        assert!(!seen.contains(&generation));
        seen.push(generation);
        // Neither a reader nor who is refused.
        index.load(&record.name().canonical(), None).await.unwrap();
        index.commit(None, &change, &record).await.unwrap_err();
        assert_eq!(database.clone().generation(), Some(generation));
    }
    #[cfg(unix)]
    {
        let (here, away) = ("registry.sqlite", "away.sqlite");
        let path = |file: &str| folder.path().join(file);
        std::fs::rename(path(here), path(away)).unwrap();
        // Within a millisecond.
        assert!((0..10_000_000).any(|_| database.generation().is_none()));
        assert_eq!(database.generation(), None);
        std::fs::copy(path(away), path(here)).unwrap();
        assert_eq!(database.generation(), None);
        std::fs::rename(path(away), path(here)).unwrap();
        // Nothing is known of what happened meanwhile.
        assert!(!seen.contains(&database.generation().unwrap()));
    }
}

#[tokio::test]
async fn damage_is_an_error_and_no_answer() {
    let folder = folder();
    let database = database(&folder);
    let index = database.index("main");
    let (record, change) = first("foo", "0.1.0");
    index.commit(None, &change, &record).await.unwrap();
    database.check().await.unwrap();
    let direct = Connection::open(folder.path().join("registry.sqlite")).unwrap();
    direct.execute("UPDATE release SET state = 'yanked'", []).unwrap();
    let name = record.name().canonical();
    assert!(matches!(index.load(&name, None).await, Err(IndexError::Backend { .. })));
    direct.execute("UPDATE release SET state = 'published'", []).unwrap();
    assert_eq!(index.load(&name, None).await.unwrap().found().unwrap().record, record);
}

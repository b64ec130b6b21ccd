use std::{
    error::Error,
    sync::mpsc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::join_all};
use tempfile::TempDir;

use super::*;

fn pool(folder: &TempDir) -> Arc<Pool> {
    let path = folder.path().join("registry.sqlite");
    let connection = schema::open(&path).unwrap();
    Arc::new(Pool::new(path, connection).unwrap())
}

fn insert(transaction: &Transaction<'_>, login: &str) -> Result<(), BoxError> {
    transaction.execute("INSERT INTO user (login) VALUES (?1)", [login])?;
    Ok(())
}

async fn logins(pool: &Arc<Pool>) -> Vec<String> {
    let logins = pool.read(|transaction| {
        let mut query = transaction.prepare("SELECT login FROM user ORDER BY id")?;
        let logins = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(logins)
    });
    logins.await.unwrap()
}

#[tokio::test]
async fn however_many_reads_take_long_others_do_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let read_long = |_| {
        // Ends, too, if the test fails before it has said so.
        let (end, ended) = mpsc::channel::<()>();
        let work = move |_: &Transaction<'_>| Ok(ended.recv().is_err());
        let pool = pool.clone();
        (end, async move { pool.read_long(work).await }.boxed())
    };
    let (ends, mut long): (Vec<_>, Vec<_>) = (0..READERS).map(read_long).unzip();
    assert!(long.iter_mut().all(|read| read.now_or_never().is_none()));
    let others = tokio::time::timeout(Duration::from_secs(60), logins(&pool)).await;
    assert_eq!(others, Ok(vec![]));
    drop(ends);
    assert!(join_all(long).await.into_iter().all(|ended| ended.unwrap()));
}

#[tokio::test]
async fn every_connection_is_set_up_to_be_safe() {
    fn settings(transaction: &Transaction<'_>) -> Result<Vec<(&'static str, String)>, BoxError> {
        let names = [
            "journal_mode",
            "synchronous",
            "fullfsync",
            "checkpoint_fullfsync",
            "foreign_keys",
            "trusted_schema",
            "cell_size_check",
            "mmap_size",
            "busy_timeout",
            "query_only",
        ];
        let mut settings = Vec::new();
        for name in names {
            let mut value = String::new();
            transaction.pragma_query(None, name, |row| {
                value = match row.get_ref(0)? {
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    other => other.as_str()?.to_owned(),
                };
                Ok(())
            })?;
            settings.push((name, value));
        }
        Ok(settings)
    }
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let expected = |query_only: &str| {
        [
            ("journal_mode", "wal"),
            // FULL
            ("synchronous", "2"),
            ("fullfsync", "1"),
            ("checkpoint_fullfsync", "1"),
            ("foreign_keys", "1"),
            ("trusted_schema", "0"),
            ("cell_size_check", "1"),
            ("mmap_size", "0"),
            ("busy_timeout", "5000"),
            ("query_only", query_only),
        ]
        .map(|(name, value)| (name, value.to_owned()))
    };
    assert_eq!(pool.read(settings).await.unwrap(), expected("1"));
    assert_eq!(pool.write(settings).await.unwrap(), expected("0"));
}

#[tokio::test]
async fn a_read_sees_one_state_and_waits_for_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let (written, go_on) = std::sync::mpsc::channel();
    let (seen, has_seen) = tokio::sync::oneshot::channel();
    let reading = pool.read(move |transaction| {
        let count =
            || transaction.query_row("SELECT count(*) FROM user", [], |row| row.get::<_, i64>(0));
        let before = count()?;
        let _ = seen.send(());
        go_on.recv()?;
        Ok((before, count()?))
    });
    let writing = async {
        has_seen.await.unwrap();
        pool.write(|transaction| insert(transaction, "alice")).await.unwrap();
        written.send(()).unwrap();
    };
    let (counts, ()) = tokio::join!(reading, writing);
    assert_eq!(counts.unwrap(), (0, 0));
    assert_eq!(logins(&pool).await, ["alice"]);
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing_and_the_next_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let written = pool.write(|transaction| {
        insert(transaction, "bob")?;
        Err::<(), _>("no".into())
    });
    assert!(matches!(written.await, Err(WriteError::Failed(error)) if error.to_string() == "no"));
    pool.write(|transaction| insert(transaction, "alice")).await.unwrap();
    assert_eq!(logins(&pool).await, ["alice"]);
}

#[tokio::test]
async fn a_panic_leaves_nothing_and_the_next_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let written = pool.write(|transaction| -> Result<(), _> {
        insert(transaction, "bob")?;
        panic!("on purpose");
    });
    assert!(matches!(written.await, Err(WriteError::Unknown(_))));
    for _ in 0..=READERS {
        let read = pool.read(|_| -> Result<(), _> { panic!("on purpose") });
        assert!(read.await.is_err());
    }
    pool.write(|transaction| insert(transaction, "alice")).await.unwrap();
    assert_eq!(logins(&pool).await, ["alice"]);
}

#[tokio::test]
async fn a_full_database_says_so_and_the_next_write_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let written = pool.write(|transaction| {
        // No page more than there are.
        transaction.pragma_update_and_check(None, "max_page_count", 1, |_| Ok(()))?;
        for number in 0..1_000 {
            insert(transaction, &format!("user-{number}"))?;
        }
        Ok(())
    });
    assert!(matches!(written.await, Err(WriteError::Full(_))));
    pool.write(|transaction| insert(transaction, "alice")).await.unwrap();
    assert_eq!(logins(&pool).await, ["alice"]);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_fails_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    pool.writer.idle()[0].busy_timeout(Duration::from_millis(10)).unwrap();
    let other = schema::connect(&pool.path, Access::Write).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let written = pool.write(|transaction| insert(transaction, "bob"));
    assert!(matches!(written.await, Err(WriteError::Failed(_))));
    assert_eq!(logins(&pool).await, Vec::<String>::new());
    other.execute_batch("ROLLBACK").unwrap();
    pool.write(|transaction| insert(transaction, "alice")).await.unwrap();
    assert_eq!(logins(&pool).await, ["alice"]);
}

#[test]
fn the_generation_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    // A lock that lets nobody in while a log is made good has no other connection beside it.
    pool.writer.idle().clear();
    let other = schema::connect(&pool.path, Access::Write).unwrap();
    other.execute_batch("PRAGMA locking_mode = exclusive; BEGIN IMMEDIATE").unwrap();
    let asked = Instant::now();
    assert_eq!(pool.generation(), None);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    drop(other);
    assert!(pool.generation().is_some());
}

#[tokio::test]
async fn a_write_that_has_begun_ends_though_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let _ = pool.write(|transaction| insert(transaction, "alice")).now_or_never();
    // Waits for its turn behind the one that was abandoned.
    pool.write(|transaction| insert(transaction, "bob")).await.unwrap();
    assert_eq!(logins(&pool).await, ["alice", "bob"]);
}

#[test]
fn only_an_error_at_commit_that_may_come_after_it_is_unknown() {
    let error = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    use rusqlite::ffi;
    assert!(matches!(at_commit(error(ffi::SQLITE_FULL)), WriteError::Full(_)));
    assert!(matches!(at_commit(error(ffi::SQLITE_BUSY)), WriteError::Failed(_)));
    assert!(matches!(at_commit(error(ffi::SQLITE_IOERR_FSYNC)), WriteError::Unknown(_)));
    assert!(matches!(before_commit(error(ffi::SQLITE_FULL).into()), WriteError::Full(_)));
    assert!(matches!(before_commit(error(ffi::SQLITE_BUSY).into()), WriteError::Failed(_)));
    assert!(matches!(before_commit(error(ffi::SQLITE_IOERR_FSYNC).into()), WriteError::Failed(_)));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_was_moved_or_replaced_is_not_used_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    pool.write(|transaction| insert(transaction, "alice")).await.unwrap();
    assert_eq!(logins(&pool).await, ["alice"]);
    let (here, away) = (pool.path.clone(), folder.path().join("away.sqlite"));
    let assert_refused = async || {
        let read = pool.read(|_| Ok(())).await;
        assert!(read.is_err_and(|error| error.is::<Replaced>()));
        let written = pool.write(|transaction| insert(transaction, "bob")).await;
        let Err(WriteError::Failed(error)) = written else { panic!("{written:?}") };
        assert!(error.downcast_ref::<Arc<dyn Error + Send + Sync>>().unwrap().is::<Replaced>());
    };

    std::fs::rename(&here, &away).unwrap();
    assert_refused().await;
    std::fs::copy(&away, &here).unwrap();
    assert_refused().await;

    std::fs::rename(&away, &here).unwrap();
    pool.write(|transaction| insert(transaction, "carol")).await.unwrap();
    assert_eq!(logins(&pool).await, ["alice", "carol"]);
}

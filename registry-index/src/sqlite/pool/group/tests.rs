use std::sync::{
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use futures_util::FutureExt as _;
use tempfile::TempDir;

use super::{
    super::super::schema::{self, Access},
    *,
};

struct Fixture {
    pool: Arc<Pool>,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.sqlite");
        let connection = schema::open(&path).unwrap();
        Self { pool: Arc::new(Pool::new(path, connection).unwrap()), folder }
    }

    /// What is committed, as another process sees it.
    fn committed(&self) -> Vec<String> {
        let path = self.folder.path().join("registry.sqlite");
        let connection = schema::connect(&path, Access::Read).unwrap();
        logins(&connection).unwrap()
    }

    /// Writes `alice`, and does not end before the others are waiting.
    async fn alice(
        &self,
        others_wait: mpsc::Receiver<()>,
        runs: Arc<AtomicUsize>,
    ) -> Result<(), WriteError> {
        let write = self.pool.write(move |transaction| {
            if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                others_wait.recv()?;
            }
            insert(transaction, "alice")
        });
        write.await
    }
}

fn insert(transaction: &Transaction<'_>, login: &str) -> Result<(), BoxError> {
    transaction.execute("INSERT INTO user (login) VALUES (?1)", [login])?;
    Ok(())
}

fn logins(connection: &rusqlite::Connection) -> Result<Vec<String>, BoxError> {
    let mut query = connection.prepare("SELECT login FROM user ORDER BY id")?;
    Ok(query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Polled last, after all the others have come.
async fn all_wait(told: mpsc::Sender<()>) {
    told.send(()).unwrap();
}

#[tokio::test]
async fn writers_that_wait_share_a_transaction_and_a_refused_one_leaves_nothing() {
    let fixture = Fixture::new();
    let (told, others_wait) = mpsc::channel();
    let refused = fixture.pool.write(|transaction| {
        insert(transaction, "bob")?;
        Err::<(), _>("no".into())
    });
    let carol = fixture.pool.write(|transaction| insert(transaction, "carol"));
    let path = fixture.folder.path().join("registry.sqlite");
    let last = fixture.pool.write(move |transaction| {
        let other = schema::connect(&path, Access::Read)?;
        Ok((logins(transaction)?, logins(&other)?))
    });
    let runs = Arc::new(AtomicUsize::new(0));
    let alice = fixture.alice(others_wait, runs.clone());
    let (alice, refused, carol, last, ()) =
        tokio::join!(alice, refused, carol, last, all_wait(told));
    alice.unwrap();
    assert!(matches!(refused, Err(WriteError::Failed(error)) if error.to_string() == "no"));
    carol.unwrap();
    let of = |logins: &[&str]| logins.iter().map(ToString::to_string).collect::<Vec<_>>();
    // In the transaction of the others, before it was committed.
    assert_eq!(last.unwrap(), (of(&["alice", "carol"]), of(&[])));
    assert_eq!(fixture.committed(), ["alice", "carol"]);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_panic_is_told_to_one_and_the_others_are_written_all_the_same() {
    let fixture = Fixture::new();
    let (told, others_wait) = mpsc::channel();
    let panicking = fixture.pool.write(|transaction| -> Result<(), _> {
        insert(transaction, "bob")?;
        panic!("on purpose");
    });
    let carol = fixture.pool.write(|transaction| insert(transaction, "carol"));
    let runs = Arc::new(AtomicUsize::new(0));
    let alice = fixture.alice(others_wait, runs.clone());
    let (alice, panicking, carol, ()) = tokio::join!(alice, panicking, carol, all_wait(told));
    assert!(matches!(panicking, Err(WriteError::Unknown(_))));
    alice.unwrap();
    carol.unwrap();
    assert_eq!(fixture.committed(), ["alice", "carol"]);
    // Once more, after the panic had taken the first time with it.
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_write_that_does_not_fit_fails_alone() {
    let fixture = Fixture::new();
    let (told, others_wait) = mpsc::channel();
    let large = fixture.pool.write(|transaction| {
        // No page more than there are; SQLite gives the whole transaction up.
        transaction.pragma_update_and_check(None, "max_page_count", 1, |_| Ok(()))?;
        for number in 0..1_000 {
            insert(transaction, &format!("user-{number}"))?;
        }
        Ok(())
    });
    let carol = fixture.pool.write(|transaction| insert(transaction, "carol"));
    let alice = fixture.alice(others_wait, Arc::default());
    let (alice, large, carol, ()) = tokio::join!(alice, large, carol, all_wait(told));
    assert!(matches!(large, Err(WriteError::Full(_))), "{large:?}");
    alice.unwrap();
    carol.unwrap();
    assert_eq!(fixture.committed(), ["alice", "carol"]);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all_and_the_next_succeeds() {
    let fixture = Fixture::new();
    let (told, others_wait) = mpsc::channel();
    let dangling = fixture.pool.write(|transaction| {
        // Looked at in the commit, and then refused.
        transaction.pragma_update(None, "defer_foreign_keys", true)?;
        transaction.execute("INSERT INTO membership VALUES (9, 9)", [])?;
        Ok(())
    });
    let alice = fixture.alice(others_wait, Arc::default());
    let (alice, dangling, ()) = tokio::join!(alice, dangling, all_wait(told));
    assert!(matches!(alice, Err(WriteError::Unknown(_))));
    assert!(matches!(dangling, Err(WriteError::Unknown(_))));
    assert_eq!(fixture.committed(), [""; 0]);
    fixture.pool.write(|transaction| insert(transaction, "bob")).await.unwrap();
    assert_eq!(fixture.committed(), ["bob"]);
}

#[tokio::test]
async fn more_writers_than_a_transaction_takes_are_all_written() {
    let fixture = Fixture::new();
    let (told, others_wait) = mpsc::channel();
    let alice = fixture.alice(others_wait, Arc::default());
    let others = futures_util::future::join_all((0..3 * MAX_JOBS).map(|number| {
        fixture.pool.write(move |transaction| insert(transaction, &format!("user-{number}")))
    }));
    let (alice, others, ()) = tokio::join!(alice, others, all_wait(told));
    alice.unwrap();
    others.into_iter().for_each(|written| written.unwrap());
    let expected = (0..3 * MAX_JOBS).map(|number| format!("user-{number}"));
    assert_eq!(fixture.committed()[1..], expected.collect::<Vec<_>>());
}

#[test]
fn a_runtime_that_is_gone_leaves_the_work_to_the_next() {
    let fixture = Fixture::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let gone = runtime();
    let handle = gone.handle().clone();
    gone.shutdown_background();
    let entered = handle.enter();
    let left = fixture.pool.write(|transaction| insert(transaction, "bob")).now_or_never();
    assert!(matches!(left, Some(Err(WriteError::Unknown(_)))));
    drop(entered);
    let carol = fixture.pool.write(|transaction| insert(transaction, "carol"));
    runtime().block_on(carol).unwrap();
    assert_eq!(fixture.committed(), ["carol"]);
}

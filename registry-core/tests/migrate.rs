//! Bringing crates over from one index to another.

mod common;

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::{
    CanonicalName, CrateRecord, Index, IndexError, IndexFile, RecordIndex, RecordStore,
    auth::{NewToken, TokenDigest, TokenKind, TokenStore as _, TokenTransfer as _},
    conformance::{
        faulty::{Fault, Faults, FaultyIndex},
        record_fixture::{
            add_owner, canonical, first, in_every_state, owner, publish, set_yanked, stamp,
        },
        run,
    },
    index::{Lookup, Revision},
    memory::{MemoryIndex, MemoryTokens},
    migrate::{CopyError, MigrateError, Migration, migrate, migrate_users},
    record::Timestamp,
};

use common::{Damage, DamagedIndex};

/// Puts a record into an index, whatever is there.
async fn put(index: &MemoryIndex, record: CrateRecord) {
    let revision = index.load(&record.name().canonical(), None).await.unwrap().found();
    let revision = revision.map(|stored| stored.revision);
    let (record, change) = record.imported(stamp());
    index.commit(revision.as_ref(), &change, &record).await.unwrap();
}

/// An index with more crates than are copied at a time.
async fn source() -> MemoryIndex {
    let index = MemoryIndex::new();
    for count in 0..30 {
        put(&index, publish(&first(&format!("crate-{count}"), "1.0.0").0, "1.1.0").0).await;
    }
    put(&index, in_every_state("States")).await;
    index
}

/// All that an index holds, and all that it serves.
async fn content(index: &dyn Index) -> BTreeMap<String, (CrateRecord, IndexFile)> {
    let all = NonZeroUsize::new(1000).unwrap();
    let mut content = BTreeMap::new();
    for name in index.names(None, all).await.unwrap() {
        let record = index.load(&name, None).await.unwrap().found().unwrap().record;
        let file = index.index_file(&name, None).await.unwrap().found().unwrap();
        content.insert(name.to_string(), (record, file));
    }
    content
}

async fn migrated(from: &MemoryIndex, to: &MemoryIndex) -> Migration {
    let (from, to) = (Arc::new(from.clone()), Arc::new(to.clone()));
    migrate(from, to, stamp(), |_| {}).await.unwrap()
}

fn counts(migration: &Migration) -> [usize; 5] {
    let Migration { crates, new, followed, same, failed, .. } = migration;
    [*crates, *new, *followed, *same, failed.len()]
}

#[test]
fn everything_comes_over_as_it_is_and_once() {
    run(async {
        let (from, to) = (source().await, MemoryIndex::new());
        let mut seen = Vec::new();
        let migration = migrate(Arc::new(from.clone()), Arc::new(to.clone()), stamp(), |so_far| {
            seen.push(so_far.done())
        });
        let migration = migration.await.unwrap();
        assert_eq!(counts(&migration), [31, 31, 0, 0, 0]);
        assert!(migration.is_complete());
        assert_eq!(seen, Vec::from_iter(1..=31));
        assert_eq!(content(&to).await, content(&from).await);

        assert_eq!(counts(&migrated(&from, &to).await), [31, 0, 0, 31, 0]);
        assert_eq!(content(&to).await, content(&from).await);
    });
}

#[test]
fn what_came_since_follows() {
    run(async {
        let (from, to) = (source().await, MemoryIndex::new());
        migrated(&from, &to).await;
        let grown = publish(&first("crate-0", "1.0.0").0, "1.1.0").0;
        put(&from, publish(&set_yanked(&grown, "1.0.0", true).0, "1.2.0").0).await;
        put(&from, add_owner(&in_every_state("States"), owner(8, "carol")).0).await;
        put(&from, first("new", "0.1.0").0).await;
        assert_eq!(counts(&migrated(&from, &to).await), [32, 1, 2, 29, 0]);
        assert_eq!(content(&to).await, content(&from).await);
    });
}

#[test]
fn a_crate_that_moved_on_in_the_target_is_left_and_told() {
    run(async {
        let (from, to) = (source().await, MemoryIndex::new());
        let ours = publish(&first("crate-7", "1.0.0").0, "2.0.0").0;
        put(&to, ours.clone()).await;
        put(&to, first("only-here", "1.0.0").0).await;
        let migration = migrated(&from, &to).await;
        assert_eq!(counts(&migration), [31, 30, 0, 0, 1]);
        assert!(!migration.is_complete());
        let failed: Vec<_> =
            migration.failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
        assert_eq!(
            failed,
            ["crate_7: version `2.0.0` of crate `crate-7` is another one, or missing, \
                 in the source"]
        );
        let here = content(&to).await;
        assert_eq!(here["crate_7"].0, ours);
        assert_eq!(here.len(), 32);
    });
}

#[test]
fn a_crate_that_cannot_be_read_holds_up_no_other() {
    run(async {
        let from = source().await;
        for (damage, reason) in [
            (Damage::Unreadable, "it cannot be read from the source"),
            (Damage::Lost, "the source does not have it any more"),
            (Damage::Another(canonical("crate-4")), "what the source has of it is crate `crate-4`"),
        ] {
            let to = MemoryIndex::new();
            let damaged = DamagedIndex::new(from.clone(), canonical("crate-3"), damage);
            let migration =
                migrate(Arc::new(damaged), Arc::new(to.clone()), stamp(), |_| {}).await.unwrap();
            assert_eq!(counts(&migration), [31, 30, 0, 0, 1]);
            let [(name, error)] = &migration.failed[..] else { panic!("{migration:?}") };
            assert_eq!((name, error.to_string().as_str()), (&canonical("crate-3"), reason));
            assert!(to.load(name, None).await.unwrap() == Lookup::Absent);
        }
    });
}

/// Never says what became of a write, and forgets it.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl RecordStore for Silent {
    async fn get(&self, _: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
        Ok(None)
    }

    async fn put(
        &self,
        name: &CanonicalName,
        _: Option<&Revision>,
        _: Bytes,
    ) -> Result<Revision, IndexError> {
        Err(IndexError::OutcomeUnknown { name: name.clone(), source: "no answer".into() })
    }

    async fn names(
        &self,
        _: Option<&CanonicalName>,
        _: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        Ok(Vec::new())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

#[test]
fn a_target_that_gives_no_answer_is_named_as_the_cause() {
    run(async {
        let from = MemoryIndex::new();
        put(&from, first("foo", "1.0.0").0).await;
        let to = Arc::new(RecordIndex::new(Silent));
        let migration = migrate(Arc::new(from), to, stamp(), |_| {}).await.unwrap();
        let [(_, CopyError::Target(IndexError::OutcomeUnknown { .. }))] = &migration.failed[..]
        else {
            panic!("{migration:?}")
        };
    });
}

#[test]
fn a_backend_that_fails_as_a_whole_ends_it() {
    run(async {
        let to: Arc<dyn Index> = Arc::new(MemoryIndex::new());
        let gone: Arc<dyn Index> = Arc::new(DamagedIndex::gone());
        let from = Arc::new(source().await);
        let error = migrate(gone.clone(), to, stamp(), |_| {}).await.unwrap_err();
        assert!(matches!(error, MigrateError::Source(_)), "{error:?}");
        let error = migrate(from, gone, stamp(), |_| {}).await.unwrap_err();
        assert!(matches!(error, MigrateError::Target(_)), "{error:?}");
    });
}

#[test]
fn users_come_with_their_tokens_but_for_those_of_ci_runs() {
    run(async {
        let (from, to) = (MemoryTokens::new(), MemoryTokens::new());
        for (user, token, kind) in [
            ("alice", "a", TokenKind::User),
            ("alice", "b", TokenKind::User),
            ("trusted-publisher:0", "c", TokenKind::TrustedPublisher),
        ] {
            let digest = TokenDigest::of(token);
            let new = NewToken::new(&user.parse().unwrap(), &digest, Timestamp(5));
            from.create(&NewToken { kind, ..new }).await.unwrap();
        }
        let mut expected = from.export().await.unwrap();
        assert_eq!(expected.iter().map(|user| user.tokens.len()).collect::<Vec<_>>(), [2, 1]);
        expected[1].tokens.clear();
        assert_eq!(migrate_users(&from, &to).await.unwrap(), 2);
        assert_eq!(to.export().await.unwrap(), expected);
    });
}

#[test]
fn a_migration_that_was_interrupted_anywhere_can_be_run_again() {
    run(async {
        let from = MemoryIndex::new();
        for count in 0..3 {
            put(&from, publish(&first(&format!("c{count}"), "1.0.0").0, "1.1.0").0).await;
        }
        let expected = content(&from).await;
        for fault in Fault::ALL {
            for call in 0.. {
                let (to, faults) = (MemoryIndex::new(), Faults::none());
                let target = Arc::new(FaultyIndex::new(to.clone(), faults.clone()));
                faults.arm(call, fault);
                let first = migrate(Arc::new(from.clone()), target, stamp(), |_| {});
                let _ = faults.run(first).await;
                if !faults.struck() {
                    assert!(call >= 12, "a load, a commit, a load and a look for each crate");
                    break;
                }
                assert!(migrated(&from, &to).await.is_complete(), "{fault:?} at {call}");
                assert_eq!(content(&to).await, expected, "{fault:?} at {call}");
            }
        }
    });
}

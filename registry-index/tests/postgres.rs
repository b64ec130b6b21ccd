//! What is particular to PostgreSQL: its schema, its rows, and connections that are lost.
#![cfg(feature = "postgres")]

#[path = "common/cutting_proxy.rs"]
mod cutting_proxy;
#[path = "common/postgres.rs"]
mod server;

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use registry_core::{
    CrateRecord, Index, IndexError, IndexLine, Login, Registry, RegistryConfig,
    auth::{
        AllowAll, Caller, NewToken, Principal, Scopes, TokenDigest, TokenKind, TokenRecord,
        TokenStore, Vouched,
    },
    conformance::{
        fixture::publish_body,
        record_fixture::{
            about, add_owner, alice, canonical, first, name, owner, publish, set_yanked, stamp,
        },
        run, service,
    },
    index::Lookup,
    memory::MemoryCrateStore,
    record::{Origin, ReleaseRecord, ReleaseState, Timestamp},
    search::{Search, SearchQuery},
};
use registry_index::postgres::{PostgresDatabase, PostgresIndex, PostgresOpenError};
use tokio::sync::mpsc;

use self::{cutting_proxy::CuttingProxy, server::Schema};

/// Runs a test in a schema of its own, if there is a server.
fn test(test: impl AsyncFnOnce(Schema)) {
    let Some(service) = service("REGISTRY_TEST_POSTGRES") else { return };
    run(async { test(Schema::fresh(service).await).await });
}

async fn stored(index: &PostgresIndex, name: &str) -> CrateRecord {
    index.load(&canonical(name), None).await.unwrap().found().unwrap().record
}

#[test]
fn many_may_make_the_tables_at_once() {
    test(async |schema| {
        let databases = join_all((0..10).map(|_| schema.open())).await;
        for (number, database) in databases.iter().enumerate() {
            let (record, change) = first(&format!("crate-{number}"), "1.0.0");
            database.index("main").commit(None, &change, &record).await.unwrap();
        }
        let names = databases[0].index("main").names(None, NonZeroUsize::MAX).await.unwrap();
        assert_eq!(names.len(), 10);
    });
}

/// Each earlier schema, by what made it and rows as its version wrote them.
const SCHEMAS: [(&[&str], &str); 1] =
    [(&[include_str!("../src/postgres/migrations/1.sql")], include_str!("postgres_schemas/1.sql"))];

#[test]
fn every_earlier_schema_is_brought_up_to_date() {
    for (number, (migrations, rows)) in (1..).zip(SCHEMAS) {
        test(async |schema| {
            let client = schema.client().await;
            for migration in migrations {
                client.batch_execute(migration).await.unwrap();
            }
            client.batch_execute(rows).await.unwrap();
            let version = "UPDATE registry_schema SET version = $1";
            client.execute(version, &[&number]).await.unwrap();

            let database = schema.open().await;
            let index = database.index("main");
            let line = |version: &str, digit: &str, yanked: bool| {
                let text = format!(
                    r#"{{"name":"Foo-Bar","vers":"{version}","deps":[],"cksum":"{}","features":{{}},"yanked":{yanked}}}"#,
                    digit.repeat(64)
                );
                IndexLine::parse(Bytes::from(text)).unwrap()
            };
            let release = |line, size, at, state| {
                let published_at = Timestamp(at);
                let published_by = alice().login;
                Arc::new(ReleaseRecord { line, size, published_at, published_by, state })
            };
            let expected = CrateRecord::from_parts(
                name("Foo-Bar"),
                [alice()].into_iter().collect(),
                about("Fast thing"),
                vec![
                    release(line("1.0.0", "0", true), 10, 1_709_208_000, ReleaseState::Yanked),
                    release(
                        line("1.1.0+b", "1", false),
                        11,
                        1_709_208_001,
                        ReleaseState::Published,
                    ),
                ],
            );
            let found = index.load(&canonical("foo-bar"), None).await.unwrap().found().unwrap();
            assert_eq!(found.record, expected.unwrap());
            let query = SearchQuery::new("thi fas", 0, NonZeroUsize::MIN).unwrap();
            let page = index.search(&query).await.unwrap();
            assert_eq!(page.crates[0].name, name("Foo-Bar"));
            let token = database.tokens().find(&TokenDigest::of("secret")).await.unwrap().unwrap();
            let expected = TokenRecord {
                id: token.id,
                user: alice(),
                name: String::new(),
                kind: TokenKind::User,
                scopes: Scopes::all_but_admin(),
                vouched: Vouched::default(),
                created_at: Timestamp(1_709_208_000),
                expires_at: None,
                last_used_at: None,
                revoked_at: None,
            };
            assert_eq!(token, expected);
            let (next, change) = publish(&found.record, "2.0.0");
            index.commit(Some(&found.revision), &change, &next).await.unwrap();
            assert_eq!(stored(&index, "foo-bar").await, next);
        });
    }
}

#[test]
fn a_schema_of_a_later_version_is_refused() {
    test(async |schema| {
        drop(schema.open().await);
        let later = "UPDATE registry_schema SET version = 1000";
        schema.client().await.batch_execute(later).await.unwrap();
        let error = PostgresDatabase::connect(&schema.url()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the PostgreSQL database has schema version 1000, this version reads up to 5"
        );
    });
}

#[test]
fn a_database_that_may_lose_writes_is_refused() {
    test(async |schema| {
        let url = format!("{}%20-csynchronous_commit%3Doff", schema.url());
        let error = PostgresDatabase::connect(&url).await.unwrap_err();
        assert!(matches!(error, PostgresOpenError::NotDurable), "{error:?}");
    });
}

#[test]
fn a_database_of_another_encoding_is_refused() {
    test(async |schema| {
        let client = schema.client().await;
        let name = format!("test_{:016x}", getrandom::u64().unwrap());
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' \
             LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        client.batch_execute(&create).await.unwrap();
        let url = schema.url();
        let (server, rest) = url.split_once('?').unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        let opened = PostgresDatabase::connect(&format!("{server}/{name}?{rest}")).await;
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        client.batch_execute(&drop).await.unwrap();
        match opened {
            Err(PostgresOpenError::Encoding { found }) => assert_eq!(found, "LATIN1"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn registries_in_one_database_do_not_see_each_other() {
    test(async |schema| {
        let database = schema.open().await;
        let (a, b, c) = (database.index("a"), database.index("b"), database.index("c"));
        let ((record, change), (other, other_change)) =
            (first("foo", "0.1.0"), first("Foo", "2.0.0"));
        a.commit(None, &change, &record).await.unwrap();
        b.commit(None, &other_change, &other).await.unwrap();
        assert_eq!((stored(&a, "foo").await, stored(&b, "foo").await), (record, other));
        assert_eq!(c.load(&canonical("foo"), None).await.unwrap(), Lookup::Absent);
        assert_eq!(a.names(None, NonZeroUsize::MAX).await.unwrap(), [canonical("foo")]);
        assert_eq!(c.names(None, NonZeroUsize::MAX).await.unwrap(), []);
        for text in ["foo", ""] {
            let query = SearchQuery::new(text, 0, NonZeroUsize::MIN).unwrap();
            assert_eq!(a.search(&query).await.unwrap().total, 1);
            assert_eq!(c.search(&query).await.unwrap().total, 0);
        }
    });
}

#[test]
fn a_commit_writes_the_rows_that_differ() {
    test(async |schema| {
        let index = schema.open().await.index("main");
        let client = schema.client().await;
        // Where a row is says whether it was written: an update puts it elsewhere.
        let rows = async || {
            let query = "SELECT version, ctid::text FROM release ORDER BY position";
            let rows = client.query(query, &[]).await.unwrap();
            let row =
                |row: &tokio_postgres::Row| (row.get::<_, String>(0), row.get::<_, String>(1));
            rows.iter().map(row).collect::<Vec<_>>()
        };
        let (mut record, mut change) = first("foo", "0.0.0");
        for patch in 1..20 {
            (record, change) = publish(&record, &format!("0.0.{patch}"));
        }
        let mut revision = index.commit(None, &change, &record).await.unwrap();
        let words = async || {
            let query = "SELECT ctid::text FROM crate_words";
            client.query_one(query, &[]).await.unwrap().get::<_, String>(0)
        };
        let (imported, words_of_all) = (rows().await, words().await);
        assert_eq!(imported.len(), 20);

        (record, change) = publish(&record, "0.1.0");
        revision = index.commit(Some(&revision), &change, &record).await.unwrap();
        let published = rows().await;
        assert_eq!(published[..20], imported);
        assert_eq!(published[20].0, "0.1.0");

        (record, change) = set_yanked(&record, "0.0.7", true);
        revision = index.commit(Some(&revision), &change, &record).await.unwrap();
        let yanked = rows().await;
        let differing: Vec<usize> = (0..21).filter(|&at| yanked[at] != published[at]).collect();
        assert_eq!(differing, [7]);

        (record, change) = add_owner(&record, owner(2, "bob"));
        revision = index.commit(Some(&revision), &change, &record).await.unwrap();
        assert_eq!(rows().await, yanked);

        // From elsewhere, with one more release and another state of one.
        let (source, _) = publish(&record, "0.2.0");
        let (source, _) = set_yanked(&source, "0.0.9", true);
        (record, change) = record.follow(&source, stamp()).unwrap().unwrap();
        index.commit(Some(&revision), &change, &record).await.unwrap();
        let followed = rows().await;
        let differing: Vec<usize> = (0..21).filter(|&at| followed[at] != yanked[at]).collect();
        assert_eq!((differing, followed.len()), (vec![9], 22));
        assert_eq!(words().await, words_of_all);
        assert_eq!(stored(&index, "foo").await, record);
    });
}

#[test]
fn who_has_a_record_is_sent_its_revision_alone() {
    test(async |schema| {
        let index = schema.open().await.index("main");
        let (record, change) = first("foo", "0.1.0");
        let revision = index.commit(None, &change, &record).await.unwrap();
        let load = include_str!("../src/postgres/sql/load.sql");
        let client = schema.client().await;
        let texts = async |known: Option<i64>| {
            let rows = client.query(load, &[&"main", &"foo", &known]).await.unwrap();
            let texts = [2, 3, 4].map(|column| rows[0].get::<_, Option<&str>>(column).is_some());
            (rows.len(), texts)
        };
        assert_eq!(texts(None).await, (1, [true; 3]));
        assert_eq!(texts(revision.as_str().parse().ok()).await, (1, [false; 3]));
    });
}

#[test]
fn what_the_server_refuses_was_not_written() {
    test(async |schema| {
        let index = schema.open().await.index("main");
        let (record, change) = first("foo", "0.1.0");
        let revision = index.commit(None, &change, &record).await.unwrap();
        let (next, change) = publish(&record, "0.2.0");
        for (code, is_full) in [("53100", true), ("58030", false)] {
            let refuse = format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE 'refused' USING ERRCODE = '{code}'; END $$;
                 CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON release
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
            );
            let client = schema.client().await;
            client.batch_execute(&refuse).await.unwrap();
            // Deferred: it strikes at the commit, behind the answer to the statement.
            let error = index.commit(Some(&revision), &change, &next).await.unwrap_err();
            match error {
                IndexError::Full { backend: "postgres", .. } if is_full => {}
                IndexError::Backend { backend: "postgres", .. } if !is_full => {}
                error => panic!("{error:?} for {code}"),
            }
            assert_eq!(stored(&index, "foo").await, record);
            client.batch_execute("DROP FUNCTION refuse CASCADE").await.unwrap();
        }
        index.commit(Some(&revision), &change, &next).await.unwrap();
        assert_eq!(stored(&index, "foo").await, next);
    });
}

#[test]
fn ended_connections_are_replaced() {
    test(async |schema| {
        let database = schema.open().await;
        let (index, tokens) = (database.index("main"), database.tokens());
        let (mut record, change) = first("foo", "0.0.0");
        index.commit(None, &change, &record).await.unwrap();
        tokens.create(&new_token(&alice().login, "secret")).await.unwrap();
        for patch in 1..=5 {
            // Many, so that there are many to be found ended.
            let loads = (0..20).map(|_| stored(&index, "foo"));
            assert_eq!(join_all(loads).await, vec![record.clone(); 20]);
            schema.end_connections().await;
            let found = index.load(&canonical("foo"), None).await.unwrap().found().unwrap();
            assert_eq!(found.record, record);
            let (next, change) = publish(&record, &format!("0.0.{patch}"));
            match index.commit(Some(&found.revision), &change, &next).await {
                Ok(_) => {}
                // Another connection, of which this was the first to hear.
                Err(IndexError::OutcomeUnknown { .. }) => {
                    let found = index.load(&canonical("foo"), None).await.unwrap().found().unwrap();
                    assert_eq!(found.record, record);
                    index.commit(Some(&found.revision), &change, &next).await.unwrap();
                }
                Err(error) => panic!("{error:?}"),
            }
            schema.end_connections().await;
            assert!(tokens.find(&TokenDigest::of("secret")).await.unwrap().is_some());
            record = next;
        }
    });
}

#[test]
fn a_commit_whose_answer_is_lost_is_unknown() {
    test(async |schema| {
        let proxy = CuttingProxy::start(&schema.url()).await;
        let database = PostgresDatabase::connect(&proxy.url).await.unwrap();
        let index = database.index("main");
        let (record, change) = first("foo", "0.1.0");
        let revision = index.commit(None, &change, &record).await.unwrap();
        let (next, change) = publish(&record, "0.2.0");
        proxy.cut_the_answer_to(r#""vers":"0.2.0""#);
        let error = index.commit(Some(&revision), &change, &next).await.unwrap_err();
        assert!(
            matches!(&error, IndexError::OutcomeUnknown { name, .. } if *name == canonical("foo")),
            "{error:?}"
        );
        assert_eq!(stored(&index, "foo").await, next);
        assert_eq!(proxy.cuts(), 1);
    });
}

/// On one thread, because the clock of a runtime can be moved on there.
#[test]
fn a_connection_that_owes_an_answer_is_not_used_again() {
    let Some(service) = service("REGISTRY_TEST_POSTGRES") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let schema = Schema::fresh(service).await;
        let proxy = CuttingProxy::start(&schema.url()).await;
        let index = PostgresDatabase::connect(&proxy.url).await.unwrap().index("main");
        let (record, change) = first("foo", "0.1.0");
        let revision = index.commit(None, &change, &record).await.unwrap();
        let (next, change) = publish(&record, "0.2.0");
        proxy.keep_the_answer_to(r#""vers":"0.2.0""#);
        let lose_patience = async {
            proxy.has_kept().await;
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(60)).await;
            tokio::time::resume();
        };
        let commit = index.commit(Some(&revision), &change, &next);
        let (committed, ()) = tokio::join!(commit, lose_patience);
        assert!(matches!(committed, Err(IndexError::OutcomeUnknown { .. })), "{committed:?}");
        for _ in 0..PostgresDatabase::DEFAULT_CONNECTIONS.get() {
            assert_eq!(stored(&index, "foo").await, next);
        }
    });
}

#[test]
fn a_publish_whose_answer_is_lost_ends_well() {
    test(async |schema| {
        let proxy = CuttingProxy::start(&schema.url()).await;
        let database = PostgresDatabase::connect(&proxy.url).await.unwrap();
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let registry = Registry::builder(config, database.index("main"), MemoryCrateStore::new())
            .authorizer(AllowAll)
            .build();
        let anyone = || Caller::from(Principal::from(alice()));
        let publish = async |version: &str| {
            let mut publish = registry.begin_publish(anyone(), None).await.unwrap();
            publish.write(&publish_body("foo", version)).await.unwrap();
            publish.finish().await
        };
        for (cuts, version) in (1..).zip(["1.0.0", "1.1.0", "1.2.0"]) {
            proxy.cut_the_answer_to(&format!(r#""vers":"{version}""#));
            publish(version).await.unwrap();
            assert_eq!(proxy.cuts(), cuts);
        }
        let record = stored(&database.index("main"), "foo").await;
        let versions: Vec<_> = record.releases().iter().map(|r| r.version().to_string()).collect();
        assert_eq!(versions, ["1.0.0", "1.1.0", "1.2.0"]);
        assert_eq!(registry.verify().await.unwrap(), []);
    });
}

#[test]
fn commits_are_heard_of_in_other_processes() {
    test(async |schema| {
        let (here, there) = (schema.open().await, schema.open().await);
        let registry = schema.url();
        let (heard, mut hearing) = mpsc::unbounded_channel();
        let listener = there.listen(&registry, move |name| {
            heard.send(name.map(|name| name.as_str().to_owned())).unwrap();
        });
        assert_eq!(hearing.recv().await, Some(None));
        let index = here.index(&registry);
        let (foo, change) = first("Foo-1", "0.1.0");
        let (other, other_change) = first("other", "0.1.0");
        // Those of another registry, or that did not take place, are not told.
        here.index("elsewhere").commit(None, &other_change, &other).await.unwrap();
        let revision = index.commit(None, &change, &foo).await.unwrap();
        index.commit(None, &change, &foo).await.unwrap_err();
        assert_eq!(hearing.recv().await, Some(Some("foo_1".into())));
        let (next, change) = publish(&foo, "0.2.0");
        index.commit(Some(&revision), &change, &next).await.unwrap();
        assert_eq!(hearing.recv().await, Some(Some("foo_1".into())));

        // After each interruption anything may have changed.
        for number in 0..3 {
            schema.end_connections().await;
            assert_eq!(hearing.recv().await, Some(None));
            let (record, change) = first(&format!("crate-{number}"), "0.1.0");
            loop {
                match index.commit(None, &change, &record).await {
                    Ok(_) | Err(IndexError::Conflict { .. }) => break,
                    // On a connection that had been ended, too.
                    Err(IndexError::OutcomeUnknown { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            assert_eq!(hearing.recv().await, Some(Some(format!("crate_{number}"))));
        }
        drop(listener);
        assert_eq!(hearing.recv().await, None);
    });
}

#[test]
fn those_who_listen_to_any_registries_have_one_connection_in_common() {
    test(async |schema| {
        let (here, there) = (schema.open().await, schema.open().await);
        let client = schema.client().await;
        // Each in a schema of its own is told of all that is published in this database.
        let [one, two] = ["one", "two"].map(|name| format!("{name} {}", schema.url()));
        let (hears, mut heard) = mpsc::unbounded_channel();
        let listen = |number: u32, registry: &str| {
            let hears = hears.clone();
            there.listen(registry, move |name| {
                hears.send((number, name.map(|name| name.as_str().to_owned()))).unwrap();
            })
        };
        let listening = async || {
            let count = "SELECT count(*) FROM pg_stat_activity \
                         WHERE position(application_name in $1) > 0 AND query LIKE 'LISTEN %'";
            let row = client.query_one(count, &[&schema.url()]).await.unwrap();
            row.get::<_, i64>(0)
        };
        let publish = async |registry: &str, name: &str| {
            let (record, change) = first(name, "0.1.0");
            here.index(registry).commit(None, &change, &record).await.unwrap();
        };
        let first_of_one = listen(1, &one);
        assert_eq!(heard.recv().await, Some((1, None)));
        // They come to a connection that is there already.
        let second_of_one = listen(2, &one);
        assert_eq!(heard.recv().await, Some((2, None)));
        let of_two = listen(3, &two);
        assert_eq!(heard.recv().await, Some((3, None)));
        assert_eq!(listening().await, 1);

        publish(&two, "foo").await;
        assert_eq!(heard.recv().await, Some((3, Some("foo".into()))));
        publish(&one, "bar").await;
        let mut both = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
        both.sort_unstable();
        assert_eq!(both, [1, 2].map(|number| (number, Some("bar".into()))));

        // Whoever is left goes on hearing.
        drop(first_of_one);
        publish(&one, "baz").await;
        assert_eq!(heard.recv().await, Some((2, Some("baz".into()))));
        schema.end_connections().await;
        let mut both = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
        both.sort_unstable();
        assert_eq!(both, [(2, None), (3, None)]);
        drop((second_of_one, of_two));
        let deadline = Instant::now() + Duration::from_secs(30);
        while listening().await > 0 {
            assert!(Instant::now() < deadline, "somebody still listens");
        }
        // Whoever comes later begins anew.
        let again = listen(4, &one);
        assert_eq!(heard.recv().await, Some((4, None)));
        drop(again);
    });
}

#[test]
fn neither_nonsense_nor_a_listener_that_panics_keeps_others_from_hearing() {
    test(async |schema| {
        let (here, there) = (schema.open().await, schema.open().await);
        let (client, registry) = (schema.client().await, schema.url());
        let _panics = there.listen(&registry, |name| assert_eq!(name, None));
        let (hears, mut heard) = mpsc::unbounded_channel();
        let _listener = there.listen(&registry, move |name| {
            hears.send(name.map(|name| name.as_str().to_owned())).unwrap();
        });
        assert_eq!(heard.recv().await, Some(None));
        for payload in ["", "\n", "no line break", &format!("{registry}\nno name!")] {
            client.execute("SELECT pg_notify('registry_commit', $1)", &[&payload]).await.unwrap();
        }
        for name in ["foo", "bar"] {
            let (record, change) = first(name, "0.1.0");
            here.index(&registry).commit(None, &change, &record).await.unwrap();
            assert_eq!(heard.recv().await, Some(Some(name.into())));
        }
    });
}

/// A token of which nothing is said but whose it is.
fn new_token(login: &Login, token: &str) -> NewToken {
    NewToken::new(login, &TokenDigest::of(token), Timestamp(1_709_208_000))
}

#[test]
fn a_token_of_another_user_makes_no_user() {
    test(async |schema| {
        let tokens = schema.open().await.tokens();
        let bob = Login::new("bob").unwrap();
        tokens.create(&new_token(&alice().login, "secret")).await.unwrap();
        tokens.create(&new_token(&bob, "secret")).await.unwrap_err();
        assert_eq!(tokens.user(&bob).await.unwrap(), None);
        // Ids are not used up by users who are there.
        for number in 0..5 {
            tokens.create(&new_token(&alice().login, &format!("{number}"))).await.unwrap();
        }
        assert_eq!(tokens.create(&new_token(&bob, "other")).await.unwrap().user.id, 2);
    });
}

#[test]
fn texts_that_no_crate_has_are_looked_for() {
    test(async |schema| {
        let index = schema.open().await.index("main");
        let (record, change) = first("foo", "0.1.0");
        index.commit(None, &change, &record).await.unwrap();
        for (text, total) in [("foo\0", 1), ("\0", 0), ("'foo':* & ", 1), ("f\\oo", 0), ("!", 0)] {
            let query = SearchQuery::new(text, 0, NonZeroUsize::MIN).unwrap();
            assert_eq!(index.search(&query).await.unwrap().total, total, "{text:?}");
        }
    });
}

#[test]
fn descriptions_of_any_length_are_found_by_their_beginnings() {
    test(async |schema| {
        let index = schema.open().await.index("main");
        let long: String = "ä".repeat(5_000);
        let many: String = (0..100_000).map(|number| format!(" w{number}")).collect();
        let texts = [("long", &long, "ä".repeat(256)), ("many", &many, "w1".into())];
        for (crate_name, description, found) in texts {
            let (record, change) = CrateRecord::first(
                name(crate_name),
                alice(),
                about(description),
                registry_core::conformance::record_fixture::release(crate_name, "1.0.0"),
                Origin::default(),
            );
            index.commit(None, &change, &record).await.unwrap();
            let query = SearchQuery::new(&found, 0, NonZeroUsize::MIN).unwrap();
            let page = index.search(&query).await.unwrap();
            assert_eq!(page.crates[0].name, name(crate_name));
        }
    });
}

//! What lies where in a bucket, and what becomes of many processes that write to one object.
#![cfg(feature = "object-store")]

#[path = "common/s3.rs"]
mod s3;

use std::{collections::BTreeMap, error::Error as _, num::NonZeroUsize, sync::Arc};

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use registry_core::{
    CanonicalName, Index, IndexError, Owner,
    auth::{NewToken, TokenDigest, TokenKey, TokenRecord, TokenStore, TokenTransfer as _},
    codec,
    conformance::{
        record_fixture::{canonical, first, login, owner},
        run, service,
    },
    record::Timestamp,
};
use registry_index::object::{ObjectIndex, ObjectTokens};
use tokio::task::JoinSet;

fn new_token(login: &str, token: &str) -> NewToken {
    NewToken::new(&self::login(login), &TokenDigest::of(token), Timestamp(1_709_208_000))
}

async fn objects(store: &dyn ObjectStore) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    for object in listed {
        let content = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        objects.insert(object.location.to_string(), content.to_vec());
    }
    objects
}

#[tokio::test]
async fn everything_lies_where_the_documentation_says() {
    let store = Arc::new(InMemory::new());
    let index = ObjectIndex::open(store.clone()).await.unwrap();
    let tokens = ObjectTokens::open(store.clone()).await.unwrap();
    let (record, change) = first("Foo-Bar", "1.0.0");
    index.commit(None, &change, &record).await.unwrap();
    // As another store has left it, so that it is known what is stored under it.
    let key = TokenKey::from_bytes([7; 32]);
    tokens.add_keys(std::slice::from_ref(&key)).await.unwrap();
    let first_token = tokens.create(&new_token("alice", "first")).await.unwrap();
    tokens.create(&new_token("bob", "second")).await.unwrap();
    let mut objects = objects(&*store).await;
    let stored = objects.remove("records/foo_bar").unwrap();
    assert_eq!(codec::decode(stored.into()).unwrap(), record);
    // By openssl, as the key says of itself.
    let hashes = [
        "7db980ebec8bb0a2933cd213001ae816334553b396fc46431a5d6c6c0bdab679",
        "a85b52cb309ebb49341416a6123667e8c30c39e79e0de59663ccd109d9406b26",
    ];
    let second = objects.remove(&format!("tokens/{}", hashes[1])).unwrap();
    let second: TokenRecord = serde_json::from_slice(&second).unwrap();
    assert_eq!(second.user, owner(2, "bob"));
    let first = format!(
        r#"{{"id":{},"user":{{"id":1,"login":"alice"}},"name":"","kind":"user","scopes":{{"endpoints":["read","read-all","publish-new","publish-update","yank","change-owners","trusted-publishing"],"crates":["*"]}},"created_at":1709208000,"expires_at":null,"last_used_at":null,"revoked_at":null}}"#,
        first_token.id
    );
    let users = format!(
        r#"{{"format":2,"keys":["{}"],"users":[{{"id":1,"login":"alice"}},{{"id":2,"login":"bob"}}]}}"#,
        "07".repeat(32)
    );
    let expected = [
        (format!("tokens/{}", hashes[0]), first),
        (format!("tokens-of/1/{}", hashes[0]), String::new()),
        (format!("tokens-of/2/{}", hashes[1]), String::new()),
        ("users.json".to_owned(), users),
    ];
    assert_eq!(objects, expected.map(|(key, text)| (key, text.into_bytes())).into());
}

#[tokio::test]
async fn what_others_put_beside_the_records_is_not_listed() {
    let store = Arc::new(InMemory::new());
    let index = ObjectIndex::open(store.clone()).await.unwrap();
    for key in ["records/.keep", "records/Foo", "records/foo-bar", "records/f/oo", "records", "foo"]
    {
        store.put(&Path::from(key), "of somebody else".into()).await.unwrap();
    }
    let (record, change) = first("foo", "1.0.0");
    index.commit(None, &change, &record).await.unwrap();
    let limit = NonZeroUsize::new(10).unwrap();
    assert_eq!(index.names(None, limit).await.unwrap(), [canonical("foo")]);
    let after = CanonicalName::new("a").unwrap();
    assert_eq!(index.names(Some(&after), limit).await.unwrap(), [canonical("foo")]);
}

#[tokio::test]
async fn a_damaged_record_is_an_error_of_the_backend() {
    let store = Arc::new(InMemory::new());
    let index = ObjectIndex::open(store.clone()).await.unwrap();
    store.put(&Path::from("records/foo"), "no record".into()).await.unwrap();
    for error in [
        index.load(&canonical("foo"), None).await.unwrap_err(),
        index.index_file(&canonical("foo"), None).await.unwrap_err(),
    ] {
        assert!(matches!(error, IndexError::Backend { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn users_of_a_later_version_are_neither_read_nor_replaced() {
    let store = Arc::new(InMemory::new());
    let tokens = ObjectTokens::open(store.clone()).await.unwrap();
    let later = r#"{"format":3,"people":[]}"#;
    store.put(&Path::from("users.json"), later.into()).await.unwrap();
    for error in [
        tokens.user(&login("alice")).await.unwrap_err(),
        tokens.create(&new_token("alice", "token")).await.unwrap_err(),
    ] {
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "`users.json` has format 3, this version reads 2");
    }
    let expected = [("users.json".to_owned(), later.as_bytes().to_vec())];
    assert_eq!(objects(&*store).await, expected.into());
}

/// Ten handles that share nothing but the store make users at once: each gets a number of its own.
async fn race_for_numbers(store: Arc<dyn ObjectStore>) {
    const HANDLES: u32 = 10;
    const EACH: u32 = 3;
    let mut writers = JoinSet::new();
    for handle in 0..HANDLES {
        let tokens = ObjectTokens::open(store.clone()).await.unwrap();
        writers.spawn(async move {
            let mut created = Vec::new();
            for number in 0..EACH {
                let user = format!("user-{handle}-{number}");
                created.push(tokens.create(&new_token(&user, &user)).await.unwrap().user);
                assert_eq!(created.last().unwrap().login, login(&user));
            }
            created
        });
    }
    let created: Vec<Owner> = writers.join_all().await.into_iter().flatten().collect();
    let mut numbers: Vec<u32> = created.iter().map(|user| user.id).collect();
    numbers.sort();
    assert_eq!(numbers, (1..=HANDLES * EACH).collect::<Vec<_>>());
    let tokens = ObjectTokens::open(store).await.unwrap();
    for user in created {
        let expected = Some(owner(user.id, user.login.as_str()));
        let digest = TokenDigest::of(user.login.as_str());
        assert_eq!(tokens.user(&user.login).await.unwrap(), expected);
        let found = tokens.find(&digest).await.unwrap();
        assert_eq!(found.map(|token| token.user), expected);
    }
}

#[test]
fn racing_users_get_numbers_of_their_own() {
    run(race_for_numbers(Arc::new(InMemory::new())));
}

#[test]
fn racing_users_get_numbers_of_their_own_on_an_s3_server() {
    if let Some(url) = service("REGISTRY_TEST_S3") {
        run(async { race_for_numbers(s3::at(&url, &s3::unused())).await });
    }
}

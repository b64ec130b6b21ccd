//! What becomes of a commit when an S3 server fails in the middle of it.
#![cfg(feature = "object-store")]

#[path = "common/fake_s3.rs"]
mod fake_s3;

use std::num::NonZeroUsize;

use fake_s3::{Deed, FakeS3, Fault, Objects, Reply};
use registry_core::{
    CrateRecord, Index, IndexError, Login, Owner, Registry, RegistryConfig,
    auth::{Caller, NewToken, Principal, TokenDigest, TokenStore as _},
    codec,
    conformance::{
        fixture::publish_body,
        record_fixture::{add_owner, canonical, first, owner, publish},
    },
    index::{Lookup, Revision},
    memory::MemoryCrateStore,
    record::{Timestamp, Transition},
    registry::{PublishError, WriteError},
};
use registry_index::object::{ObjectIndex, ObjectTokens};

const KEY: &str = "records/foo";

/// How a commit ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Committed,
    Conflict,
    Unknown,
    Failed,
}

fn end_of(result: &Result<Revision, IndexError>) -> End {
    match result {
        Ok(_) => End::Committed,
        Err(IndexError::Conflict { name }) if *name == canonical("foo") => End::Conflict,
        Err(IndexError::OutcomeUnknown { name, .. }) if *name == canonical("foo") => End::Unknown,
        Err(IndexError::Backend { backend: "object store", .. }) => End::Failed,
        Err(other) => panic!("{other:?}"),
    }
}

fn fault(effect: bool, reply: Reply) -> Fault {
    Fault { effect, meanwhile: None, reply }
}

/// What is stored when the record of this step was written by another process.
fn put_by_other((record, _): Transition) -> Deed {
    Box::new(move |objects| {
        objects.insert(KEY.to_owned(), codec::encode(&record, 1));
    })
}

/// Commits a first or a second version under faults; gives the end, what is stored after it, and
/// how many PUTs of the record there were.
async fn commit(
    is_first: bool,
    faults: Vec<Fault>,
    before: impl FnOnce(&FakeS3),
) -> (End, Option<CrateRecord>, usize) {
    let s3 = FakeS3::start().await;
    let index = ObjectIndex::open(s3.client()).await.unwrap();
    let (record, change) = first("foo", "1.0.0");
    let (expected, (next, change)) = match is_first {
        true => (None, (record, change)),
        false => {
            let revision = index.commit(None, &change, &record).await.unwrap();
            (Some(revision), publish(&record, "1.1.0"))
        }
    };
    before(&s3);
    s3.take_requests();
    s3.fail(faults);
    let result = index.commit(expected.as_ref(), &change, &next).await;
    assert_eq!(s3.faults_left(), 0);
    let puts = s3.take_requests().iter().filter(|request| *request == "PUT records/foo").count();
    s3.fail_reads(false);
    let stored = index.load(&canonical("foo"), None).await.unwrap().found();
    if let (Ok(revision), Some(stored)) = (&result, &stored) {
        assert_eq!((revision, &next), (&stored.revision, &stored.record));
    }
    (end_of(&result), stored.map(|stored| stored.record), puts)
}

#[tokio::test]
async fn a_write_that_took_place_is_found_whatever_the_answer_was() {
    for is_first in [true, false] {
        for (faults, puts) in [
            // The client repeats the write, and is refused because of its own earlier attempt.
            (vec![fault(true, Reply::Status(500))], 2),
            (vec![fault(true, Reply::Status(503)), fault(true, Reply::Status(503))], 3),
            (vec![fault(true, Reply::Cut)], 2),
            // Here it does not repeat it.
            (vec![fault(true, Reply::Never)], 1),
            (vec![fault(true, Reply::Status(412))], 1),
            (vec![fault(true, Reply::Status(400))], 1),
        ] {
            let (end, stored, seen) = commit(is_first, faults, |_| ()).await;
            assert_eq!((end, seen), (End::Committed, puts), "{is_first}");
            assert_eq!(stored.unwrap().releases().len(), if is_first { 1 } else { 2 });
        }
    }
}

#[tokio::test]
async fn a_write_that_may_still_land_has_an_unknown_outcome() {
    for is_first in [true, false] {
        let before = if is_first { None } else { Some(first("foo", "1.0.0").0) };
        for (reply, puts) in [(Reply::Status(503), 3), (Reply::Cut, 3), (Reply::Never, 1)] {
            let faults = (0..puts).map(|_| fault(false, reply)).collect();
            let ended = commit(is_first, faults, |_| ()).await;
            assert_eq!(ended, (End::Unknown, before.clone(), puts), "{is_first}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_unknown() {
    for effect in [true, false] {
        let faults = vec![fault(effect, Reply::Status(412))];
        let (end, ..) = commit(true, faults, |s3| s3.fail_reads(true)).await;
        assert_eq!(end, End::Unknown);
    }
}

#[tokio::test]
async fn a_refusal_without_effect_is_a_conflict() {
    // Another process was faster.
    let other = first("foo", "9.0.0");
    let put_other = put_by_other(other.clone());
    let ended = commit(true, vec![], |s3| s3.change(put_other)).await;
    assert_eq!(ended, (End::Conflict, Some(other.0.clone()), 1));
    let put_other = put_by_other(other.clone());
    let ended = commit(false, vec![], |s3| s3.change(put_other)).await;
    assert_eq!(ended, (End::Conflict, Some(other.0), 1));
    // The record is gone.
    let ended = commit(false, vec![], |s3| s3.change(Objects::clear)).await;
    assert_eq!(ended, (End::Conflict, None, 1));
    // S3 says so of writes that met each other; of those with `If-Match` the client takes care.
    let ended = commit(true, vec![fault(false, Reply::Status(409))], |_| ()).await;
    assert_eq!(ended, (End::Conflict, None, 1));
    let (end, stored, puts) = commit(false, vec![fault(false, Reply::Status(409))], |_| ()).await;
    assert_eq!((end, stored.unwrap().releases().len(), puts), (End::Committed, 2, 2));
}

#[tokio::test]
async fn a_refusal_of_any_write_is_a_failure() {
    for status in [401, 403] {
        let ended = commit(true, vec![fault(false, Reply::Status(status))], |_| ()).await;
        assert_eq!(ended, (End::Failed, None, 1), "{status}");
    }
    // The bucket is gone.
    let ended = commit(true, vec![fault(false, Reply::Status(404))], |_| ()).await;
    assert_eq!(ended, (End::Failed, None, 1));
}

/// The write took place, another process built on it, and only then the answer comes: 500, or none.
/// The client repeats the write, and is refused.
#[tokio::test]
async fn what_others_may_have_built_on_is_no_conflict() {
    for reply in [Reply::Status(500), Reply::Cut] {
        let ours = publish(&first("foo", "1.0.0").0, "1.1.0");
        let theirs = add_owner(&ours.0, owner(2, "bob"));
        let meanwhile = Some(put_by_other(theirs.clone()));
        let (end, stored, _) =
            commit(false, vec![Fault { effect: true, meanwhile, reply }], |_| ()).await;
        assert_eq!((end, stored), (End::Unknown, Some(theirs.0)));
    }
}

fn alice() -> Caller {
    let login = Login::new("alice").unwrap();
    Caller::from(Principal::from(Owner { id: 1, login, name: None }))
}

async fn publish_to(registry: &Registry, version: &str) -> Result<(), PublishError> {
    let mut publish = registry.begin_publish(alice(), None).await?;
    publish.write(&publish_body("foo", version)).await?;
    publish.finish().await.map(drop)
}

/// A publish through the registry, of which the first commit has this fault.
async fn publish_under(faults: Vec<Fault>) -> (FakeS3, Registry, Result<(), PublishError>) {
    let s3 = FakeS3::start().await;
    let index = ObjectIndex::open(s3.client()).await.unwrap();
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let registry = Registry::builder(config, index, MemoryCrateStore::new()).build();
    publish_to(&registry, "1.0.0").await.unwrap();
    s3.fail(faults);
    let published = publish_to(&registry, "1.1.0").await;
    assert_eq!(s3.faults_left(), 0);
    (s3, registry, published)
}

async fn versions(registry: &Registry) -> Vec<String> {
    let record = registry.record(&Caller::anonymous(), &canonical("foo")).await.unwrap();
    record.releases().iter().map(|release| release.version().to_string()).collect()
}

#[tokio::test]
async fn a_publish_succeeds_once_when_its_answer_is_lost_or_its_commit_is_refused() {
    let failing = || fault(false, Reply::Status(503));
    for faults in [
        vec![fault(true, Reply::Status(500))],
        vec![fault(true, Reply::Cut)],
        vec![fault(true, Reply::Never)],
        vec![fault(true, Reply::Status(412))],
        vec![fault(false, Reply::Status(412))],
        vec![fault(false, Reply::Status(409))],
        vec![fault(false, Reply::Cut)],
        vec![fault(false, Reply::Never)],
        vec![failing(), failing(), failing()],
    ] {
        let (_s3, registry, published) = publish_under(faults).await;
        published.unwrap();
        assert_eq!(versions(&registry).await, ["1.0.0", "1.1.0"]);
        assert_eq!(registry.verify().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_publish_that_others_have_built_on_is_told_as_published() {
    for reply in [Reply::Status(500), Reply::Cut] {
        let build_on: Deed = Box::new(|objects| {
            let record = codec::decode(objects[KEY].clone()).unwrap();
            put_by_other(add_owner(&record, owner(2, "bob")))(objects);
        });
        let fault = Fault { effect: true, meanwhile: Some(build_on), reply };
        let (_s3, registry, published) = publish_under(vec![fault]).await;
        published.unwrap();
        assert_eq!(versions(&registry).await, ["1.0.0", "1.1.0"]);
        let record = registry.record(&Caller::anonymous(), &canonical("foo")).await.unwrap();
        assert!(record.owners().contains(&Login::new("bob").unwrap()));
    }
}

#[tokio::test]
async fn a_publish_that_is_forbidden_by_the_store_leaves_no_trace() {
    let (_s3, registry, published) = publish_under(vec![fault(false, Reply::Status(403))]).await;
    let failed = matches!(
        published,
        Err(PublishError::Write(WriteError::Index(IndexError::Backend { .. })))
    );
    assert!(failed, "{published:?}");
    assert_eq!(versions(&registry).await, ["1.0.0"]);
    // The fault is lifted, and nothing has to be repaired.
    publish_to(&registry, "1.1.0").await.unwrap();
    assert_eq!(versions(&registry).await, ["1.0.0", "1.1.0"]);
}

#[tokio::test]
async fn a_cut_object_is_an_error_and_not_a_shorter_record() {
    let s3 = FakeS3::start().await;
    let index = ObjectIndex::open(s3.client()).await.unwrap();
    let (record, change) = first("foo", "1.0.0");
    index.commit(None, &change, &record).await.unwrap();
    s3.change(|objects| {
        let object = objects.get_mut(KEY).unwrap();
        object.truncate(object.len() - 1);
    });
    let of_file = index.index_file(&canonical("foo"), None).await.unwrap_err();
    let of_record = index.load(&canonical("foo"), None).await.unwrap_err();
    for error in [of_file, of_record] {
        assert!(matches!(error, IndexError::Backend { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_gone_is_missed_until_it_is_back() {
    let s3 = FakeS3::start().await;
    let index = ObjectIndex::open(s3.client()).await.unwrap();
    let tokens = ObjectTokens::open(s3.client()).await.unwrap();
    let (digest, foo) = (TokenDigest::of("secret"), canonical("foo"));
    let alice =
        tokens.create(&NewToken::new(&Login::new("alice").unwrap(), &digest, Timestamp(5))).await;
    let alice = alice.unwrap();
    let (record, change) = first("foo", "1.0.0");
    let revision = index.commit(None, &change, &record).await.unwrap();
    let (next, next_change) = publish(&record, "1.1.0");
    s3.hide(true);
    for (at, result) in [
        index.load(&foo, None).await.map(drop),
        index.index_file(&foo, None).await.map(drop),
        index.names(None, NonZeroUsize::MIN).await.map(drop),
        index.commit(None, &change, &record).await.map(drop),
        index.ready().await,
    ]
    .into_iter()
    .enumerate()
    {
        assert!(matches!(result, Err(IndexError::Backend { .. })), "{at}: {result:?}");
    }
    // Refused as in another state, at which nobody can look.
    let committed = index.commit(Some(&revision), &next_change, &next).await;
    assert!(matches!(committed, Err(IndexError::OutcomeUnknown { .. })), "{committed:?}");
    // Not `None`, which would be an answer about the token.
    tokens.find(&digest).await.unwrap_err();
    s3.hide(false);
    assert_eq!(tokens.find(&digest).await.unwrap(), Some(alice));
    index.commit(Some(&revision), &next_change, &next).await.unwrap();
    assert_eq!(index.load(&foo, None).await.unwrap().found().unwrap().record, next);
}

#[tokio::test]
async fn reads_and_writes_cost_one_request_and_list_nothing() {
    let s3 = FakeS3::start().await;
    let index = ObjectIndex::open(s3.client()).await.unwrap();
    s3.take_requests();
    let (record, change) = first("foo", "1.0.0");
    let revision = index.commit(None, &change, &record).await.unwrap();
    assert_eq!(s3.take_requests(), ["PUT records/foo"]);
    let (next, change) = publish(&record, "1.1.0");
    let revision = index.commit(Some(&revision), &change, &next).await.unwrap();
    assert_eq!(s3.take_requests(), ["PUT records/foo"]);
    index.index_file(&canonical("foo"), None).await.unwrap();
    assert_eq!(s3.take_requests(), ["GET records/foo"]);
    let known = index.load(&canonical("foo"), Some(&revision)).await.unwrap();
    assert_eq!(
        (known, s3.take_requests()),
        (Lookup::Unchanged, vec!["GET records/foo".to_owned()])
    );
    index.ready().await.unwrap();
    assert_eq!(s3.take_requests(), ["PUT probe/ready", "GET probe/ready"]);
}

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use semver::Version;

use super::*;
use crate::{
    CanonicalName, CrateName, CrateRecord, Index, Owner, RegistryConfig,
    auth::{AllowAll, Authorizer, OwnersMayWrite, Principal},
    conformance::{
        faulty::{Fault, Faults, FaultyIndex},
        fixture::publish_body,
    },
    index::{ETag, IndexError, IndexFile, Lookup, Revision, Stored},
    limits::Rate,
    memory::{MemoryCrateStore, MemoryIndex},
    record::{Change, Refusal},
    registry::{
        PublishError, WriteError,
        clock::{Clock, Moment},
    },
};

/// 2026-01-01, 00:00:00 UTC.
const NEW_YEAR: Duration = Duration::from_secs(1_767_225_600);

/// Seconds since then, as a test wants them.
#[derive(Clone, Default)]
struct Seconds(Arc<AtomicU64>);

impl Seconds {
    fn clock(&self) -> Clock {
        let (seconds, start) = (self.0.clone(), std::time::Instant::now());
        Clock::new(move || {
            let passed = Duration::from_secs(seconds.load(Relaxed));
            let wall = SystemTime::UNIX_EPOCH + NEW_YEAR + passed;
            Moment { wall, monotonic: start + passed }
        })
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}

fn registry(limits: RateLimits, authorizer: impl Authorizer) -> (Registry, Seconds) {
    registry_over(MemoryIndex::default(), limits, authorizer)
}

fn registry_over(
    index: impl Index,
    limits: RateLimits,
    authorizer: impl Authorizer,
) -> (Registry, Seconds) {
    let seconds = Seconds::default();
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let builder =
        Registry::builder(config, index, MemoryCrateStore::default()).authorizer(authorizer);
    (builder.rate_limits(limits).clock(seconds.clock()).build(), seconds)
}

fn user(login: &str) -> Caller {
    let owner = Owner { id: 1, login: Login::new(login).unwrap(), name: None };
    Principal::from(owner).into()
}

fn from(address: &str) -> Caller {
    Caller { address: Some(address.parse().unwrap()), ..Caller::anonymous() }
}

async fn publish(registry: &Registry, who: &str, name: &str, version: &str) -> Outcome {
    let begun = registry.begin_publish(user(who), None).await;
    let result = async {
        let mut publish = begun?;
        publish.write(&publish_body(name, version)).await?;
        publish.finish().await
    };
    match result.await {
        Ok(_) => Outcome::Done,
        Err(PublishError::Write(error)) => error.into(),
        Err(error) => panic!("{error}"),
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    Duplicate,
    Forbidden,
    TooMany(String, u32),
}

impl From<WriteError> for Outcome {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(Refusal::VersionTaken { .. }) => Self::Duplicate,
            WriteError::Auth(AuthError::Forbidden { .. }) => Self::Forbidden,
            WriteError::Auth(AuthError::TooMany { reason, retry_after }) => {
                Self::TooMany(reason, retry_after)
            }
            error => panic!("{error}"),
        }
    }
}

fn too_many_new(then: &str, retry_after: u32) -> Outcome {
    let reason = format!(
        "You have published too many new crates in a short period of time. Please try again after \
         {then}"
    );
    Outcome::TooMany(reason, retry_after)
}

fn too_many_updates(then: &str, retry_after: u32) -> Outcome {
    let reason = format!(
        "You have published too many updates to existing crates in a short period of time. Please \
         try again after {then}"
    );
    Outcome::TooMany(reason, retry_after)
}

fn only(kind: RequestKind, burst: u32, seconds: u64) -> RateLimits {
    RateLimits::none().with(kind, Some(Rate::of(burst, seconds)))
}

#[tokio::test]
async fn new_crates_and_further_versions_are_counted_apart() {
    let (registry, seconds) = registry(RateLimits::crates_io(), OwnersMayWrite);
    for number in 0..5 {
        assert_eq!(
            publish(&registry, "ann", &format!("new{number}"), "1.0.0").await,
            Outcome::Done
        );
    }
    let refused = publish(&registry, "ann", "new5", "1.0.0").await;
    assert_eq!(refused, too_many_new("Thu, 01 Jan 2026 00:10:00 GMT", 600));
    // Another user has limits of their own, and so have further versions.
    assert_eq!(publish(&registry, "bob", "new5", "1.0.0").await, Outcome::Done);
    for number in 1..=30 {
        assert_eq!(
            publish(&registry, "ann", "new0", &format!("1.{number}.0")).await,
            Outcome::Done
        );
    }
    let refused = publish(&registry, "ann", "new0", "1.31.0").await;
    assert_eq!(refused, too_many_updates("Thu, 01 Jan 2026 00:01:00 GMT", 60));
    seconds.pass(59);
    let refused = publish(&registry, "ann", "new0", "1.31.0").await;
    assert_eq!(refused, too_many_updates("Thu, 01 Jan 2026 00:01:00 GMT", 1));
    seconds.pass(1);
    assert_eq!(publish(&registry, "ann", "new0", "1.31.0").await, Outcome::Done);
    seconds.pass(540);
    assert_eq!(publish(&registry, "ann", "new6", "1.0.0").await, Outcome::Done);
    let refused = publish(&registry, "ann", "new7", "1.0.0").await;
    assert_eq!(refused, too_many_new("Thu, 01 Jan 2026 00:20:00 GMT", 600));
}

#[tokio::test]
async fn registries_beside_each_other_count_together() {
    let (one, seconds) = registry(RateLimits::crates_io(), OwnersMayWrite);
    let config = RegistryConfig::new("https://crates.example.com/other").unwrap();
    let builder = Registry::builder(config, MemoryIndex::default(), MemoryCrateStore::default());
    let other = builder.authorizer(OwnersMayWrite).beside(&one).clock(seconds.clock()).build();
    for number in 0..5 {
        let registry = if number % 2 == 0 { &one } else { &other };
        assert_eq!(publish(registry, "ann", &format!("new{number}"), "1.0.0").await, Outcome::Done);
    }
    for registry in [&one, &other] {
        let refused = publish(registry, "ann", "new5", "1.0.0").await;
        assert_eq!(refused, too_many_new("Thu, 01 Jan 2026 00:10:00 GMT", 600));
    }
    assert!(Arc::ptr_eq(&one.parts.budget, &other.parts.budget));
}

#[tokio::test]
async fn what_is_refused_is_counted_as_well() {
    let limits = only(RequestKind::PublishUpdate, 3, 60);
    let (registry, _) = registry(limits, OwnersMayWrite);
    assert_eq!(publish(&registry, "ann", "foo", "1.0.0").await, Outcome::Done);
    for _ in 0..3 {
        assert_eq!(publish(&registry, "ann", "foo", "1.0.0").await, Outcome::Duplicate);
    }
    let refused = publish(&registry, "ann", "foo", "1.0.0").await;
    assert_eq!(refused, too_many_updates("Thu, 01 Jan 2026 00:01:00 GMT", 60));
    for _ in 0..3 {
        assert_eq!(publish(&registry, "eve", "foo", "2.0.0").await, Outcome::Forbidden);
    }
    let refused = publish(&registry, "eve", "foo", "2.0.0").await;
    assert_eq!(refused, too_many_updates("Thu, 01 Jan 2026 00:01:00 GMT", 60));
}

/// An index in which others are faster so many times.
#[derive(Debug)]
struct Contended<I>(I, Arc<AtomicU64>);

#[async_trait]
impl<I: Index> Index for Contended<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.0.index_file(name, known).await
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.0.load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        match self.1.fetch_update(Relaxed, Relaxed, |times| times.checked_sub(1)) {
            Ok(_) => Err(IndexError::Conflict { name: next.name().canonical() }),
            Err(_) => self.0.commit(expected, change, next).await,
        }
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.0.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.0.ready().await
    }
}

#[tokio::test]
async fn what_is_decided_anew_is_counted_once() {
    let (faults, conflicts) = (Faults::none(), Arc::new(AtomicU64::new(0)));
    let index = FaultyIndex::new(MemoryIndex::default(), faults.clone());
    let index = Contended(index, conflicts.clone());
    let limits = only(RequestKind::PublishNew, 2, 60);
    let limits = limits.with(RequestKind::Yank, Some(Rate::of(1, 60)));
    let (registry, seconds) = registry_over(index, limits, OwnersMayWrite);
    conflicts.store(3, Relaxed);
    assert_eq!(publish(&registry, "ann", "a", "1.0.0").await, Outcome::Done);
    // The calls of a publish: two loads, then the commit, whose answer is lost.
    faults.arm(2, Fault::After);
    assert_eq!(publish(&registry, "ann", "b", "1.0.0").await, Outcome::Done);
    assert_eq!((faults.struck(), conflicts.load(Relaxed)), (true, 0));
    let refused = publish(&registry, "ann", "c", "1.0.0").await;
    assert_eq!(refused, too_many_new("Thu, 01 Jan 2026 00:01:00 GMT", 60));
    seconds.pass(60);
    assert_eq!(publish(&registry, "ann", "c", "1.0.0").await, Outcome::Done);

    conflicts.store(3, Relaxed);
    let (ann, a) = (user("ann"), CrateName::new("a").unwrap().canonical());
    let version = Version::new(1, 0, 0);
    let yank = || registry.set_yanked(&ann, &a, &version, true);
    yank().await.unwrap();
    assert_eq!(conflicts.load(Relaxed), 0);
    assert!(matches!(yank().await.unwrap_err().into(), Outcome::TooMany(..)));
}

#[tokio::test]
async fn yanks_and_owners_are_counted() {
    let limits = only(RequestKind::Yank, 2, 60);
    let (registry, _) = registry(limits.with(RequestKind::Owners, Some(Rate::of(2, 60))), AllowAll);
    assert_eq!(publish(&registry, "ann", "foo", "1.0.0").await, Outcome::Done);
    let (ann, foo) = (user("ann"), CrateName::new("foo").unwrap().canonical());
    let version = Version::new(1, 0, 0);
    let later = "in a short period of time. Please try again after Thu, 01 Jan 2026 00:01:00 GMT";
    for yanked in [true, false] {
        registry.set_yanked(&ann, &foo, &version, yanked).await.unwrap();
    }
    let refused = registry.set_yanked(&ann, &foo, &version, true).await.unwrap_err();
    let reason = format!("You have yanked or unyanked too many versions {later}");
    assert_eq!(Outcome::from(refused), Outcome::TooMany(reason, 60));

    let ghost = [Login::new("ghost").unwrap()];
    let unknown = registry.add_owners(&ann, &foo, &ghost).await.unwrap_err();
    assert!(matches!(unknown, WriteError::UnknownUser { .. }), "{unknown}");
    let unknown = registry.remove_owners(&ann, &foo, &ghost).await.unwrap_err();
    assert!(matches!(unknown, WriteError::Refused(Refusal::NotAnOwner { .. })), "{unknown}");
    let reason = format!("You have changed too many owners {later}");
    for refused in [
        registry.add_owners(&ann, &foo, &ghost).await.unwrap_err(),
        registry.remove_owners(&ann, &foo, &ghost).await.unwrap_err(),
    ] {
        assert_eq!(Outcome::from(refused), Outcome::TooMany(reason.clone(), 60));
    }
}

#[test]
fn users_are_counted_by_login_and_others_by_their_network() {
    let (registry, _) = registry(only(RequestKind::Read, 1, 60), AllowAll);
    let is_answered = |caller: &Caller| registry.admit(caller, RequestKind::Read).is_ok();
    for (caller, answered) in [
        (user("ann"), true),
        (Caller { address: "192.0.2.1".parse().ok(), ..user("ann") }, false),
        (user("bob"), true),
        (from("192.0.2.1"), true),
        (from("192.0.2.1"), false),
        (from("::ffff:192.0.2.1"), false),
        (from("192.0.2.2"), true),
        (from("2001:db8::1"), true),
        (from("2001:db8::ffff:0:0:1"), false),
        (from("2001:db8:0:1::1"), true),
        // Of whom nothing is known, nothing can be counted.
        (Caller::anonymous(), true),
        (Caller::anonymous(), true),
    ] {
        assert_eq!(is_answered(&caller), answered, "{caller:?}");
    }
    assert!(registry.admit(&user("ann"), RequestKind::Search).is_ok());
}

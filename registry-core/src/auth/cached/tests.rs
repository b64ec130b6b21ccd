use std::{
    cell::Cell,
    pin::pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    task::{Context, Poll, Waker},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    audit::{AuditAction, AuditEntry},
    auth::{Caller, Claim, CredentialForms, Mutation},
    name::CanonicalName,
};

thread_local! {
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static START: Instant = Instant::now();
}

/// Now, as the test of this thread wants it.
fn now() -> Instant {
    START.with(|start| *start) + PASSED.get()
}

fn pass(milliseconds: u64) {
    PASSED.set(PASSED.get() + Duration::from_millis(milliseconds));
}

/// Says who brings a secret: its own text. Answers when it is let.
#[derive(Debug)]
struct Slow {
    asked: AtomicU64,
    answers: Semaphore,
    rejects: AtomicBool,
    claims: bool,
}

fn owner(login: &str) -> Owner {
    Owner { id: 1, login: Login::new(login).unwrap(), name: None }
}

#[async_trait]
impl Authenticator for Arc<Slow> {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        self.asked.fetch_add(1, SeqCst);
        // What it answers was so when it was asked.
        let rejects = self.rejects.load(SeqCst);
        self.answers.acquire().await.unwrap().forget();
        if rejects {
            return Err(AuthError::Rejected);
        }
        let login = format!("{}.{}", credential.user().unwrap_or("no"), credential.expose());
        let claim = self.claims.then(|| Claim {
            mutation: Mutation::Unyank,
            name: CanonicalName::new("foo").unwrap(),
            version: None,
            checksum: None,
            once: None,
        });
        Ok(Arc::new(Principal { claim, ..owner(&login).into() }))
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(Some(owner(login.as_str())))
    }
}

struct Setting {
    cached: CachedAuthenticator<Arc<Slow>>,
    slow: Arc<Slow>,
}

impl Setting {
    /// One that answers at once.
    fn new() -> Self {
        Self::answering(Semaphore::MAX_PERMITS, false)
    }

    fn answering(times: usize, claims: bool) -> Self {
        let (asked, rejects) = Default::default();
        let slow = Arc::new(Slow { asked, answers: Semaphore::new(times), rejects, claims });
        Self { cached: CachedAuthenticator { now, ..CachedAuthenticator::new(slow.clone()) }, slow }
    }

    async fn bring(&self, secret: &str) -> Result<String, String> {
        self.bring_header(secret).await
    }

    async fn bring_header(&self, header: &str) -> Result<String, String> {
        let credential = Credential::from_header(header.as_bytes(), CredentialForms::default());
        let principal = self.cached.authenticate(&credential.unwrap()).await;
        let login = principal.map(|principal| principal.user.login.as_str().to_owned());
        login.map_err(|error| error.to_string())
    }

    fn asked(&self) -> u64 {
        self.slow.asked.swap(0, SeqCst)
    }
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is(login: &str) -> Result<String, String> {
    Ok(login.into())
}

const REJECTED: &str = "authentication failed";

#[tokio::test]
async fn a_principal_is_remembered_for_half_a_second_from_before_it_was_asked_for() {
    let setting = Setting::answering(1, false);
    let mut first = pin!(setting.bring("a"));
    assert!(poll(first.as_mut()).is_ready());
    pass(499);
    assert_eq!((setting.bring("a").await, setting.asked()), (is("no.a"), 1));
    pass(1);
    let mut late = pin!(setting.bring("a"));
    assert!(poll(late.as_mut()).is_pending());
    // The answer takes some time, and is as old as the question.
    pass(300);
    setting.slow.answers.add_permits(1);
    assert_eq!((late.await, setting.asked()), (is("no.a"), 1));
    pass(199);
    assert_eq!((setting.bring("a").await, setting.asked()), (is("no.a"), 0));
    pass(1);
    setting.slow.rejects.store(true, SeqCst);
    setting.slow.answers.add_permits(1);
    assert_eq!((setting.bring("a").await, setting.asked()), (Err(REJECTED.into()), 1));
}

#[tokio::test]
async fn each_credential_is_its_own_with_its_user_name() {
    let setting = Setting::new();
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    for (header, login) in [
        ("ab".to_owned(), "no.ab"),
        (basic("a:b"), "a.b"),
        (basic("ab:c"), "ab.c"),
        (basic("a:bc"), "a.bc"),
        (basic(":ab"), "no.ab"),
        ("Bearer ab".to_owned(), "no.ab"),
    ] {
        assert_eq!(setting.bring_header(&header).await, is(login));
    }
    assert_eq!(setting.asked(), 4);
}

#[tokio::test]
async fn the_meter_is_told_who_asked() {
    let Setting { cached, slow } = Setting::new();
    let told: Arc<Mutex<Vec<CacheRead>>> = Arc::default();
    let meter = told.clone();
    let cached = cached.with_meter(move |read| meter.lock().unwrap().push(read));
    let setting = Setting { cached, slow };
    for secret in ["a", "a", "b"] {
        setting.bring(secret).await.unwrap();
    }
    pass(500);
    setting.bring("a").await.unwrap();
    let expected = [CacheRead::Miss, CacheRead::Hit, CacheRead::Miss, CacheRead::Miss];
    assert_eq!((&*told.lock().unwrap(), setting.asked()), (&expected.to_vec(), 3));
}

#[tokio::test]
async fn refusals_are_not_remembered() {
    let setting = Setting::new();
    setting.slow.rejects.store(true, SeqCst);
    for _ in 0..2 {
        assert_eq!((setting.bring("a").await, setting.asked()), (Err(REJECTED.into()), 1));
    }
    setting.slow.rejects.store(false, SeqCst);
    assert_eq!(setting.bring("a").await, is("no.a"));
}

#[tokio::test]
async fn what_may_count_only_once_is_asked_for_by_each() {
    let setting = Setting::answering(Semaphore::MAX_PERMITS, true);
    let all = join_all((0..5).map(|_| setting.bring("a"))).await;
    assert_eq!((all, setting.asked()), (vec![is("no.a"); 5], 5));
}

#[tokio::test]
async fn of_many_at_one_time_one_asks() {
    let setting = Setting::answering(0, false);
    let mut all = pin!(join_all((0..50).map(|_| setting.bring("a"))));
    assert!(poll(all.as_mut()).is_pending());
    setting.slow.answers.add_permits(1);
    assert_eq!((all.await, setting.asked()), (vec![is("no.a"); 50], 1));
}

#[tokio::test]
async fn whoever_is_gone_keeps_nobody_waiting() {
    let setting = Setting::answering(0, false);
    let mut gone = Box::pin(setting.bring("a"));
    assert!(poll(gone.as_mut()).is_pending());
    let mut next = pin!(setting.bring("a"));
    assert!(poll(next.as_mut()).is_pending());
    drop(gone);
    setting.slow.answers.add_permits(1);
    assert_eq!(next.await, is("no.a"));
    assert!(setting.cached.cache.lock().asking.is_empty());
}

#[tokio::test]
async fn what_was_forgotten_is_asked_for_also_if_it_was_being_asked_for() {
    let setting = Setting::answering(1, false);
    assert_eq!((setting.bring("a").await, setting.asked()), (is("no.a"), 1));
    let mut early = pin!(setting.bring("b"));
    assert!(poll(early.as_mut()).is_pending());
    // What is refused changes nothing.
    let refused = AuditEntry::refused(&Caller::anonymous(), AuditAction::PUBLISH, "no");
    setting.cached.observe(&Event::Refused(&refused));
    assert_eq!(setting.bring("a").await, is("no.a"));
    setting.slow.rejects.store(true, SeqCst);
    let entry = AuditEntry::done(&Caller::anonymous(), AuditAction::REVOKE_TOKEN, "token 7");
    // Any clone does.
    setting.cached.clone().observe(&Event::Administered(&entry));
    setting.slow.answers.add_permits(3);
    // Neither what was kept counts from now on, nor what somebody was just being told.
    assert_eq!(setting.bring("a").await, Err(REJECTED.into()));
    assert_eq!(setting.bring("b").await, Err(REJECTED.into()));
    assert_eq!(early.await, is("no.b"));
    setting.slow.answers.add_permits(1);
    assert_eq!(setting.bring("b").await, Err(REJECTED.into()));
    assert_eq!(setting.asked(), 4);
}

#[tokio::test]
async fn what_is_asked_anew_goes_by_nothing_remembered_and_is_remembered() {
    let setting = Setting::new();
    let credential = Credential::from_header(b"a", CredentialForms::default()).unwrap();
    let anew = async || {
        let principal = setting.cached.authenticate_anew(&credential).await;
        principal.map(|it| it.user.login.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!((setting.bring("a").await, setting.asked()), (is("no.a"), 1));
    pass(400);
    assert_eq!((anew().await, setting.asked()), (is("no.a"), 1));
    pass(400);
    assert_eq!((setting.bring("a").await, setting.asked()), (is("no.a"), 0));
    // Whoever is found to count no more does not read any more either.
    setting.slow.rejects.store(true, SeqCst);
    assert_eq!((setting.bring("a").await, setting.asked()), (is("no.a"), 0));
    assert_eq!((anew().await, setting.asked()), (Err(REJECTED.into()), 1));
    assert_eq!((setting.bring("a").await, setting.asked()), (Err(REJECTED.into()), 1));
}

#[tokio::test]
async fn there_are_never_too_many_and_none_longer_than_needed() {
    let setting = Setting::new();
    let kept = || setting.cached.cache.lock().kept.len();
    for number in 0..MAX_PRINCIPALS + 5 {
        setting.bring(&number.to_string()).await.unwrap();
    }
    assert_eq!(kept(), MAX_PRINCIPALS);
    setting.asked();
    let last = MAX_PRINCIPALS + 4;
    assert_eq!(setting.bring(&last.to_string()).await, is(&format!("no.{last}")));
    assert_eq!(setting.bring("0").await, is("no.0"));
    assert_eq!(setting.asked(), 1);
    pass(500);
    setting.bring("late").await.unwrap();
    assert_eq!(kept(), 1);
}

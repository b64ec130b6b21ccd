use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use futures_util::future::{FutureExt as _, join_all};

use super::*;
use crate::{
    Login, Owner, RegistryConfig,
    auth::{Authenticator, CredentialForms, Token},
    limits::RateLimits,
    memory::{MemoryCrateStore, MemoryIndex},
    registry::clock::{Clock, Moment},
};

fn ann() -> Owner {
    Owner { id: 1, login: Login::new("ann").unwrap(), name: None }
}

/// Knows some credentials, and counts how many it was asked about.
#[derive(Debug, Default)]
struct Known {
    credentials: Mutex<BTreeSet<String>>,
    lookups: AtomicU64,
    is_password: AtomicBool,
    is_down: AtomicBool,
    seconds: AtomicU64,
}

#[async_trait]
impl Authenticator for Arc<Known> {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        self.lookups.fetch_add(1, Relaxed);
        // So that many are asked about at a time.
        tokio::task::yield_now().await;
        if self.is_down.load(Relaxed) {
            return Err(AuthError::Backend("is down".into()));
        }
        let is_known = self.credentials.lock().unwrap().contains(credential.expose());
        let credential = match self.is_password.load(Relaxed) {
            true => CredentialId::Password,
            false => CredentialId::Host,
        };
        match is_known {
            true => Ok(Arc::new(Principal { credential, ..ann().into() })),
            false => Err(AuthError::Rejected),
        }
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(Some(ann()))
    }
}

struct Setting {
    registry: Registry,
    known: Arc<Known>,
}

/// 2026-01-01, 00:00:00 UTC.
const NEW_YEAR: Duration = Duration::from_secs(1_767_225_600);

impl Setting {
    fn new(rate: Option<Rate>) -> Self {
        let known = Arc::new(Known::default());
        let (passed, start) = (known.clone(), Instant::now());
        let clock = Clock::new(move || {
            let passed = Duration::from_secs(passed.seconds.load(Relaxed));
            let wall = SystemTime::UNIX_EPOCH + NEW_YEAR + passed;
            Moment { wall, monotonic: start + passed }
        });
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let limits = RateLimits::none().with_failed_credentials(rate);
        let registry =
            Registry::builder(config, MemoryIndex::default(), MemoryCrateStore::default());
        let registry = registry.authenticator(known.clone()).rate_limits(limits).clock(clock);
        Self { registry: registry.build(), known }
    }

    fn accept(&self, credential: &str) {
        self.known.credentials.lock().unwrap().insert(credential.into());
    }

    fn pass(&self, seconds: u64) {
        self.known.seconds.fetch_add(seconds, Relaxed);
    }

    async fn bring(&self, header: &str, address: Option<&str>) -> Outcome {
        let credential =
            Credential::from_header(header.as_bytes(), CredentialForms::default()).unwrap();
        let address = address.map(|address| address.parse().unwrap());
        match self.registry.caller(Some(credential), None, address).await {
            Ok(caller) => {
                assert_eq!(caller.principal().unwrap().user.login.as_str(), "ann");
                Outcome::Known
            }
            Err(AuthError::Rejected) => Outcome::Rejected,
            Err(AuthError::TooMany { reason, retry_after }) => {
                Outcome::TooMany(reason, retry_after)
            }
            Err(AuthError::Backend(_)) => Outcome::Failed,
            Err(error) => panic!("{error}"),
        }
    }

    /// The same, and how many lookups it took.
    async fn lookups(&self, header: &str, address: &str) -> (Outcome, u64) {
        let before = self.known.lookups.load(Relaxed);
        let outcome = self.bring(header, Some(address)).await;
        (outcome, self.known.lookups.load(Relaxed) - before)
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Known,
    Rejected,
    Failed,
    TooMany(String, u32),
}

fn too_many(then: &str, retry_after: u32) -> Outcome {
    let reason = format!(
        "Too many credentials were tried in a short period of time. Please try again after {then}"
    );
    Outcome::TooMany(reason, retry_after)
}

const HERE: &str = "192.0.2.1";
const IN_SIX: &str = "Thu, 01 Jan 2026 00:00:06 GMT";

#[tokio::test]
async fn whoever_guesses_is_no_longer_listened_to() {
    let setting = Setting::new(RateLimits::default().failed_credentials());
    setting.accept("right");
    for guess in 0..10 {
        assert_eq!(setting.lookups(&guess.to_string(), HERE).await, (Outcome::Rejected, 1));
    }
    assert_eq!(setting.lookups("10", HERE).await, (too_many(IN_SIX, 6), 0));
    // Not even if it is right: otherwise guessing would go on.
    assert_eq!(setting.lookups("right", HERE).await, (too_many(IN_SIX, 6), 0));
    // Elsewhere it is, and one address later on.
    assert_eq!(setting.lookups("right", "192.0.2.2").await, (Outcome::Known, 1));
    setting.pass(5);
    assert_eq!(setting.lookups("right", HERE).await, (too_many(IN_SIX, 1), 0));
    setting.pass(1);
    assert_eq!(setting.lookups("right", HERE).await, (Outcome::Known, 1));
    assert_eq!(setting.lookups("11", HERE).await, (Outcome::Rejected, 1));
    assert_eq!(
        setting.lookups("12", HERE).await,
        (too_many("Thu, 01 Jan 2026 00:00:12 GMT", 6), 0)
    );
}

#[tokio::test]
async fn an_ipv6_network_is_one_address() {
    let setting = Setting::new(Some(Rate::of(2, 6)));
    assert_eq!(setting.bring("1", Some("2001:db8::1")).await, Outcome::Rejected);
    assert_eq!(setting.bring("2", Some("2001:db8::2")).await, Outcome::Rejected);
    assert_eq!(setting.bring("3", Some("2001:db8::3")).await, too_many(IN_SIX, 6));
    assert_eq!(setting.bring("3", Some("2001:db8:0:1::3")).await, Outcome::Rejected);
}

#[tokio::test]
async fn an_old_token_takes_nothing_from_its_neighbours() {
    let setting = Setting::new(Some(Rate::of(2, 600)));
    for _ in 0..100 {
        assert_eq!(setting.lookups("old", HERE).await, (Outcome::Rejected, 1));
    }
    // Each minute it counts.
    setting.pass(60);
    assert_eq!(setting.bring("old", Some(HERE)).await, Outcome::Rejected);
    assert_eq!(
        setting.bring("old", Some(HERE)).await,
        too_many("Thu, 01 Jan 2026 00:10:00 GMT", 540)
    );
}

#[tokio::test]
async fn a_token_that_has_counted_is_looked_at_while_its_address_waits() {
    let setting = Setting::new(Some(Rate::of(1, 600)));
    let [known, new] = [(); 2].map(|()| Token::generate().unwrap());
    for credential in [known.expose(), new.expose(), "password"] {
        setting.accept(credential);
    }
    for credential in [known.expose(), "password"] {
        assert_eq!(setting.bring(credential, Some("192.0.2.2")).await, Outcome::Known);
    }
    assert_eq!(setting.bring("wrong", Some(HERE)).await, Outcome::Rejected);
    let refused = too_many("Thu, 01 Jan 2026 00:10:00 GMT", 600);
    assert_eq!(setting.lookups("password", HERE).await, (refused, 0));
    let refused = too_many("Thu, 01 Jan 2026 00:10:00 GMT", 600);
    assert_eq!(setting.lookups(new.expose(), HERE).await, (refused, 0));
    assert_eq!(setting.lookups(known.expose(), HERE).await, (Outcome::Known, 1));
    // What was revoked meanwhile is revoked.
    setting.known.credentials.lock().unwrap().clear();
    assert_eq!(setting.lookups(known.expose(), HERE).await, (Outcome::Rejected, 1));
}

/// In an `Authorization` header.
fn basic(pair: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

#[tokio::test]
async fn a_password_is_guessed_from_many_addresses_no_faster_than_from_one() {
    let setting = Setting::new(Some(Rate::of(3, 6)));
    setting.accept("right");
    let here = |number: u8| format!("192.0.2.{number}");
    for number in 0..3 {
        let guess = basic(&format!("ann:{number}"));
        assert_eq!(setting.lookups(&guess, &here(number)).await, (Outcome::Rejected, 1));
    }
    let right = basic("ann:right");
    assert_eq!(setting.lookups(&right, &here(9)).await, (too_many(IN_SIX, 6), 0));
    // Of another user, and of a token, nothing has been guessed.
    assert_eq!(setting.lookups(&basic("bob:right"), &here(9)).await, (Outcome::Known, 1));
    let token = Token::generate().unwrap();
    setting.accept(token.expose());
    let token = basic(&format!("ann:{}", token.expose()));
    assert_eq!(setting.lookups(&token, &here(9)).await, (Outcome::Known, 1));
    setting.pass(6);
    assert_eq!(setting.lookups(&right, &here(9)).await, (Outcome::Known, 1));
}

#[tokio::test]
async fn a_password_that_fails_again_is_counted_again() {
    let setting = Setting::new(Some(Rate::of(2, 6)));
    let (old, later) = (basic("ann:old"), too_many(IN_SIX, 6));
    for expected in [Outcome::Rejected, Outcome::Rejected, later] {
        assert_eq!(setting.bring(&old, None).await, expected);
    }
}

#[tokio::test]
async fn without_an_address_or_a_limit_nothing_is_counted() {
    let setting = Setting::new(Some(Rate::of(1, 600)));
    for guess in 0..20 {
        assert_eq!(setting.bring(&guess.to_string(), None).await, Outcome::Rejected);
    }
    let setting = Setting::new(None);
    for guess in 0..20 {
        assert_eq!(setting.bring(&guess.to_string(), Some(HERE)).await, Outcome::Rejected);
    }
}

const IN_A_MINUTE: &str = "Thu, 01 Jan 2026 00:01:00 GMT";

#[tokio::test]
async fn of_many_guesses_at_one_time_no_more_are_looked_at_than_may_fail() {
    let setting = Setting::new(RateLimits::default().failed_credentials());
    setting.accept("right");
    let guesses = (0..10_000)
        .map(async |guess| setting.bring(&basic(&format!("ann:{guess}")), Some(HERE)).await);
    let outcomes = join_all(guesses).await;
    assert_eq!(setting.known.lookups.load(Relaxed), 10);
    let rejected = outcomes.iter().filter(|outcome| **outcome == Outcome::Rejected).count();
    let refused = outcomes.iter().filter(|outcome| **outcome == too_many(IN_SIX, 6)).count();
    assert_eq!((rejected, refused), (10, 9990));
    // However many there were, nobody waits for longer than if there had been ten.
    setting.pass(6);
    assert_eq!(setting.lookups(&basic("ann:right"), HERE).await, (Outcome::Known, 1));
    setting.pass(54);
    for guess in 0..10 {
        let guess = basic(&format!("ann:{guess}"));
        assert_eq!(setting.lookups(&guess, HERE).await, (Outcome::Rejected, 1));
    }
    let later = too_many("Thu, 01 Jan 2026 00:01:06 GMT", 6);
    assert_eq!(setting.lookups(&basic("ann:right"), HERE).await, (later, 0));
}

#[tokio::test]
async fn right_tokens_that_come_at_one_time_from_one_address_do_not_refuse_each_other() {
    let setting = Setting::new(RateLimits::default().failed_credentials());
    let tokens = (0..50).map(|number| format!("{number:032}")).collect::<Vec<_>>();
    tokens.iter().for_each(|token| setting.accept(token));
    let all = tokens.iter().map(|token| setting.bring(token, Some(HERE)));
    let outcomes = join_all(all).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Known), "{outcomes:?}");
    // Whoever went away while theirs was looked at takes nothing from the others.
    let new = (50..100).map(|number| format!("{number:032}")).collect::<Vec<_>>();
    for token in &new {
        let broken_off = setting.bring(token, Some(HERE)).now_or_never();
        assert_eq!(broken_off, None);
    }
    assert_eq!(setting.lookups("wrong", HERE).await, (Outcome::Rejected, 1));
    // Wrong ones are counted, each once, and no further than to the end of what may fail.
    let all = new.iter().map(|token| setting.bring(token, Some(HERE)));
    let outcomes = join_all(all).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Rejected), "{outcomes:?}");
    let another = "x".repeat(32);
    assert_eq!(setting.lookups(&another, HERE).await, (too_many(IN_SIX, 6), 0));
    setting.pass(6);
    assert_eq!(setting.lookups(&another, HERE).await, (Outcome::Rejected, 1));
}

#[tokio::test]
async fn what_is_right_or_cannot_be_looked_at_is_given_back() {
    let setting = Setting::new(Some(Rate::of(2, 6)));
    let right = basic("ann:right");
    setting.accept("right");
    for _ in 0..20 {
        assert_eq!(setting.bring(&right, Some(HERE)).await, Outcome::Known);
    }
    setting.known.is_down.store(true, Relaxed);
    for guess in 0..20 {
        let guess = basic(&format!("ann:{guess}"));
        assert_eq!(setting.bring(&guess, Some(HERE)).await, Outcome::Failed);
    }
    setting.known.is_down.store(false, Relaxed);
    for outcome in [Outcome::Rejected, Outcome::Rejected, too_many(IN_SIX, 6)] {
        assert_eq!(setting.bring(&basic("ann:wrong"), Some(HERE)).await, outcome);
    }
}

#[tokio::test]
async fn the_many_requests_of_one_client_do_not_refuse_each_other() {
    let setting = Setting::new(Some(Rate::of(1, 6)));
    setting.accept("right");
    let token = Token::generate().unwrap();
    setting.accept(token.expose());
    for credential in [&basic("ann:right"), "right", token.expose()] {
        let outcomes = join_all((0..50).map(|_| setting.bring(credential, Some(HERE)))).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Known), "{outcomes:?}");
    }
    // The same wrong password in many requests is tried no more often than in one after another.
    setting.known.lookups.store(0, Relaxed);
    let wrong = basic("ann:wrong");
    let outcomes = join_all((0..50).map(|_| setting.bring(&wrong, Some(HERE)))).await;
    assert_eq!(setting.known.lookups.load(Relaxed), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Rejected).count(), 1);
}

#[tokio::test]
async fn whoever_is_guessed_at_elsewhere_logs_in_where_they_have_before() {
    let setting = Setting::new(Some(Rate::of(2, 60)));
    setting.accept("right");
    setting.known.is_password.store(true, Relaxed);
    let right = basic("ann:right");
    let guess = async || {
        for number in 0..4 {
            let guess = basic(&format!("ann:{number}"));
            let outcome = setting.bring(&guess, Some(&format!("198.51.100.{number}"))).await;
            assert_ne!(outcome, Outcome::Known);
        }
    };
    assert_eq!(setting.bring(&right, Some(HERE)).await, Outcome::Known);
    guess().await;
    assert_eq!(setting.bring(&right, Some(HERE)).await, Outcome::Known);
    let elsewhere = setting.bring(&right, Some("192.0.2.2")).await;
    assert_eq!(elsewhere, too_many(IN_A_MINUTE, 60));
    // An hour after the last time, not any more. Here nobody guesses faster than from anywhere.
    setting.pass(3599);
    assert_eq!(setting.bring(&right, Some(HERE)).await, Outcome::Known);
    setting.pass(3599);
    for outcome in [true, true, false] {
        let guess = setting.bring(&basic("ann:wrong"), Some(HERE)).await;
        assert_eq!(guess == Outcome::Rejected, outcome, "{guess:?}");
    }
    setting.pass(120);
    guess().await;
    let waits = setting.bring(&right, Some(HERE)).await;
    assert!(matches!(waits, Outcome::TooMany(..)), "{waits:?}");
}

#[tokio::test]
async fn any_long_secret_but_a_password_is_looked_at_once_it_has_counted() {
    let long = "x".repeat(32);
    for (secret, is_password, is_looked_at) in
        [(&long, false, true), (&long, true, false), (&long[..31].to_owned(), false, false)]
    {
        let setting = Setting::new(Some(Rate::of(1, 600)));
        setting.accept(secret);
        setting.known.is_password.store(is_password, Relaxed);
        for header in [secret.clone(), basic(&format!("token:{secret}"))] {
            assert_eq!(setting.bring(&header, Some(HERE)).await, Outcome::Known);
        }
        assert_eq!(setting.bring("wrong", Some(HERE)).await, Outcome::Rejected);
        let outcome = setting.bring(secret, Some(HERE)).await;
        assert_eq!(outcome == Outcome::Known, is_looked_at, "{outcome:?}");
    }
}

#[tokio::test]
async fn wrong_tokens_beside_a_user_name_are_none_of_that_user() {
    let setting = Setting::new(Some(Rate::of(1, 600)));
    setting.accept("right");
    for number in 0..20 {
        let guess = basic(&format!("token:{number:032}"));
        let outcome = setting.bring(&guess, Some(&format!("198.51.100.{number}"))).await;
        assert_eq!(outcome, Outcome::Rejected);
    }
    assert_eq!(setting.bring(&basic("token:right"), Some(HERE)).await, Outcome::Known);
}

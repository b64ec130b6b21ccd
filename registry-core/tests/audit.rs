//! What a registry notes of its work. Runs with the feature `conformance`.
#![cfg(feature = "conformance")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use registry_core::{
    Login, Owner, Registry, RegistryConfig,
    audit::{AuditAction, AuditEntry, AuditLog, AuditOutcome, AuditQuery, AuditRecord, AuditText},
    auth::{
        AuthError, AuthStoreError, Authenticator, Caller, CratePattern, Credential, EndpointScope,
        Principal, RequestId, Scopes,
        oidc::{JwtError, Verified, VerifyError, VerifyIdentity},
        trusted::{TrustedPublisher, TrustedPublishing},
    },
    conformance::{
        faulty::{Fault, Faults, FaultyIndex},
        fixture::publish_body,
        record_fixture::{canonical, login, owner, version},
    },
    memory::{
        MemoryAudit, MemoryCrateStore, MemoryIndex, MemorySingleUse, MemoryTokens,
        MemoryTrustedPublishers,
    },
    observer::{Event, Observer},
    record::Timestamp,
    registry::RegistryBuilder,
};

/// Knows every login that begins with a `b`, and no credential.
#[derive(Debug)]
struct Users;

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, _: &Credential) -> Result<Arc<Principal>, AuthError> {
        Err(AuthError::Rejected)
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(login.as_str().starts_with('b').then(|| owner(2, login.as_str())))
    }
}

fn builder(trail: &MemoryAudit) -> RegistryBuilder {
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let index = MemoryIndex::new().with_audit(trail.clone());
    Registry::builder(config, index, MemoryCrateStore::new()).authenticator(Users)
}

fn caller(login: &str) -> Caller {
    Caller {
        request: RequestId::new("r-1"),
        address: Some("192.0.2.1".parse().unwrap()),
        ..Caller::from(Principal::from(owner(1, login)))
    }
}

async fn publish(registry: &Registry, caller: Caller, body: &[u8]) -> bool {
    let Ok(mut publish) = registry.begin_publish(caller, None).await else { return false };
    publish.write(body).await.is_ok() && publish.finish().await.is_ok()
}

/// All entries, each shown but for when it was made, which was now.
async fn trail(trail: &impl AuditLog) -> Vec<String> {
    let found = trail.query(&AuditQuery::default()).await.unwrap();
    found.into_iter().map(|AuditRecord { entry, .. }| shown(&entry)).collect()
}

fn shown(entry: &AuditEntry) -> String {
    // Some year in which nobody runs this before it was written.
    assert!(entry.at > Timestamp(1_750_000_000), "{entry:?}");
    let text = |text: &Option<AuditText>| text.as_ref().map_or("-", AuditText::as_str).to_owned();
    let about = |about: Option<String>| about.unwrap_or_else(|| "-".to_owned());
    [
        entry.outcome.to_string(),
        entry.action.to_string(),
        about(entry.crate_name.as_ref().map(ToString::to_string)),
        about(entry.version.as_ref().map(ToString::to_string)),
        about(entry.login.as_ref().map(ToString::to_string)),
        text(&entry.credential),
        text(&entry.request),
        about(entry.address.map(|address| address.to_string())),
        text(&entry.detail),
    ]
    .join(" | ")
}

const ALICE: &str = r"alice | host | r-1 | 192.0.2.1";
const BOB: &str = r"bob | host | r-1 | 192.0.2.1";

#[tokio::test]
async fn every_write_and_every_refusal_is_an_entry() {
    let audit = MemoryAudit::new();
    let registry = builder(&audit).audit(audit.clone()).build();
    let (alice, bob) = (caller("alice"), caller("bob"));
    let (name, one, two) = (canonical("foo"), version("1.0.0"), version("2.0.0"));
    let body = publish_body("foo", "1.0.0");
    let nobody = Caller { principal: None, ..caller("alice") };
    let reader = {
        let mut principal = Principal::from(owner(1, "alice"));
        principal.scopes = Scopes::new([EndpointScope::Read], [CratePattern::any()]);
        Caller { principal: Some(Arc::new(principal)), ..caller("alice") }
    };

    assert!(!publish(&registry, nobody.clone(), &body).await);
    assert!(!publish(&registry, reader.clone(), &body).await);
    assert!(!publish(&registry, alice.clone(), b"\xff\xff\xff\x7f{").await);
    let mut damaged = body.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(!publish(&registry, alice.clone(), &damaged).await);
    assert!(publish(&registry, alice.clone(), &body).await);
    assert!(!publish(&registry, alice.clone(), &body).await);
    assert!(!publish(&registry, bob.clone(), &publish_body("foo", "2.0.0")).await);

    registry.set_yanked(&alice, &name, &two, true).await.unwrap_err();
    registry.set_yanked(&bob, &name, &one, true).await.unwrap_err();
    registry.set_yanked(&alice, &name, &one, true).await.unwrap();
    // Nothing is written by what is so already.
    registry.set_yanked(&alice, &name, &one, true).await.unwrap();
    registry.set_yanked(&nobody, &name, &one, false).await.unwrap_err();
    registry.set_yanked(&alice, &name, &one, false).await.unwrap();
    registry.set_yanked(&alice, &canonical("absent"), &one, true).await.unwrap_err();

    let logins = [login("bob"), login("bill")];
    registry.add_owners(&bob, &name, &logins).await.unwrap_err();
    registry.add_owners(&alice, &name, &[login("carol")]).await.unwrap_err();
    registry.add_owners(&alice, &name, &logins).await.unwrap();
    registry.remove_owners(&alice, &name, &[login("carol")]).await.unwrap_err();
    registry.remove_owners(&alice, &name, &logins).await.unwrap();
    registry.remove_owners(&alice, &name, &[login("alice")]).await.unwrap_err();

    let not_an_owner = "this crate exists but you don't seem to be an owner; an owner can add you \
                        with `cargo owner --add`";
    let nobody = r"- | - | r-1 | 192.0.2.1";
    let missing = "this action requires authentication";
    let checksum = registry.record(&alice, &name).await.unwrap().releases()[0].line.checksum();
    let found = trail(&audit).await;
    let expected = [
        format!("refused | publish | - | - | {nobody} | {missing}"),
        format!(
            "refused | publish | foo | 1.0.0 | {ALICE} | this token does not have the required \
             permissions to perform this action: it lacks the scope `publish-new`"
        ),
        format!("refused | publish | - | - | {ALICE} | JSON metadata blob too large"),
        format!(
            "refused | publish | foo | 1.0.0 | {ALICE} | uploaded tarball is malformed or too large when decompressed"
        ),
        format!("done | publish | foo | 1.0.0 | {ALICE} | sha256:{checksum}"),
        format!(
            "refused | publish | foo | 1.0.0 | {ALICE} | crate version `1.0.0` is already uploaded"
        ),
        format!("refused | publish | foo | 2.0.0 | {BOB} | {not_an_owner}"),
        format!(
            "refused | yank | foo | 2.0.0 | {ALICE} | crate `foo` does not have a version `2.0.0`"
        ),
        format!("refused | yank | foo | 1.0.0 | {BOB} | {not_an_owner}"),
        format!("done | yank | foo | 1.0.0 | {ALICE} | -"),
        format!("refused | unyank | foo | 1.0.0 | {nobody} | {missing}"),
        format!("done | unyank | foo | 1.0.0 | {ALICE} | -"),
        format!("refused | yank | absent | 1.0.0 | {ALICE} | crate `absent` does not exist"),
        format!("refused | add-owners | foo | - | {BOB} | bob, bill: {not_an_owner}"),
        format!(
            "refused | add-owners | foo | - | {ALICE} | carol: could not find user with login `carol`"
        ),
        format!("done | add-owners | foo | - | {ALICE} | bob, bill"),
        format!(
            "refused | remove-owners | foo | - | {ALICE} | carol: could not find owner with login `carol`"
        ),
        format!("done | remove-owners | foo | - | {ALICE} | bob, bill"),
        format!(
            "refused | remove-owners | foo | - | {ALICE} | alice: cannot remove all individual owners of a crate"
        ),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_one_entry() {
    for fault in [Fault::Before, Fault::After] {
        let audit = MemoryAudit::new();
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let faults = Faults::none();
        let index = MemoryIndex::new().with_audit(audit.clone());
        let index = FaultyIndex::new(index, faults.clone());
        let registry =
            Registry::builder(config, index, MemoryCrateStore::new()).audit(audit.clone()).build();
        // The calls of a publish: two loads, then the commit.
        faults.arm(2, fault);
        let body = publish_body("foo", "1.0.0");
        let published = publish(&registry, caller("alice"), &body).await;
        assert!(faults.struck());
        // A failure is no refusal.
        let entries = trail(&audit).await.len();
        let expected = if fault == Fault::After { (true, 1) } else { (false, 0) };
        assert_eq!((published, entries), expected, "{fault:?}");
    }
}

/// Remembers what it was told, in words.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Observer for Told {
    fn observe(&self, event: &Event<'_>) {
        let told = match event {
            Event::Committed(change) => format!("committed {}", change.name),
            Event::Refused(entry) => format!("refused {}", entry.action),
            Event::Administered(entry) => format!("administered {}", entry.action),
            Event::Unrecorded(entry, error) => format!("{error}: {}", entry.action),
            _ => return,
        };
        self.0.lock().unwrap().push(told);
    }
}

/// A trail on a disk that is full.
#[derive(Debug)]
struct Full;

#[async_trait]
impl AuditLog for Full {
    async fn append(&self, _: &AuditEntry) -> Result<(), AuthStoreError> {
        Err(AuthStoreError { backend: "full", source: "no room".into() })
    }

    async fn query(&self, _: &AuditQuery) -> Result<Vec<AuditRecord>, AuthStoreError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_refusal_that_cannot_be_recorded_is_still_a_refusal() {
    let told = Told::default();
    let registry = builder(&MemoryAudit::new()).audit(Full).observer(told.clone()).build();
    let (alice, name, one) = (caller("alice"), canonical("foo"), version("1.0.0"));
    assert!(publish(&registry, alice.clone(), &publish_body("foo", "1.0.0")).await);
    let refused = registry.set_yanked(&caller("bob"), &name, &one, true).await.unwrap_err();
    assert!(refused.to_string().starts_with("this crate exists but"), "{refused}");
    let made = AuditEntry::done(&alice, AuditAction::CREATE_TOKEN, "token 1");
    assert_eq!(made.outcome, AuditOutcome::Done);
    registry.audit(made).await;
    let expected = [
        "committed foo",
        "refused yank",
        "token store full failed: yank",
        "administered create-token",
        "token store full failed: create-token",
    ];
    assert_eq!(*told.0.lock().unwrap(), expected);
}

/// Believes nothing.
#[derive(Debug)]
struct Disbelieving;

#[async_trait]
impl VerifyIdentity for Disbelieving {
    async fn verify(&self, _: &str, _: Timestamp) -> Result<Verified, VerifyError> {
        Err(VerifyError::Invalid(JwtError::Malformed))
    }
}

#[tokio::test]
async fn whose_ci_runs_may_publish_is_an_entry() {
    let audit = MemoryAudit::new();
    let (publishers, used) = (MemoryTrustedPublishers::new(), MemorySingleUse::new());
    let trusted = TrustedPublishing::new(Disbelieving, publishers, used, MemoryTokens::new());
    let registry = builder(&audit).audit(audit.clone()).trusted_publishing(trusted).build();
    let (alice, bob, name) = (caller("alice"), caller("bob"), canonical("foo"));
    let nobody = Caller { principal: None, ..caller("alice") };
    assert!(publish(&registry, alice.clone(), &publish_body("foo", "1.0.0")).await);
    let publisher = |number| TrustedPublisher::Buildkite {
        issuer: TrustedPublisher::BUILDKITE.into(),
        organization: "acme".into(),
        organization_id: None,
        pipeline: format!("app-{number}"),
    };
    let add = async |caller: &Caller, name: &str, number| {
        registry.add_trusted_publisher(caller, &canonical(name), &publisher(number)).await.is_ok()
    };
    let remove =
        async |caller: &Caller, id| registry.remove_trusted_publisher(caller, id).await.is_ok();

    assert!(!add(&nobody, "foo", 1).await);
    assert!(!add(&bob, "foo", 1).await);
    assert!(!add(&alice, "absent", 1).await);
    assert!(add(&alice, "foo", 1).await);
    assert!(!remove(&bob, 1).await);
    assert!(!remove(&alice, 2).await);
    assert!(remove(&alice, 1).await);
    let most = TrustedPublishing::MAX_PUBLISHERS as u64;
    for number in 0..most {
        assert!(add(&alice, "foo", number).await);
    }
    assert!(!add(&alice, "foo", most).await);
    // Who only looks leaves no trace.
    registry.trusted_publishers(&bob, &name).await.unwrap_err();

    let not_an_owner = "this crate exists but you don't seem to be an owner; an owner can add you \
                        with `cargo owner --add`";
    let (done, refused) =
        ("done | configure-trusted-publishing", "refused | configure-trusted-publishing");
    let nobody = r"- | - | r-1 | 192.0.2.1";
    let mut expected = vec![
        format!("{refused} | foo | - | {nobody} | this action requires authentication"),
        format!("{refused} | foo | - | {BOB} | {not_an_owner}"),
        format!("{refused} | absent | - | {ALICE} | crate `absent` does not exist"),
        format!("{done} | foo | - | {ALICE} | trusted publisher 1 added"),
        format!("{refused} | foo | - | {BOB} | {not_an_owner}"),
        format!("{refused} | - | - | {ALICE} | there is no trusted publisher `2`"),
        format!("{done} | foo | - | {ALICE} | trusted publisher 1 removed"),
    ];
    let added = (2..most + 2)
        .map(|id| format!("{done} | foo | - | {ALICE} | trusted publisher {id} added"));
    expected.extend(added);
    let too_many = "a crate has at most 20 trusted publishers";
    expected.push(format!("{refused} | foo | - | {ALICE} | {too_many}"));
    assert_eq!(trail(&audit).await[1..], expected);
}

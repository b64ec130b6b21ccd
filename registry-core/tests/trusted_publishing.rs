//! What CI runs may do in the place of a crate's owners, and for how long.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, Checksum, Login, Owner, Registry, RegistryConfig,
    auth::{
        AllowAll, AuthError, Authorizer, Caller, Credential, CredentialForms, Groups,
        OwnersMayWrite, Principal, RolePolicy, TokenAuthenticator,
        oidc::{Claims, Verified, VerifyError, VerifyIdentity},
        trusted::{TrustedPublisher, TrustedPublisherStore as _, TrustedPublishing},
    },
    conformance::fixture::publish_body,
    memory::{
        MemoryCrateStore, MemoryIndex, MemorySingleUse, MemoryTokens, MemoryTrustedPublishers,
    },
    record::Timestamp,
    registry::{PublishError, TrustedPublishingError, WriteError},
};
use serde_json::{Value, json};

/// Believes a text of claims.
#[derive(Debug)]
struct Believing;

#[async_trait]
impl VerifyIdentity for Believing {
    async fn verify(&self, token: &str, _: Timestamp) -> Result<Verified, VerifyError> {
        let claims: Value = serde_json::from_str(token).unwrap();
        let claims = Claims::from(claims.as_object().unwrap().clone());
        Ok(Verified { claims, digest: Checksum::of(token) })
    }
}

/// A registry with what decides in it, and its publishers.
struct Bench {
    registry: Registry,
    publishers: MemoryTrustedPublishers,
}

impl Bench {
    fn new(tokens: &MemoryTokens, authorizer: impl Authorizer) -> Self {
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let publishers = MemoryTrustedPublishers::new();
        let used = MemorySingleUse::new();
        let trusted = TrustedPublishing::new(Believing, publishers.clone(), used, tokens.clone());
        let registry = Registry::builder(config, MemoryIndex::new(), MemoryCrateStore::new())
            .authenticator(TokenAuthenticator::new(tokens.clone()))
            .authorizer(authorizer)
            .trusted_publishing(trusted)
            .build();
        Self { registry, publishers }
    }

    async fn publish(&self, caller: &Caller, name: &str, version: &str) -> Result<(), String> {
        let publish = async || {
            let mut publish = self.registry.begin_publish(caller.clone(), None).await?;
            publish.write(&publish_body(name, version)).await?;
            publish.finish().await
        };
        match publish().await {
            Ok(_) => Ok(()),
            Err(PublishError::Write(error)) => Err(error.to_string()),
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn trust(
        &self,
        caller: &Caller,
        name: &str,
        publisher: &TrustedPublisher,
    ) -> Result<u64, TrustedPublishingError> {
        let added = self.registry.add_trusted_publisher(caller, &canonical(name), publisher).await;
        added.map(|record| record.id)
    }

    /// A run that has exchanged its identity token.
    async fn run(&self, claims: &Value) -> Caller {
        let token = self.exchange(claims).await.unwrap();
        let token = Credential::from_header(token.as_bytes(), CredentialForms::default());
        self.registry.caller(Some(token.unwrap()), None, None).await.unwrap()
    }

    async fn exchange(&self, claims: &Value) -> Result<String, String> {
        static RUN: AtomicU64 = AtomicU64::new(0);
        let mut claims = claims.clone();
        claims["jti"] = RUN.fetch_add(1, Ordering::Relaxed).into();
        claims["exp"] = (1_u64 << 40).into();
        let exchanged = self.registry.exchange_identity_token(&claims.to_string()).await;
        exchanged.map(|(token, _)| token.expose().to_owned()).map_err(|error| error.to_string())
    }
}

fn canonical(name: &str) -> CanonicalName {
    CanonicalName::new(name).unwrap()
}

fn user(login: &str, groups: &[&str]) -> Caller {
    let groups: Groups = groups.iter().map(|group| Login::new(group).unwrap()).collect();
    let user = Owner { id: 1, login: Login::new(login).unwrap(), name: None };
    Principal { groups, ..user.into() }.into()
}

fn login(caller: &Caller) -> &str {
    caller.principal().unwrap().user.login.as_str()
}

fn github() -> TrustedPublisher {
    TrustedPublisher::GitHub {
        issuer: TrustedPublisher::GITHUB.into(),
        repository_owner: "Octo-Org".into(),
        repository_owner_id: 65,
        repository: "hello".into(),
        workflow: "publish.yml".into(),
        environment: None,
    }
}

fn github_run() -> Value {
    json!({
        "iss": TrustedPublisher::GITHUB, "repository": "octo-org/hello", "run_id": "1658821493",
        "repository_owner_id": "65", "event_name": "push",
        "workflow_ref": "octo-org/hello/.github/workflows/publish.yml@refs/heads/main",
    })
}

/// By openssl: the first digits of the SHA-256 of the issuer and `owner 65 octo-org/hello`.
const LOGIN: &str = "trusted-publisher:6f5713591e862b76";

#[tokio::test]
async fn a_publisher_that_was_removed_publishes_no_more() {
    let bench = Bench::new(&MemoryTokens::new(), OwnersMayWrite);
    let alice = user("alice", &[]);
    for name in ["hello", "other"] {
        bench.publish(&alice, name, "1.0.0").await.unwrap();
    }
    let id = bench.trust(&alice, "hello", &github()).await.unwrap();
    bench.trust(&alice, "other", &github()).await.unwrap();
    let run = bench.run(&github_run()).await;
    bench.publish(&run, "hello", "1.1.0").await.unwrap();
    bench.registry.remove_trusted_publisher(&alice, id).await.unwrap();
    let refused = "this run is not, or no longer, a trusted publisher of `hello`".to_owned();
    assert_eq!(bench.publish(&run, "hello", "1.2.0").await, Err(refused.clone()));
    bench.publish(&run, "other", "1.1.0").await.unwrap();
    // One that is added is another one, which the run was never asked about.
    bench.trust(&alice, "hello", &github()).await.unwrap();
    assert_eq!(bench.publish(&run, "hello", "1.2.0").await, Err(refused));
    bench.publish(&bench.run(&github_run()).await, "hello", "1.2.0").await.unwrap();
}

#[tokio::test]
async fn a_publisher_of_another_registry_with_the_same_tokens_is_none_here() {
    let tokens = MemoryTokens::new();
    let (prod, play) = (Bench::new(&tokens, OwnersMayWrite), Bench::new(&tokens, AllowAll));
    let (alice, mallory) = (user("alice", &[]), user("mallory", &[]));
    prod.publish(&alice, "hello", "1.0.0").await.unwrap();
    prod.trust(&alice, "hello", &github()).await.unwrap();
    play.publish(&mallory, "hello", "1.0.0").await.unwrap();
    // Ids are different in all registries of a database.
    let (by, now) = (&Login::new("mallory").unwrap(), Timestamp(0));
    play.publishers.add(&canonical("x"), &github(), now, by).await.unwrap();
    let other = TrustedPublisher::Generic {
        issuer: "https://ci.example.com".into(),
        claims: [("sub".into(), "mallory".into())].into(),
    };
    play.trust(&mallory, "hello", &other).await.unwrap();
    let run = play.run(&json!({"iss": "https://ci.example.com", "sub": "mallory"})).await;
    play.publish(&run, "hello", "1.1.0").await.unwrap();
    let refused = "this run is not, or no longer, a trusted publisher of `hello`".to_owned();
    assert_eq!(prod.publish(&run, "hello", "9.9.9").await, Err(refused));
    prod.publish(&prod.run(&github_run()).await, "hello", "1.1.0").await.unwrap();
}

#[tokio::test]
async fn who_may_not_publish_does_not_let_others_publish() {
    let policy = r#"
        [[rules]]
        allow = ["read", "publish-new"]
        to = ["authenticated", "trusted-publishers"]
        crates = ["*"]
        [[rules]]
        deny = ["publish-update"]
        to = ["group:guests"]
        crates = ["*"]
    "#;
    let bench = Bench::new(&MemoryTokens::new(), RolePolicy::from_toml(policy).unwrap());
    let (guest, alice) = (user("alice", &["group:guests"]), user("alice", &[]));
    bench.publish(&guest, "hello", "1.0.0").await.unwrap();
    match bench.trust(&guest, "hello", &github()).await.unwrap_err() {
        TrustedPublishingError::Write(WriteError::Auth(AuthError::Forbidden { reason })) => {
            assert_eq!(reason, "a rule of this registry denies you `publish-update` of `hello`");
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(bench.publishers.list(None).await.unwrap(), []);
    bench.trust(&alice, "hello", &github()).await.unwrap();
    bench.publish(&bench.run(&github_run()).await, "hello", "1.1.0").await.unwrap();
}

#[tokio::test]
async fn runs_have_no_part_in_what_users_may_do() {
    let policy = |to: &str| {
        let rules = format!(
            r#"
            [[rules]]
            allow = ["read", "publish-new"]
            to = {to}
            crates = ["*"]
            [[rules]]
            deny = ["read"]
            to = ["group:guests"]
            crates = ["secret"]
            "#
        );
        RolePolicy::from_toml(&rules).unwrap()
    };
    let names = ["hello", "secret"];
    let all = r#"["authenticated", "trusted-publishers"]"#;
    for (to, of_run) in [(r#"["authenticated"]"#, [false; 2]), (all, [true; 2])] {
        let bench = Bench::new(&MemoryTokens::new(), policy(to));
        let (alice, guest) = (user("alice", &[]), user("eve", &["group:guests"]));
        for name in names {
            bench.publish(&alice, name, "1.0.0").await.unwrap();
        }
        bench.trust(&alice, "hello", &github()).await.unwrap();
        let run = bench.run(&github_run()).await;
        for (who, expected) in [(&alice, [true; 2]), (&guest, [true, false]), (&run, of_run)] {
            for (name, reads) in names.into_iter().zip(expected) {
                let read = bench.registry.record(who, &canonical(name)).await;
                assert_eq!(read.is_ok(), reads, "{} of {name} to {to}", login(who));
            }
        }
        assert_eq!(bench.publish(&run, "hello", "1.1.0").await.is_ok(), of_run[0]);
    }
}

#[tokio::test]
async fn what_others_compare_of_an_issuers_tokens_is_not_told() {
    let bench = Bench::new(&MemoryTokens::new(), AllowAll);
    let alice = user("alice", &[]);
    bench.publish(&alice, "hello", "1.0.0").await.unwrap();
    let department = TrustedPublisher::Generic {
        issuer: TrustedPublisher::GITHUB.into(),
        claims: [("department".into(), "secret".into())].into(),
    };
    bench.trust(&alice, "hello", &department).await.unwrap();
    let mut run = github_run();
    run["event_name"] = json!("workflow_run");
    let unknown = "no crate trusts the repository or pipeline that the identity token is of";
    assert_eq!(bench.exchange(&run).await, Err(unknown.to_owned()));
    // Of one's own repository, it is.
    bench.trust(&alice, "hello", &github()).await.unwrap();
    let mismatch =
        "the identity token is not of a trusted publisher: its claim `event_name` does not match";
    assert_eq!(bench.exchange(&run).await, Err(mismatch.to_owned()));
}

#[tokio::test]
async fn the_login_of_a_run_does_not_depend_on_who_has_named_it() {
    let bench = Bench::new(&MemoryTokens::new(), AllowAll);
    let (alice, mallory) = (user("alice", &[]), user("mallory", &[]));
    for name in ["evil", "hello"] {
        bench.publish(&alice, name, "1.0.0").await.unwrap();
    }
    assert_eq!(github().login(), Some(Login::new(LOGIN).unwrap()));
    let forgejo = |repository_owner_id| TrustedPublisher::Forgejo {
        issuer: TrustedPublisher::GITHUB.into(),
        repository_owner: "octo-org".into(),
        repository_owner_id,
        repository: "HELLO".into(),
        workflow: ".github/workflows/publish.yml".into(),
    };
    assert_eq!(forgejo(Some(65)).login(), github().login());
    assert_ne!(forgejo(Some(66)).login(), github().login());
    let generic = |name: &str, value: &str| TrustedPublisher::Generic {
        issuer: TrustedPublisher::GITHUB.into(),
        claims: [(name.into(), value.into())].into(),
    };
    // Of which repository such a run is, it tells when it comes.
    let by_number = generic("repository_owner_id", "65");
    for publisher in [forgejo(None), by_number] {
        assert_eq!(publisher.login(), None);
        bench.trust(&mallory, "evil", &publisher).await.unwrap();
        assert_eq!(login(&bench.run(&github_run()).await), LOGIN);
    }
    bench.trust(&alice, "hello", &github()).await.unwrap();
    let run = bench.run(&github_run()).await;
    assert_eq!(login(&run), LOGIN);
    bench.publish(&run, "hello", "1.1.0").await.unwrap();
    let mut other = github_run();
    other["repository"] = json!("octo-org/other");
    assert_ne!(login(&bench.run(&other).await), LOGIN);
}

#[tokio::test]
async fn the_login_of_a_run_is_not_that_of_another_owner_or_of_all_that_an_issuer_knows() {
    let bench = Bench::new(&MemoryTokens::new(), AllowAll);
    let alice = user("alice", &[]);
    bench.publish(&alice, "hello", "1.0.0").await.unwrap();
    let TrustedPublisher::GitHub { issuer, repository_owner, repository, workflow, .. } = github()
    else {
        unreachable!()
    };
    // The name of an organization that was deleted, taken by another one.
    let taken = TrustedPublisher::GitHub {
        issuer,
        repository_owner,
        repository_owner_id: 66,
        repository,
        workflow,
        environment: None,
    };
    bench.trust(&alice, "hello", &taken).await.unwrap();
    let mut run = github_run();
    run["repository_owner_id"] = json!("66");
    let of_taken = bench.run(&run).await;
    assert_eq!(login(&of_taken), taken.login().unwrap().as_str());
    assert_ne!(login(&of_taken), LOGIN);

    const CI: &str = "https://ci.example.com";
    let any =
        TrustedPublisher::Generic { issuer: CI.into(), claims: [("ci".into(), "7".into())].into() };
    assert_eq!(any.login(), None);
    bench.trust(&alice, "hello", &any).await.unwrap();
    let mut logins = BTreeSet::new();
    for sub in ["a", "A", "b"] {
        // One of its claims is chosen by whoever starts the run.
        for repository in ["octo-org/hello", "octo-org/other"] {
            let run = json!({"iss": CI, "ci": 7, "sub": sub, "repository": repository});
            logins.insert(login(&bench.run(&run).await).to_owned());
        }
    }
    assert_eq!(logins.len(), 3);
}

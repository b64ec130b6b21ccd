//! A registry whose users sign their tokens by themselves. Runs with the features `conformance` and
//! `paseto`.
#![cfg(all(feature = "conformance", feature = "paseto"))]

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pasetors::{
    keys::{AsymmetricPublicKey, AsymmetricSecretKey},
    version3::{PublicToken, V3},
};
use registry_core::{
    CanonicalName, Checksum, Login, Owner, Registry, RegistryConfig,
    auth::{
        AccountKind, AccountStore, AuthError, Caller, Credential, CredentialForms, CredentialId,
        Groups, Identity, KeyRecord, KeyRequest, KeyStore, Keys, OwnersMayWrite, Principal,
        PublicKey, Scopes, Vouched, paseto::KeyAuthenticator,
    },
    conformance::fixture::publish_body,
    memory::{MemoryAccounts, MemoryCrateStore, MemoryIndex, MemoryKeys, MemorySingleUse},
    record::Timestamp,
    registry::{PublishError, WriteError},
};
use semver::Version;

/// Somebody with a key, and the registry where it is registered.
struct Signer {
    registry: Registry,
    keys: MemoryKeys,
    accounts: MemoryAccounts,
    secret: AsymmetricSecretKey<V3>,
    key: KeyRecord,
    url: String,
}

impl Signer {
    async fn new() -> Self {
        let signer = Self::without_keys().await;
        signer.keys.add(&signer.key).await.unwrap();
        signer
    }

    async fn without_keys() -> Self {
        let (accounts, alice, ui) = (MemoryAccounts::new(), login("alice"), login("group:ui"));
        let account = accounts.create_account(&alice, None, AccountKind::User).await.unwrap();
        accounts.create_account(&ui, None, AccountKind::Group).await.unwrap();
        accounts.add_member(&ui, &alice).await.unwrap();
        let secret = AsymmetricSecretKey::from(&[42; 48]).unwrap();
        let public = AsymmetricPublicKey::<V3>::try_from(&secret).unwrap();
        let public = format!("k3.public.{}", URL_SAFE_NO_PAD.encode(public.as_bytes()));
        let key: PublicKey = public.parse().unwrap();
        let key = KeyRecord {
            id: key.id(),
            key,
            user: account.owner,
            name: "laptop".into(),
            subject: None,
            vouched: Vouched::default(),
            created_at: Timestamp(0),
            revoked_at: None,
        };
        let keys = MemoryKeys::new();
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let config = config.with_auth_required(true);
        let url = config.index_url();
        let used = MemorySingleUse::new();
        let authenticator =
            KeyAuthenticator::new(keys.clone(), accounts.clone(), used, config.index_urls());
        let registry = Registry::builder(config, MemoryIndex::new(), MemoryCrateStore::new())
            .authenticator(authenticator)
            .authorizer(OwnersMayWrite)
            .build();
        Self { registry, keys, accounts, secret, key, url }
    }

    /// Signs a token of now, with these claims besides.
    fn sign(&self, claims: &str) -> Credential {
        let now = Timestamp::from(SystemTime::now()).to_rfc3339().unwrap();
        let payload = format!(r#"{{"iat":"{now}"{claims}}}"#);
        let footer = format!(r#"{{"url":"{}","kip":"{}"}}"#, self.url, self.key.id);
        let (payload, footer) = (payload.as_bytes(), footer.as_bytes());
        let token = PublicToken::sign(&self.secret, payload, Some(footer), None).unwrap();
        Credential::from_header(token.as_bytes(), CredentialForms::default()).unwrap()
    }

    async fn caller(&self, credential: &Credential) -> Result<Caller, AuthError> {
        self.registry.caller(Some(credential.clone()), None, None).await
    }

    async fn publish(&self, credential: &Credential, body: &[u8]) -> Result<(), PublishError> {
        let caller = self.caller(credential).await.unwrap();
        let mut publish = self.registry.begin_publish(caller, None).await?;
        publish.write(body).await?;
        publish.finish().await.map(drop)
    }

    /// A token to publish `foo` 1.0.0 with, and the body.
    fn publish_token(&self) -> (Credential, Vec<u8>) {
        let body = publish_body("foo", "1.0.0");
        let metadata = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        let checksum = Checksum::of(&body[4 + metadata + 4..]);
        let claims = format!(r#"{},"cksum":"{checksum}""#, release("publish"));
        (self.sign(&claims), body.to_vec())
    }

    async fn set_yanked(&self, credential: &Credential, yanked: bool) -> Result<(), WriteError> {
        let caller = self.caller(credential).await.unwrap();
        self.registry.set_yanked(&caller, &foo(), &Version::new(1, 0, 0), yanked).await
    }
}

/// The claims of a write to `foo` 1.0.0.
fn release(mutation: &str) -> String {
    format!(r#","mutation":"{mutation}","name":"foo","vers":"1.0.0""#)
}

fn login(login: &str) -> Login {
    Login::new(login).unwrap()
}

fn foo() -> CanonicalName {
    CanonicalName::new("foo").unwrap()
}

fn reason(error: &WriteError) -> String {
    assert!(matches!(error, WriteError::Auth(AuthError::Forbidden { .. })), "{error:?}");
    error.to_string()
}

const USED: &str = "this token has been used: one is signed for each change";
const OTHER: &str = "this token was made for another action";

#[tokio::test]
async fn a_token_without_a_mutation_reads_and_writes_nothing() {
    let signer = Signer::new().await;
    let (publish, body) = signer.publish_token();
    signer.publish(&publish, &body).await.unwrap();
    let read = signer.sign("");
    for _ in 0..2 {
        let caller = signer.caller(&read).await.unwrap();
        let expected = Principal {
            user: signer.key.user.clone(),
            vouched: Vouched::default(),
            groups: Groups::from_iter([login("group:ui")]),
            credential: CredentialId::Key(signer.key.id.clone().into()),
            scopes: Scopes::read_only(),
            claim: None,
        };
        assert_eq!(caller.principal().unwrap(), &expected);
        assert_eq!(signer.registry.owners(&caller, &foo()).await.unwrap().len(), 1);
    }
    let error = signer.set_yanked(&read, true).await.unwrap_err();
    assert_eq!(
        reason(&error),
        "this token does not have the required permissions to perform this action: it lacks the scope `yank`"
    );
}

#[tokio::test]
async fn a_replayed_unyank_is_refused() {
    let signer = Signer::new().await;
    let (publish, body) = signer.publish_token();
    signer.publish(&publish, &body).await.unwrap();
    let (yank, unyank) = (signer.sign(&release("yank")), signer.sign(&release("unyank")));
    signer.set_yanked(&yank, true).await.unwrap();
    signer.set_yanked(&unyank, false).await.unwrap();
    // With the times in seconds, tokens of one second are the same: this one has another claim.
    let again = signer.sign(&(release("yank") + r#","custom":1"#));
    signer.set_yanked(&again, true).await.unwrap();
    assert_eq!(reason(&signer.set_yanked(&unyank, false).await.unwrap_err()), USED);
    assert_eq!(reason(&signer.set_yanked(&yank, true).await.unwrap_err()), USED);
}

#[tokio::test]
async fn a_token_is_used_by_the_write_and_by_nothing_before_it() {
    let signer = Signer::new().await;
    let (publish, body) = signer.publish_token();
    // What it is not for does not use it up.
    let other = signer.publish(&publish, &publish_body("foo", "1.0.1")).await.unwrap_err();
    assert_eq!(other.to_string(), OTHER);
    signer.publish(&publish, &body).await.unwrap();
    // A version is there once in any case.
    signer.publish(&publish, &body).await.unwrap_err();
}

#[tokio::test]
async fn owners_are_changed_once_and_then_listed_with_the_same_token() {
    let signer = Signer::new().await;
    let (publish, body) = signer.publish_token();
    signer.publish(&publish, &body).await.unwrap();
    let owners = signer.sign(r#","mutation":"owners","name":"foo""#);
    let caller = signer.caller(&owners).await.unwrap();
    signer.registry.add_owners(&caller, &foo(), &[]).await.unwrap();
    for _ in 0..2 {
        let caller = signer.caller(&owners).await.unwrap();
        let listed = signer.registry.owners(&caller, &foo()).await.unwrap();
        assert_eq!(listed.iter().collect::<Vec<_>>(), [&signer.key.user]);
    }
    let caller = signer.caller(&owners).await.unwrap();
    let again = signer.registry.remove_owners(&caller, &foo(), &[]).await.unwrap_err();
    assert_eq!(reason(&again), USED);
}

#[tokio::test]
async fn of_copies_at_once_one_is_used() {
    let signer = Signer::new().await;
    let (publish, body) = signer.publish_token();
    signer.publish(&publish, &body).await.unwrap();
    let yank = signer.sign(&release("yank"));
    let copies = futures_util::future::join_all((0..8).map(|_| signer.set_yanked(&yank, true)));
    let refused = copies.await.into_iter().filter_map(Result::err);
    assert_eq!(refused.map(|error| reason(&error)).collect::<Vec<_>>(), [USED; 7]);
}

#[tokio::test]
async fn a_key_that_is_revoked_or_unknown_does_not_count() {
    let signer = Signer::new().await;
    let read = signer.sign("");
    signer.caller(&read).await.unwrap();
    let rejected = async || matches!(signer.caller(&read).await, Err(AuthError::Rejected));
    signer.keys.revoke(&signer.key.id, Timestamp(1)).await.unwrap();
    assert!(rejected().await);

    // The same key, of which this registry has not heard.
    let signer = Signer::without_keys().await;
    let caller = signer.caller(&signer.sign("")).await;
    assert!(matches!(caller, Err(AuthError::Rejected)), "{caller:?}");
}

#[tokio::test]
async fn the_keys_of_a_disabled_user_do_not_count() {
    let signer = Signer::new().await;
    let read = signer.sign("");
    signer.accounts.set_disabled(&login("alice"), Some(Timestamp(1))).await.unwrap();
    let caller = signer.caller(&read).await;
    assert!(matches!(caller, Err(AuthError::Rejected)), "{caller:?}");
    signer.accounts.set_disabled(&login("alice"), None).await.unwrap();
    signer.caller(&read).await.unwrap();
}

#[tokio::test]
async fn a_user_of_an_identity_provider_signs_as_they_registered_the_key() {
    let mut signer = Signer::without_keys().await;
    let user = Owner { id: 1 << 31 | 17, login: login("corp:alice"), name: None };
    let identity = Identity { issuer: "https://id.example.com".into(), subject: "17".into() };
    let groups = Groups::from_iter([login("group:corp:ui")]);
    let vouched = Vouched { identity: Some(identity), groups, ..Vouched::default() };
    let person = Principal {
        vouched: vouched.clone(),
        credential: CredentialId::IdentityToken,
        ..user.clone().into()
    };
    let keys = Keys::new(signer.keys.clone());
    let request = KeyRequest { key: signer.key.key, name: "laptop".into(), subject: None };
    signer.key = keys.of(&person).unwrap().register(&request).await.unwrap();

    let read = signer.sign("");
    let expected = Principal {
        vouched,
        credential: CredentialId::Key(signer.key.id.clone().into()),
        scopes: Scopes::read_only(),
        ..user.clone().into()
    };
    assert_eq!(signer.caller(&read).await.unwrap().principal().unwrap(), &expected);
    let (publish, body) = signer.publish_token();
    signer.publish(&publish, &body).await.unwrap();

    // Once there is an account of that login, it counts.
    let account = signer.accounts.create_account(&user.login, None, AccountKind::User).await;
    let owner = account.unwrap().owner;
    let expected = Principal { user: owner, ..expected };
    assert_eq!(signer.caller(&read).await.unwrap().principal().unwrap(), &expected);
    signer.accounts.set_disabled(&user.login, Some(Timestamp(1))).await.unwrap();
    let caller = signer.caller(&read).await;
    assert!(matches!(caller, Err(AuthError::Rejected)), "{caller:?}");
}

#[tokio::test]
async fn what_is_no_such_token_is_left_to_others() {
    let signer = Signer::new().await;
    for text in ["crg_token", "v3.public.x", "v4.public.x.y"] {
        let other = Credential::from_header(text.as_bytes(), CredentialForms::default()).unwrap();
        let caller = signer.caller(&other).await;
        assert!(matches!(caller, Err(AuthError::Rejected)), "{text}");
    }
}

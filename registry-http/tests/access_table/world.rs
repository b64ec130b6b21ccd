//! The registry that a row is about, and what it answers.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use registry_core::{
    Checksum, CrateRecord, Index as _, Login, Owner, Registry, RegistryConfig,
    auth::{
        AllowAll, AuthError, Authenticator, Caller, Claim, CratePattern, Credential,
        CredentialForms, CredentialId, EndpointScope, Mutation, Principal, Scopes, TokenId,
        Vouched,
        oidc::{Verified, VerifyError, VerifyIdentity},
        trusted::{TrustedPublisher, TrustedPublisherStore as _, TrustedPublishing},
    },
    conformance::fixture::{crate_file, publish_body},
    memory::{
        MemoryCrateStore, MemoryIndex, MemorySingleUse, MemoryTokens, MemoryTrustedPublishers,
    },
    record::{Change, Timestamp},
};
use registry_http::RegistryService;

use crate::{
    common::BASE,
    oracle::{Answered, Row},
    table::{Act, CRATE, Comes, Facts, NEW, OWNED, Owned, Run, canonical, login},
};

/// A request's credential, wherever it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// The values of the `Authorization` headers.
    pub(crate) headers: Vec<String>,
    /// What stands in front of the path.
    pub(crate) in_path: String,
}

/// What the registries of all rows begin with.
pub(crate) struct World {
    crates: MemoryCrateStore,
    seeds: Vec<(Owned, Option<(CrateRecord, Change)>)>,
    publish: Bytes,
    file: Checksum,
}

impl World {
    pub(crate) async fn new() -> Self {
        let crates = MemoryCrateStore::new();
        let mut seeds = Vec::new();
        for owned in OWNED {
            seeds.push((owned, seed(owned, &crates).await));
        }
        let publish = publish_body(CRATE, NEW).into();
        Self { crates, seeds, publish, file: Checksum::of(crate_file(CRATE, "1.0.0", "")) }
    }

    pub(crate) async fn answer(
        &self,
        row: Row,
        authenticator: Arc<dyn Authenticator>,
        forms: CredentialForms,
        sent: &Sent,
    ) -> Answered {
        let index = MemoryIndex::new();
        let (_, seed) = self.seeds.iter().find(|(owned, _)| *owned == row.owned).unwrap();
        if let Some((record, change)) = seed {
            index.commit(None, change, record).await.unwrap();
        }
        // A file that no line names, were it served, would be one too many.
        let crates = seed.as_ref().map_or_else(MemoryCrateStore::new, |_| self.crates.clone());
        let publishers = publishers().await;
        let (single_use, tokens) = (MemorySingleUse::new(), MemoryTokens::new());
        let trusted = TrustedPublishing::new(NoProvider, publishers.clone(), single_use, tokens);
        let config = RegistryConfig::new(BASE).unwrap().with_auth_required(row.private);
        let registry = Registry::builder(config, index.clone(), crates)
            .search(index.clone())
            .trusted_publishing(trusted)
            .authenticator(authenticator)
            .authorizer(row.names.over(row.house.authorizer()).await)
            .build();
        let service = RegistryService::new(registry).with_credential_forms(forms);
        let answered = self.ask(&service, row, sent).await;
        let after = index.load(&canonical(), None).await.unwrap().found();
        let before = seed.as_ref().map(|(record, _)| record);
        let changed = after.as_ref().map(|stored| &stored.record) != before;
        let is_trusting = publishers.list(None).await.unwrap().len() > 1;
        Answered { changed: changed || is_trusting, ..answered }
    }

    async fn ask(&self, service: &RegistryService, row: Row, sent: &Sent) -> Answered {
        let Row { act, owned, .. } = row;
        let api = format!("/api/v1/crates/{CRATE}");
        let (owners, publishers) = (format!("{api}/owners"), "/api/v1/trusted_publishing");
        let users = |login: &str| format!(r#"{{"users":["{login}"]}}"#).into();
        let (method, path, body) = match act {
            Act::Index => (Method::GET, "/index/ui/-k/ui-kit".into(), Bytes::new()),
            Act::Download => {
                (Method::GET, format!("/dl/{CRATE}/1.0.0/{}", self.file), Bytes::new())
            }
            Act::Owners => (Method::GET, owners, Bytes::new()),
            Act::Search => (Method::GET, "/api/v1/crates?q=ui-k".into(), Bytes::new()),
            Act::Publish => (Method::PUT, "/api/v1/crates/new".into(), self.publish.clone()),
            Act::Yank => (Method::DELETE, format!("{api}/1.0.0/yank"), Bytes::new()),
            Act::Unyank => (Method::PUT, format!("{api}/1.0.0/unyank"), Bytes::new()),
            Act::AddOwner => (Method::PUT, owners, users("bob")),
            Act::RemoveLast if owned == Owned::ByAlice => (Method::DELETE, owners, users("alice")),
            Act::RemoveLast => (Method::DELETE, owners, users("mallory")),
            Act::RemoveGroup => (Method::DELETE, owners, users("group:ui")),
            Act::TrustPublisher => {
                (Method::POST, format!("{publishers}/github_configs"), WORKFLOW.into())
            }
        };
        let mut request = Request::builder().method(method).uri(sent.in_path.clone() + &path);
        for header in &sent.headers {
            request = request.header("authorization", header);
        }
        let response = service.handle(request.body(Full::new(body)).unwrap()).await;
        let status = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text);
        let found = act == Act::Search && text.contains(r#""name":"ui-kit""#);
        // The total says no more than the page.
        assert!(
            status != 200 || act != Act::Search || text.contains(r#""total":1"#) == found,
            "{text}"
        );
        Answered { found, ..Answered::with(status) }
    }
}

const WORKFLOW: &str = r#"{"github_config":{"crate":"ui-kit","repository_owner":"acme",
    "repository_owner_id":7,"repository_name":"ui","workflow_filename":"release.yml"}}"#;

/// Those with one publisher of the crate.
async fn publishers() -> MemoryTrustedPublishers {
    let publishers = MemoryTrustedPublishers::new();
    let publisher = TrustedPublisher::Buildkite {
        issuer: TrustedPublisher::BUILDKITE.into(),
        organization: "acme".into(),
        organization_id: None,
        pipeline: CRATE.into(),
    };
    let added = publishers.add(&canonical(), &publisher, Timestamp(0), &login("alice")).await;
    assert_eq!(added.unwrap().id, Run::Trusted as u64);
    publishers
}

/// The crate as it is owned, and what made it so.
async fn seed(owned: Owned, crates: &MemoryCrateStore) -> Option<(CrateRecord, Change)> {
    let by = match owned {
        Owned::Absent => return None,
        Owned::ByAlice | Owned::ByGroup => "alice",
        Owned::ByMallory => "mallory",
    };
    let index = MemoryIndex::new();
    let config = RegistryConfig::new(BASE).unwrap();
    let registry = Registry::builder(config, index.clone(), crates.clone())
        .authenticator(Door::default())
        .authorizer(AllowAll)
        .build();
    let caller = Caller::from(Principal::from(owner(by)));
    let mut publish = registry.begin_publish(caller.clone(), None).await.unwrap();
    publish.write(&publish_body(CRATE, "1.0.0")).await.unwrap();
    let change = publish.finish().await.unwrap().change;
    if owned == Owned::ByGroup {
        for group in ["mallory", "group:ui"] {
            registry.add_owners(&caller, &canonical(), &[login(group)]).await.unwrap();
        }
        registry.remove_owners(&caller, &canonical(), &[login("alice")]).await.unwrap();
    }
    let record = index.load(&canonical(), None).await.unwrap().found().unwrap().record;
    Some((record, change))
}

/// Knows the comers by their names, and every user there could be.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<BTreeMap<&'static str, Arc<Principal>>>);

impl Door {
    pub(crate) fn for_all(comers: &[(&'static str, Comes)]) -> Self {
        let principals = comers.iter().filter_map(|(name, comes)| match comes {
            Comes::With(facts) => Some((*name, Arc::new(facts.principal()))),
            _ => None,
        });
        Self(Arc::new(principals.collect()))
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

#[async_trait]
impl Authenticator for Door {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        self.0.get(credential.expose()).cloned().ok_or(AuthError::Rejected)
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(Some(Owner { id: 2, login: login.clone(), name: None }))
    }
}

fn owner(text: &str) -> Owner {
    Owner { id: 1, login: login(text), name: None }
}

impl Facts {
    pub(crate) fn scopes(&self) -> Scopes {
        let scopes = self.scopes.iter().map(|scope| scope.parse().unwrap());
        let admin = self.admin.then_some(EndpointScope::Admin);
        Scopes::new(scopes.chain(admin), [CratePattern::new(self.pattern).unwrap()])
    }

    fn principal(&self) -> Principal {
        let id = TokenId::from_number(7).unwrap();
        Principal {
            groups: self.groups.iter().map(|group| login(group)).collect(),
            vouched: Vouched {
                publishers: self.run.iter().map(|run| *run as u64).collect(),
                ..Vouched::default()
            },
            credential: match self.run {
                Some(_) => CredentialId::TrustedPublisher(id),
                None => CredentialId::Token(id),
            },
            scopes: self.scopes(),
            claim: self.only_publish_of.map(|version| Claim {
                mutation: Mutation::Publish,
                name: canonical(),
                version: Some(version.parse().unwrap()),
                checksum: Some(Checksum::of(crate_file(CRATE, NEW, ""))),
                once: None,
            }),
            ..owner(self.user).into()
        }
    }
}

/// No identity token is exchanged here.
#[derive(Debug)]
struct NoProvider;

#[async_trait]
impl VerifyIdentity for NoProvider {
    async fn verify(&self, _: &str, _: Timestamp) -> Result<Verified, VerifyError> {
        unreachable!("no row exchanges one")
    }
}

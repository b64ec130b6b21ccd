//! Every action × credential × scope × policy × ownership × visibility, through the whole service,
//! against an oracle that is written from the documented rules alone.

mod common;

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use common::BASE;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use registry_core::{
    CanonicalName, Checksum, CrateRecord, Index as _, Login, Owner, Registry, RegistryConfig,
    auth::{
        AllowAll, AuthError, Authenticator, Authorizer, Caller, Claim, CratePattern, Credential,
        CredentialId, EndpointScope, Mutation, OwnersMayWrite, Principal, RolePolicy, Scopes,
        TokenId,
    },
    conformance::fixture::{crate_file, publish_body},
    memory::{MemoryCrateStore, MemoryIndex},
    record::Change,
};
use registry_http::RegistryService;

const CRATE: &str = "ui-kit";
const NEW: &str = "2.0.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Index,
    Download,
    Owners,
    Search,
    Publish,
    Yank,
    Unyank,
    AddOwner,
}

const ACTS: [Act; 8] = [
    Act::Index,
    Act::Download,
    Act::Owners,
    Act::Search,
    Act::Publish,
    Act::Yank,
    Act::Unyank,
    Act::AddOwner,
];

impl Act {
    fn is_read(self) -> bool {
        matches!(self, Self::Index | Self::Download | Self::Owners | Self::Search)
    }
}

/// Who comes, with what. Alice, gina and eve are users; gina is one of `group:ui`.
#[derive(Clone, Debug)]
enum Comes {
    WithNothing,
    WithNonsense,
    /// With a token that was good, of a user who is disabled.
    Disabled,
    With(Facts),
}

/// What the rules ask of a credential.
#[derive(Clone, Debug)]
struct Facts {
    user: &'static str,
    groups: &'static [&'static str],
    /// `*` for all; `admin` is not among them.
    scopes: &'static [&'static str],
    admin: bool,
    pattern: &'static str,
    /// Made for publishing this version of the crate, and nothing else.
    only_publish_of: Option<&'static str>,
    trusted_publisher: bool,
}

const USER: Facts = Facts {
    user: "alice",
    groups: &[],
    scopes: &[
        "read",
        "read-all",
        "publish-new",
        "publish-update",
        "yank",
        "change-owners",
        "trusted-publishing",
    ],
    admin: false,
    pattern: "*",
    only_publish_of: None,
    trusted_publisher: false,
};

fn comers() -> Vec<(&'static str, Comes)> {
    let with = |facts| Comes::With(facts);
    let scoped = |scopes| with(Facts { scopes, ..USER });
    vec![
        ("nobody", Comes::WithNothing),
        ("bad", Comes::WithNonsense),
        ("disabled", Comes::Disabled),
        ("full", with(USER)),
        ("as-admin", with(Facts { admin: true, ..USER })),
        ("read-only", scoped(&["read"])),
        ("read-all", scoped(&["read-all"])),
        ("new-only", scoped(&["publish-new"])),
        ("update-only", scoped(&["publish-update"])),
        ("yank-only", scoped(&["yank"])),
        ("owners-only", scoped(&["change-owners"])),
        ("nothing", scoped(&[])),
        ("narrow", with(Facts { pattern: "UI-*", scopes: &["read", "publish-update"], ..USER })),
        ("elsewhere", with(Facts { pattern: "api-*", scopes: &["read", "yank"], ..USER })),
        (
            "builds",
            with(Facts { pattern: "api-*", scopes: &["read-all", "publish-update"], ..USER }),
        ),
        ("claim", with(Facts { only_publish_of: Some(NEW), ..USER })),
        ("other-claim", with(Facts { only_publish_of: Some("3.0.0"), ..USER })),
        ("member", with(Facts { user: "gina", groups: &["group:ui"], ..USER })),
        ("stranger", with(Facts { user: "eve", ..USER })),
        (
            "run",
            with(Facts {
                user: "run",
                scopes: &["publish-update"],
                pattern: "ui-kit",
                trusted_publisher: true,
                ..USER
            }),
        ),
    ]
}

/// The rules of a house, as a person would say them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum House {
    /// Owners write, everybody reads.
    Owners,
    /// Everybody with a credential may do everything.
    Open,
    /// Those with a credential read; the UI group publishes; alice may not yank, and is an
    /// administrator; owners write.
    Rules,
    /// Anybody reads, and with a credential creates; owners do nothing by that.
    Strict,
    /// Only the UI group and eve read; the group publishes; owners write.
    Hidden,
    /// Anybody reads what is not of the UI group, who alone read that; owners write.
    Partly,
}

const HOUSES: [House; 6] =
    [House::Owners, House::Open, House::Rules, House::Strict, House::Hidden, House::Partly];

impl House {
    fn authorizer(self) -> Arc<dyn Authorizer> {
        let rules = match self {
            Self::Owners => return Arc::new(OwnersMayWrite),
            Self::Open => return Arc::new(AllowAll),
            Self::Rules => {
                r#"
                [[rules]]
                allow = ["read"]
                to = ["authenticated"]
                crates = ["*"]
                [[rules]]
                allow = ["publish-new", "publish-update"]
                to = ["group:ui"]
                crates = ["ui-*"]
                [[rules]]
                deny = ["yank"]
                to = ["alice"]
                crates = ["ui_kit"]
                [[rules]]
                allow = ["admin"]
                to = ["alice"]
                crates = ["*"]
                "#
            }
            Self::Strict => {
                r#"
                owners-may-write = false
                [[rules]]
                allow = ["read"]
                to = ["anonymous"]
                crates = ["*"]
                [[rules]]
                allow = ["publish-new"]
                to = ["authenticated"]
                crates = ["*"]
                "#
            }
            Self::Hidden => {
                r#"
                [[rules]]
                allow = ["read"]
                to = ["group:ui", "eve"]
                crates = ["ui-*"]
                [[rules]]
                allow = ["read"]
                to = ["authenticated"]
                crates = ["api-*"]
                [[rules]]
                allow = ["publish-new", "publish-update"]
                to = ["group:ui"]
                crates = ["ui-*"]
                "#
            }
            Self::Partly => {
                r#"
                [[rules]]
                allow = ["read"]
                to = ["anonymous"]
                crates = ["*"]
                [[rules]]
                deny = ["read"]
                to = ["anonymous", "alice", "eve", "run"]
                crates = ["ui-*"]
                [[rules]]
                allow = ["publish-new"]
                to = ["authenticated"]
                crates = ["*"]
                "#
            }
        };
        Arc::new(RolePolicy::from_toml(rules).unwrap())
    }

    // What follows is the oracle's: it knows the sentences above, and not the rules below them.

    fn reads_without_credential(self) -> bool {
        !matches!(self, Self::Rules | Self::Hidden)
    }

    /// Whether the crate is there to see for them; nobody is `None`.
    fn shows(self, who: Option<&Facts>) -> bool {
        let of_ui = who.is_some_and(|who| who.groups.contains(&"group:ui"));
        match self {
            Self::Owners | Self::Open | Self::Strict => true,
            Self::Rules => who.is_some(),
            Self::Hidden => of_ui || who.is_some_and(|who| who.user == "eve"),
            Self::Partly => of_ui,
        }
    }

    fn lets_write(self, who: &Facts, act: Act, owned: Owned) -> bool {
        let of_ui = who.groups.contains(&"group:ui");
        let creates = owned == Owned::Absent;
        let by_rule = match (self, act) {
            (Self::Open, _) => return true,
            (Self::Owners, Act::Publish) => creates,
            (Self::Rules, Act::Yank | Act::Unyank) if who.user == "alice" => return false,
            (Self::Rules, Act::Publish) => of_ui || who.admin && who.user == "alice",
            (Self::Rules, _) => who.admin && who.user == "alice",
            (Self::Strict, _) => return act == Act::Publish && creates,
            (Self::Hidden, Act::Publish) => of_ui,
            (Self::Partly, Act::Publish) => creates,
            (Self::Owners | Self::Hidden | Self::Partly, _) => false,
        };
        let owns_alone = owned == Owned::ByAlice && who.user == "alice";
        let owns = owns_alone || owned == Owned::ByGroup && of_ui || who.trusted_publisher;
        by_rule || !creates && if act == Act::AddOwner { owns_alone } else { owns }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owned {
    Absent,
    ByAlice,
    ByGroup,
    ByMallory,
}

const OWNED: [Owned; 4] = [Owned::Absent, Owned::ByAlice, Owned::ByGroup, Owned::ByMallory];

/// What comes back: a status; of a search, also whether the crate was found.
#[derive(Debug, PartialEq, Eq)]
struct Answered {
    status: u16,
    found: bool,
    /// Whether the crate is another one than before.
    changed: bool,
}

impl Answered {
    fn with(status: u16) -> Self {
        Self { status, found: false, changed: false }
    }
}

fn expected(comes: &Comes, act: Act, house: House, owned: Owned, private: bool) -> Answered {
    let needs_credential = private || !house.reads_without_credential();
    let exists = owned != Owned::Absent;
    let who = match comes {
        Comes::With(facts) => Some(facts),
        _ if !act.is_read() || needs_credential => return Answered::with(401),
        _ => None,
    };
    if act.is_read() {
        let is_for_reading = |who: &Facts| {
            let everything = who.scopes.contains(&"read-all");
            let this = act == Act::Search || who.pattern != "api-*";
            who.only_publish_of.is_none() && (everything || who.scopes.contains(&"read") && this)
        };
        let reader = who.filter(|who| is_for_reading(who));
        if reader.is_none() && needs_credential {
            return Answered::with(if act == Act::Search { 403 } else { 404 });
        }
        let mut seen = exists && house.shows(reader);
        if act == Act::Search {
            // A token that is not for the crate does not find it where its bearer has to be known;
            // where not, the search is what anybody is shown.
            if let Some(reader) = reader
                && reader.pattern == "api-*"
                && !reader.scopes.contains(&"read-all")
            {
                seen = exists && !needs_credential && house.shows(None);
            }
            return Answered { found: seen, ..Answered::with(200) };
        }
        return Answered::with(if seen { 200 } else { 404 });
    }
    let Some(who) = who else { unreachable!("answered with 401") };
    if !house.shows(Some(who)) {
        return Answered::with(404);
    }
    let scope = match act {
        Act::Publish if exists => "publish-update",
        Act::Publish => "publish-new",
        Act::Yank | Act::Unyank => "yank",
        _ => "change-owners",
    };
    let claim = who.only_publish_of.is_none_or(|version| act == Act::Publish && version == NEW);
    if !claim || who.pattern == "api-*" || !who.scopes.contains(&scope) {
        return Answered::with(403);
    }
    if !exists && act != Act::Publish {
        return Answered::with(404);
    }
    match house.lets_write(who, act, owned) {
        // What is not yanked stays as it is when that is undone.
        true => Answered { changed: act != Act::Unyank, ..Answered::with(200) },
        false => Answered::with(403),
    }
}

fn login(login: &str) -> Login {
    Login::new(login).unwrap()
}

fn owner(login_text: &str) -> Owner {
    Owner { id: 1, login: login(login_text), name: None }
}

impl Facts {
    fn principal(&self) -> Principal {
        let scopes = self.scopes.iter().map(|scope| scope.parse().unwrap());
        let admin = self.admin.then_some(EndpointScope::Admin);
        let id = TokenId::from_number(7).unwrap();
        Principal {
            groups: self.groups.iter().map(|group| login(group)).collect(),
            credential: match self.trusted_publisher {
                true => CredentialId::TrustedPublisher(id),
                false => CredentialId::Token(id),
            },
            scopes: Scopes::new(scopes.chain(admin), [CratePattern::new(self.pattern).unwrap()]),
            claim: self.only_publish_of.map(|version| Claim {
                mutation: Mutation::Publish,
                name: CanonicalName::new(CRATE).unwrap(),
                version: Some(version.parse().unwrap()),
                checksum: Some(Checksum::of(crate_file(CRATE, NEW, ""))),
                once: None,
            }),
            ..owner(self.user).into()
        }
    }
}

/// Knows the comers by their names.
#[derive(Clone)]
struct Door(Arc<BTreeMap<&'static str, Arc<Principal>>>);

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

/// The crate as it is owned, and what made it so.
async fn seed(
    owned: Owned,
    crates: &MemoryCrateStore,
    door: &Door,
) -> Option<(CrateRecord, Change)> {
    let by = match owned {
        Owned::Absent => return None,
        Owned::ByAlice | Owned::ByGroup => "alice",
        Owned::ByMallory => "mallory",
    };
    let index = MemoryIndex::new();
    let config = RegistryConfig::new(BASE).unwrap();
    let registry = Registry::builder(config, index.clone(), crates.clone())
        .authenticator(door.clone())
        .authorizer(AllowAll)
        .build();
    let caller = Caller::from(Principal::from(owner(by)));
    let mut publish = registry.begin_publish(caller.clone(), None).await.unwrap();
    publish.write(&publish_body(CRATE, "1.0.0")).await.unwrap();
    let change = publish.finish().await.unwrap().change;
    let name = CanonicalName::new(CRATE).unwrap();
    if owned == Owned::ByGroup {
        for group in ["mallory", "group:ui"] {
            registry.add_owners(&caller, &name, &[login(group)]).await.unwrap();
        }
        registry.remove_owners(&caller, &name, &[login("alice")]).await.unwrap();
    }
    let record = index.load(&name, None).await.unwrap().found().unwrap().record;
    Some((record, change))
}

#[tokio::test]
async fn every_row_of_the_table_is_as_the_rules_say() {
    let comers = comers();
    let principals = comers.iter().filter_map(|(name, comes)| match comes {
        Comes::With(facts) => Some((*name, Arc::new(facts.principal()))),
        _ => None,
    });
    let door = Door(Arc::new(principals.collect()));
    let crates = MemoryCrateStore::new();
    let body = Bytes::from(publish_body(CRATE, NEW));
    let file = Checksum::of(crate_file(CRATE, "1.0.0", ""));
    let name = CanonicalName::new(CRATE).unwrap();
    let mut rows = 0;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for owned in OWNED {
        let seed = seed(owned, &crates, &door).await;
        for house in HOUSES {
            for private in [false, true] {
                for (who, comes) in &comers {
                    for act in ACTS {
                        let index = MemoryIndex::new();
                        if let Some((record, change)) = &seed {
                            index.commit(None, change, record).await.unwrap();
                        }
                        // A file that no line names, were it served, would be one too many.
                        let crates = match &seed {
                            Some(_) => crates.clone(),
                            None => MemoryCrateStore::new(),
                        };
                        let config = RegistryConfig::new(BASE).unwrap();
                        let registry = Registry::builder(
                            config.with_auth_required(private),
                            index.clone(),
                            crates,
                        )
                        .search(index.clone())
                        .authenticator(door.clone())
                        .authorizer(house.authorizer())
                        .build();
                        let answered = ask(registry, who, act, &body, file).await;
                        let after = index.load(&name, None).await.unwrap().found();
                        let before = seed.as_ref().map(|(record, _)| record);
                        let changed = after.as_ref().map(|stored| &stored.record) != before;
                        let answered = Answered { changed, ..answered };
                        let expected = expected(comes, act, house, owned, private);
                        if answered != expected {
                            let place = if private { "private" } else { "public" };
                            wrong.push(format!(
                                "{act:?} by {who} in {place} {house:?}, {owned:?}: \
                                 {answered:?}, expected {expected:?}"
                            ));
                        }
                        *statuses.entry(expected.status).or_default() += 1;
                        rows += 1;
                    }
                }
            }
        }
    }
    println!("{rows} rows, by status: {statuses:?}");
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    // Each answer is there often, so that no rule is tried by one row alone.
    assert!(rows >= 500 && statuses.len() == 4 && statuses.values().all(|rows| *rows >= 100));
}

async fn ask(registry: Registry, who: &str, act: Act, publish: &Bytes, file: Checksum) -> Answered {
    let api = format!("/api/v1/crates/{CRATE}");
    let (method, path, body) = match act {
        Act::Index => (Method::GET, "/index/ui/-k/ui-kit".into(), Bytes::new()),
        Act::Download => (Method::GET, format!("/dl/{CRATE}/1.0.0/{file}"), Bytes::new()),
        Act::Owners => (Method::GET, format!("{api}/owners"), Bytes::new()),
        Act::Search => (Method::GET, "/api/v1/crates?q=ui-k".into(), Bytes::new()),
        Act::Publish => (Method::PUT, "/api/v1/crates/new".into(), publish.clone()),
        Act::Yank => (Method::DELETE, format!("{api}/1.0.0/yank"), Bytes::new()),
        Act::Unyank => (Method::PUT, format!("{api}/1.0.0/unyank"), Bytes::new()),
        Act::AddOwner => (Method::PUT, format!("{api}/owners"), r#"{"users":["bob"]}"#.into()),
    };
    let mut request = Request::builder().method(method).uri(path);
    if who != "nobody" {
        request = request.header("authorization", who);
    }
    let request = request.body(Full::new(body)).unwrap();
    let response = RegistryService::new(registry).handle(request).await;
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

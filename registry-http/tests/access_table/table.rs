//! The dimensions of the table, and what they are made of in the registry.

use std::sync::Arc;

use registry_core::{
    CanonicalName, Login,
    auth::{
        AllowAll, ApprovedName, ApprovedNames as _, Authorizer, NameRules, NewNames,
        OwnersMayWrite, RolePolicy,
    },
    memory::MemoryApprovedNames,
    record::Timestamp,
};

pub(crate) const CRATE: &str = "ui-kit";
pub(crate) const NEW: &str = "2.0.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Index,
    Download,
    Owners,
    Search,
    Publish,
    Yank,
    Unyank,
    AddOwner,
    /// Remove the only user among the owners.
    RemoveLast,
    RemoveGroup,
    TrustPublisher,
}

pub(crate) const ACTS: [Act; 11] = [
    Act::Index,
    Act::Download,
    Act::Owners,
    Act::Search,
    Act::Publish,
    Act::Yank,
    Act::Unyank,
    Act::AddOwner,
    Act::RemoveLast,
    Act::RemoveGroup,
    Act::TrustPublisher,
];

impl Act {
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Index | Self::Download | Self::Owners | Self::Search)
    }
}

/// Who comes, with what. Alice, gina and eve are users; gina is one of `group:ui`.
#[derive(Clone, Debug)]
pub(crate) enum Comes {
    WithNothing,
    WithNonsense,
    /// With a token that was good, of a user who is disabled.
    Disabled,
    With(Facts),
}

/// What the rules ask of a credential.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) user: &'static str,
    pub(crate) groups: &'static [&'static str],
    /// `*` for all; `admin` is not among them.
    pub(crate) scopes: &'static [&'static str],
    pub(crate) admin: bool,
    pub(crate) pattern: &'static str,
    /// Made for publishing this version of the crate, and nothing else.
    pub(crate) only_publish_of: Option<&'static str>,
    /// A CI run, and whether the crate has it among its publishers.
    pub(crate) run: Option<Run>,
}

/// By the id of the publisher that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Trusted = 1,
    NoLonger = 2,
}

/// Alice, with all that a token is for unless told otherwise.
pub(crate) const USER: Facts = Facts {
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
    run: None,
};

pub(crate) fn comers() -> Vec<(&'static str, Comes)> {
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
        ("run", with(Facts { run: Some(Run::Trusted), ..RUN })),
        ("old-run", with(Facts { run: Some(Run::NoLonger), ..RUN })),
    ]
}

/// With what it gets for its identity token.
const RUN: Facts =
    Facts { user: "run", scopes: &["publish-update", "read-all"], pattern: "ui-kit", ..USER };

/// The rules of a house, as a person would say them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum House {
    /// Owners write, everybody reads.
    Owners,
    /// Everybody with a credential may do everything.
    Open,
    /// Those with a credential read, but for CI runs; the UI group publishes; alice may not yank, and
    /// is an administrator; owners write.
    Rules,
    /// Anybody reads, and with a credential creates; owners do nothing by that.
    Strict,
    /// Only the UI group, eve and CI runs read; the group publishes; owners write.
    Hidden,
    /// Anybody reads what is not of the UI group, who alone read that; owners write.
    Partly,
}

pub(crate) const HOUSES: [House; 6] =
    [House::Owners, House::Open, House::Rules, House::Strict, House::Hidden, House::Partly];

impl House {
    pub(crate) fn authorizer(self) -> Arc<dyn Authorizer> {
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
                to = ["group:ui", "eve", "trusted-publishers"]
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Absent,
    ByAlice,
    ByGroup,
    ByMallory,
}

pub(crate) const OWNED: [Owned; 4] =
    [Owned::Absent, Owned::ByAlice, Owned::ByGroup, Owned::ByMallory];

/// What a house says of names that are new. But for the last two, nobody has approved any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Nothing.
    Free,
    /// All but those of the UI group need an approval.
    ReservedForGroup,
    /// This name is alice's.
    ReservedForAlice,
    /// The list has it.
    Listed,
    /// The list has others.
    NotListed,
    /// Each needs an approval.
    NeedsApproval,
    /// This one has it.
    Approved,
    /// Gina may create it, list or not.
    ApprovedForGina,
}

pub(crate) const NAMES: [Names; 8] = [
    Names::Free,
    Names::ReservedForGroup,
    Names::ReservedForAlice,
    Names::Listed,
    Names::NotListed,
    Names::NeedsApproval,
    Names::Approved,
    Names::ApprovedForGina,
];

impl Names {
    pub(crate) async fn over(self, house: Arc<dyn Authorizer>) -> Arc<dyn Authorizer> {
        let rules = match self {
            Self::Free => return house,
            Self::ReservedForGroup => {
                r#"
                approval = true
                [[reserved]]
                names = ["ui-*"]
                for = ["group:ui"]
                "#
            }
            Self::ReservedForAlice => {
                r#"
                only = ["api-*"]
                [[reserved]]
                names = ["UI_kit"]
                for = ["alice"]
                "#
            }
            Self::Listed => r#"only = ["api-*", "ui-*"]"#,
            Self::NotListed | Self::ApprovedForGina => r#"only = ["api-*"]"#,
            Self::NeedsApproval | Self::Approved => "approval = true",
        };
        let approved = MemoryApprovedNames::new();
        if matches!(self, Self::Approved | Self::ApprovedForGina) {
            let login = (self == Self::ApprovedForGina).then(|| login("gina"));
            let (name, by) = (canonical(), "an administrator".into());
            approved.approve(&ApprovedName { name, login, at: Timestamp(0), by }).await.unwrap();
        }
        let rules = NameRules::from_toml(rules).unwrap();
        Arc::new(NewNames::new(house, rules).with_approvals(approved))
    }
}

pub(crate) fn login(login: &str) -> Login {
    Login::new(login).unwrap()
}

pub(crate) fn canonical() -> CanonicalName {
    CanonicalName::new(CRATE).unwrap()
}

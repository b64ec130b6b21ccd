use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    auth::{Action, CratePattern, Principal},
    name::CanonicalName,
    owner::Login,
};

/// What a rule of a [`RolePolicy`](super::RolePolicy) is about. Source: ours; the words are those of
/// the scopes of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PolicyAction {
    /// See a crate, and all there is of it.
    Read,
    /// Publish a crate of a new name.
    PublishNew,
    /// Publish a version of a crate that is there.
    PublishUpdate,
    /// Yank versions, and undo it.
    Yank,
    /// Add and remove owners.
    ChangeOwners,
    /// Say which CI runs may publish without a stored token; together with
    /// [`PublishUpdate`](Self::PublishUpdate), for nobody lets others do what they may not.
    TrustedPublishing,
    /// Everything, but only with a credential that has the scope `admin`.
    Admin,
}

impl PolicyAction {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::PublishNew,
        Self::PublishUpdate,
        Self::Yank,
        Self::ChangeOwners,
        Self::TrustedPublishing,
        Self::Admin,
    ];

    /// As files and the command line spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::PublishNew => "publish-new",
            Self::PublishUpdate => "publish-update",
            Self::Yank => "yank",
            Self::ChangeOwners => "change-owners",
            Self::TrustedPublishing => "trusted-publishing",
            Self::Admin => "admin",
        }
    }

    /// What an action of a caller is to a policy. `creates` says that a publish would be of a new
    /// name.
    pub fn of(action: &Action<'_>, creates: bool) -> Self {
        match action {
            Action::ReadRegistry | Action::Read(_) | Action::ListOwners(_) => Self::Read,
            Action::Publish(..) if creates => Self::PublishNew,
            Action::Publish(..) => Self::PublishUpdate,
            Action::Yank(..) | Action::Unyank(..) => Self::Yank,
            Action::ChangeOwners(_) => Self::ChangeOwners,
            Action::ConfigureTrustedPublishing(_) => Self::TrustedPublishing,
        }
    }
}

impl fmt::Display for PolicyAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for PolicyAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("`{}` is not an action: use {all}", crate::echo::Echo(text))
        })
    }
}

impl<'de> Deserialize<'de> for PolicyAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Who {
    /// Nobody in particular. What they are allowed, everybody is; what they are denied, only
    /// callers without a credential are.
    Anonymous,
    /// Everybody with a credential that counts. What they are denied,
    /// [trusted publishers](Self::TrustedPublishers) are, too; what they are allowed, those are not.
    Authenticated,
    /// CI runs that publish in the place of a crate's owners. They have no part in what is for the
    /// users who have named them: each could name one of their own, who is in none of their groups.
    TrustedPublishers,
    /// The user or service account of this login, or the members of this group. A group that others
    /// vouch for allows nothing to [tokens and keys](Principal::is); it denies to them, too.
    Login(Login),
    /// Those whom an authority vouches for, or one of them.
    Issuer {
        /// The authority. Source: OpenID Connect, `iss`.
        issuer: String,
        /// Its name for one of them; all of them, if there is none. Source: the same, `sub`.
        subject: Option<String>,
    },
}

impl Who {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "anonymous" => Ok(Self::Anonymous),
            "authenticated" => Ok(Self::Authenticated),
            "trusted-publishers" => Ok(Self::TrustedPublishers),
            _ => Login::new(text).map(Self::Login).map_err(|error| error.to_string()),
        }
    }

    fn is(&self, who: Option<&Principal>, effect: Effect) -> bool {
        let Some(who) = who else { return *self == Self::Anonymous };
        match self {
            Self::Anonymous => effect == Effect::Allow,
            Self::Authenticated => effect == Effect::Deny || !who.is_trusted_publisher(),
            Self::TrustedPublishers => who.is_trusted_publisher(),
            Self::Login(login) => match effect {
                Effect::Allow => who.is(login),
                Effect::Deny => who.is_or_was(login),
            },
            Self::Issuer { issuer, subject } => {
                who.vouched.identity.as_ref().is_some_and(|identity| {
                    *identity.issuer == **issuer
                        && subject.as_ref().is_none_or(|subject| *identity.subject == **subject)
                })
            }
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::TrustedPublishers => f.write_str("trusted-publishers"),
            Self::Login(login) => login.fmt(f),
            Self::Issuer { issuer, subject: None } => write!(f, "issuer {issuer}"),
            Self::Issuer { issuer, subject: Some(subject) } => {
                write!(f, "{subject} of issuer {issuer}")
            }
        }
    }
}

/// A text, or a table of `issuer` and perhaps `subject`.
impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Issuer {
            issuer: String,
            subject: Option<String>,
        }

        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Who;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a login, `anonymous`, `authenticated`, `trusted-publishers`, or a table with an \
                     issuer",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Who, E> {
                Who::parse(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Who, A::Error> {
                let Issuer { issuer, subject } =
                    Issuer::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Who::Issuer { issuer, subject })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allows, unless another one denies.
    Allow,
    /// Denies, whatever others allow.
    Deny,
}

/// One rule of a [`RolePolicy`](super::RolePolicy).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub effect: Effect,
    /// To whom.
    pub who: Vec<Who>,
    /// On which crates.
    pub crates: Vec<CratePattern>,
    /// What they would do.
    pub actions: Vec<PolicyAction>,
    /// What its author calls it.
    pub name: Option<String>,
    /// Where it is.
    pub place: Place,
}

impl Rule {
    /// Whether it is about somebody who would do something to a crate; or, without one, who would
    /// look around: that is what they may who may read any crate.
    pub(super) fn covers(&self, who: Option<&Principal>, name: Option<&CanonicalName>) -> bool {
        let crates = &mut self.crates.iter();
        let covers_crate = match (name, self.effect) {
            (Some(name), _) => crates.any(|pattern| pattern.matches(name)),
            (None, Effect::Allow) => true,
            (None, Effect::Deny) => crates.any(|pattern| *pattern == CratePattern::any()),
        };
        covers_crate && self.who.iter().any(|subject| subject.is(who, self.effect))
    }

    pub(super) fn names(&self, action: PolicyAction) -> bool {
        self.actions.contains(&action)
    }
}

/// As in `rule 2 (line 9), "the UI team": allow read to group:ui on ui-*`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(all: &[T]) -> String {
            all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
        }
        self.place.fmt(f)?;
        if let Some(name) = &self.name {
            write!(f, ", \"{}\"", crate::echo::Echo(name))?;
        }
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let (actions, who) = (list(&self.actions), list(&self.who));
        write!(f, ": {effect} {actions} to {who} on {}", list(&self.crates))
    }
}

/// Where a rule is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the rules it is, beginning with 1.
    pub number: usize,
    /// In which line it begins, if that is known.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "rule {} (line {line})", self.number),
            None => write!(f, "rule {}", self.number),
        }
    }
}

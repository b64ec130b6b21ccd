//! What a credential may be used for, whatever its owner may do.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Action;
use crate::{
    echo::Echo,
    name::{CanonicalName, CrateName},
};

/// A kind of thing that a credential may be used for. Source: RFC 2947 and crates.io; `read`,
/// `read-all` and `admin` are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EndpointScope {
    /// Read the crates that the crate patterns name. Public registries ask for it only where
    /// somebody in particular may read.
    Read,
    /// Read every crate that the owner may read, whatever the crate patterns say: for who
    /// publishes one crate and needs the others to build it.
    ReadAll,
    /// Publish a crate of a new name.
    PublishNew,
    /// Publish a version of a crate that is there.
    PublishUpdate,
    /// Yank versions, and undo it.
    Yank,
    /// Add and remove owners.
    ChangeOwners,
    /// Say which CI runs may publish without a stored token.
    TrustedPublishing,
    /// Use the rights of an administrator, if the owner has them.
    Admin,
}

impl EndpointScope {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::ReadAll,
        Self::PublishNew,
        Self::PublishUpdate,
        Self::Yank,
        Self::ChangeOwners,
        Self::TrustedPublishing,
        Self::Admin,
    ];

    /// As crates.io and the command line spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadAll => "read-all",
            Self::PublishNew => "publish-new",
            Self::PublishUpdate => "publish-update",
            Self::Yank => "yank",
            Self::ChangeOwners => "change-owners",
            Self::TrustedPublishing => "trusted-publishing",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for EndpointScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EndpointScope {
    type Err = ScopeParseError;

    fn from_str(text: &str) -> Result<Self, ScopeParseError> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| ScopeParseError::Endpoint { text: text.into() })
    }
}

/// The crates that a credential or a rule is about: a name, a beginning of names with `*` behind
/// it, or `*` for all. Compared as names are: case aside, `-` as `_`. Source: RFC 2947.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CratePattern {
    /// As it was given.
    text: Arc<str>,
    /// Without the `*`, in the form that canonical names have.
    canonical: Arc<str>,
    is_prefix: bool,
}

impl CratePattern {
    /// All crates: `*`.
    pub fn any() -> Self {
        Self { text: "*".into(), canonical: "".into(), is_prefix: true }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`ScopeParseError`] if what stands before the `*` cannot begin a crate's name.
    pub fn new(text: &str) -> Result<Self, ScopeParseError> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some("") => return Ok(Self::any()),
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        let name = CrateName::new(name)
            .map_err(|_| ScopeParseError::Pattern { text: text.into() })?
            .canonical();
        Ok(Self { text: text.into(), canonical: name.as_str().into(), is_prefix })
    }

    /// Whether it is about this crate.
    pub fn matches(&self, name: &CanonicalName) -> bool {
        match self.is_prefix {
            true => name.as_str().starts_with(&*self.canonical),
            false => *name.as_str() == *self.canonical,
        }
    }

    /// Whether it is about every crate that `other` is about.
    pub fn covers(&self, other: &Self) -> bool {
        match self.is_prefix {
            true => other.canonical.starts_with(&*self.canonical),
            false => !other.is_prefix && other.canonical == self.canonical,
        }
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for CratePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CratePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CratePattern({})", self.text)
    }
}

impl FromStr for CratePattern {
    type Err = ScopeParseError;

    fn from_str(text: &str) -> Result<Self, ScopeParseError> {
        Self::new(text)
    }
}

/// A text is neither a scope nor a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeParseError {
    /// No endpoint scope has this name.
    #[error(
        "`{}` is not a scope: use {}",
        Echo(text),
        EndpointScope::ALL.map(EndpointScope::as_str).join(", ")
    )]
    Endpoint {
        /// The text.
        text: Box<str>,
    },
    /// No crate could be meant.
    #[error(
        "`{}` is not a crate pattern: use a name, the beginning of one and `*`, or `*`",
        Echo(text)
    )]
    Pattern {
        /// The text.
        text: Box<str>,
    },
}

macro_rules! serde_as_text {
    ($($type:ty),+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
serde_as_text!(EndpointScope, CratePattern);

/// What a credential may be used for: these things, to these crates. Nothing, if either is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    endpoints: Arc<[EndpointScope]>,
    crates: Arc<[CratePattern]>,
}

impl Scopes {
    /// Exactly these.
    pub fn new(
        endpoints: impl IntoIterator<Item = EndpointScope>,
        crates: impl IntoIterator<Item = CratePattern>,
    ) -> Self {
        let mut endpoints: Vec<_> = endpoints.into_iter().collect();
        endpoints.sort();
        endpoints.dedup();
        Self { endpoints: endpoints.into(), crates: crates.into_iter().collect() }
    }

    /// Whatever the owner may do.
    pub fn all() -> Self {
        Self::new(EndpointScope::ALL, [CratePattern::any()])
    }

    /// Whatever the owner may do, short of the rights of an administrator: what a token has if
    /// nothing is said.
    pub fn all_but_admin() -> Self {
        let endpoints = EndpointScope::ALL.into_iter().filter(|it| *it != EndpointScope::Admin);
        Self::new(endpoints, [CratePattern::any()])
    }

    /// What is asked for, where something may be left unsaid: then it is all but the rights of an
    /// administrator, and all crates. Of a credential for some crates, `read-all` has to be said.
    pub fn asked_for(
        endpoints: Option<Vec<EndpointScope>>,
        crates: Option<Vec<CratePattern>>,
    ) -> Self {
        let unsaid = |endpoint: &EndpointScope| match endpoint {
            EndpointScope::Admin => false,
            EndpointScope::ReadAll => crates.is_none(),
            _ => true,
        };
        let endpoints =
            endpoints.unwrap_or_else(|| EndpointScope::ALL.into_iter().filter(unsaid).collect());
        Self::new(endpoints, crates.unwrap_or_else(|| vec![CratePattern::any()]))
    }

    /// Reading, and nothing else.
    pub fn read_only() -> Self {
        Self::new([EndpointScope::Read], [CratePattern::any()])
    }

    /// In ascending order.
    pub fn endpoints(&self) -> &[EndpointScope] {
        &self.endpoints
    }

    /// In the order given.
    pub fn crates(&self) -> &[CratePattern] {
        &self.crates
    }

    /// Whether this endpoint scope is among them.
    pub fn has(&self, endpoint: EndpointScope) -> bool {
        self.endpoints.contains(&endpoint)
    }

    /// Whether all of `others` is within these.
    pub fn include(&self, others: &Self) -> bool {
        let covered = |other| self.crates.iter().any(|pattern| pattern.covers(other));
        others.endpoints.iter().all(|other| self.has(*other)) && others.crates.iter().all(covered)
    }

    /// Whether every crate may be read that the owner may read.
    pub fn include_all_reading(&self) -> bool {
        let any = CratePattern::any();
        self.has(EndpointScope::ReadAll)
            || self.has(EndpointScope::Read) && self.crates.contains(&any)
    }

    /// Whether an action is within. `creates` says that a publish would be of a new name: that is
    /// known from the record that would be replaced.
    ///
    /// # Errors
    /// [`OutOfScope`] names what is missing.
    pub fn check(&self, action: &Action<'_>, creates: bool) -> Result<(), OutOfScope> {
        use EndpointScope as E;
        let (needed, name) = match *action {
            Action::ReadRegistry if self.has(E::ReadAll) => return Ok(()),
            Action::ReadRegistry => (E::Read, None),
            Action::Read(_) | Action::ListOwners(_) if self.has(E::ReadAll) => return Ok(()),
            Action::Read(name) | Action::ListOwners(name) => (E::Read, Some(name)),
            Action::Publish(name, ..) if creates => (E::PublishNew, Some(name)),
            Action::Publish(name, ..) => (E::PublishUpdate, Some(name)),
            Action::Yank(name, _) | Action::Unyank(name, _) => (E::Yank, Some(name)),
            Action::ChangeOwners(name) => (E::ChangeOwners, Some(name)),
            Action::ConfigureTrustedPublishing(name) => (E::TrustedPublishing, Some(name)),
        };
        // The crate first: which scope a publish needs tells whether the crate is there.
        if let Some(name) = name
            && !self.crates.iter().any(|pattern| pattern.matches(name))
        {
            return Err(OutOfScope::Crate { name: name.clone() });
        }
        match self.has(needed) {
            true => Ok(()),
            false => Err(OutOfScope::Endpoint { needed }),
        }
    }
}

/// A credential may not be used for this, whatever its owner may do. The first words are those of
/// crates.io, which tools look for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutOfScope {
    /// An endpoint scope is missing.
    #[error(
        "this token does not have the required permissions to perform this action: it lacks the \
         scope `{needed}`"
    )]
    Endpoint {
        /// The one that would do.
        needed: EndpointScope,
    },
    /// No crate pattern matches.
    #[error(
        "this token does not have the required permissions to perform this action: it is not for \
         the crate `{name}`"
    )]
    Crate {
        /// The crate.
        name: CanonicalName,
    },
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;

    fn name(text: &str) -> CanonicalName {
        CanonicalName::new(text).unwrap()
    }

    #[test]
    fn patterns_match_names_as_names_are_compared() {
        for (pattern, matched, others) in [
            ("ui-*", &["ui_", "ui_a", "ui_core"][..], &["ui", "uia", "a_ui_"][..]),
            ("Foo-Bar", &["foo_bar"], &["foo_bar2", "foo"]),
            ("foo*", &["foo", "foobar"], &["fo", "afoo"]),
            ("*", &["a"], &[]),
        ] {
            let pattern = CratePattern::new(pattern).unwrap();
            for text in matched {
                assert!(pattern.matches(&name(text)), "{pattern} {text}");
            }
            for text in others {
                assert!(!pattern.matches(&name(text)), "{pattern} {text}");
            }
        }
        for text in ["", "**", "-*", "a*b", "../*", "a b"] {
            let error = ScopeParseError::Pattern { text: text.into() };
            assert_eq!(CratePattern::new(text), Err(error));
        }
    }

    #[test]
    fn scopes_are_spelled_as_they_are_read() {
        for scope in EndpointScope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!(
            "Read".parse::<EndpointScope>().unwrap_err().to_string(),
            "`Read` is not a scope: use read, read-all, publish-new, publish-update, yank, \
             change-owners, trusted-publishing, admin"
        );
    }

    #[test]
    fn nothing_is_within_no_scope() {
        let (a, one) = (name("a"), Version::new(1, 0, 0));
        let none = Scopes::new([], [CratePattern::any()]);
        for (action, creates, needed) in [
            (Action::ReadRegistry, false, EndpointScope::Read),
            (Action::Read(&a), false, EndpointScope::Read),
            (Action::ListOwners(&a), false, EndpointScope::Read),
            (Action::Publish(&a, &one, None), true, EndpointScope::PublishNew),
            (Action::Publish(&a, &one, None), false, EndpointScope::PublishUpdate),
            (Action::Yank(&a, &one), false, EndpointScope::Yank),
            (Action::Unyank(&a, &one), false, EndpointScope::Yank),
            (Action::ChangeOwners(&a), false, EndpointScope::ChangeOwners),
            (Action::ConfigureTrustedPublishing(&a), false, EndpointScope::TrustedPublishing),
        ] {
            assert_eq!(none.check(&action, creates), Err(OutOfScope::Endpoint { needed }));
            let scopes = |pattern| Scopes::new([needed], [CratePattern::new(pattern).unwrap()]);
            assert_eq!(scopes("a").check(&action, creates), Ok(()));
            let elsewhere = match action {
                Action::ReadRegistry => Ok(()),
                _ => Err(OutOfScope::Crate { name: a.clone() }),
            };
            assert_eq!(scopes("b*").check(&action, creates), elsewhere);
        }
    }

    #[test]
    fn what_is_not_asked_for_is_all_short_of_other_crates_and_of_administration() {
        use EndpointScope as E;
        let ui = || vec![CratePattern::new("ui-*").unwrap()];
        assert_eq!(Scopes::asked_for(None, None), Scopes::all_but_admin());
        let most = [
            E::Read,
            E::PublishNew,
            E::PublishUpdate,
            E::Yank,
            E::ChangeOwners,
            E::TrustedPublishing,
        ];
        assert_eq!(Scopes::asked_for(None, Some(ui())), Scopes::new(most, ui()));
        let said = vec![E::ReadAll, E::Yank];
        let of_ui = Scopes::new([E::ReadAll, E::Yank], ui());
        assert_eq!(Scopes::asked_for(Some(said.clone()), Some(ui())), of_ui);
        let of_all = Scopes::new([E::ReadAll, E::Yank], [CratePattern::any()]);
        assert_eq!(Scopes::asked_for(Some(said), None), of_all);
        assert_eq!(Scopes::asked_for(Some(vec![]), None).endpoints(), []);
    }

    #[test]
    fn reading_everything_is_a_scope_of_its_own() {
        let patterns = [CratePattern::new("mine").unwrap()];
        let ci = Scopes::new([EndpointScope::ReadAll, EndpointScope::PublishUpdate], patterns);
        assert_eq!(ci.check(&Action::Read(&name("other")), false), Ok(()));
        let (other, one) = (name("other"), Version::new(1, 0, 0));
        let publish = Action::Publish(&other, &one, None);
        assert_eq!(ci.check(&publish, false), Err(OutOfScope::Crate { name: other.clone() }));
    }
}

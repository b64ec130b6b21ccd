//! A policy of rules: who may do what to which crates.

mod rule;
#[cfg(test)]
mod tests;
mod text;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

pub use self::{
    rule::{Effect, Place, PolicyAction, Rule, Who},
    text::PolicyError,
};
use super::{Action, AuthError, Authorizer, Caller, EndpointScope, Principal};
use crate::{name::CanonicalName, owner::Owners};

/// An [`Authorizer`] by rules, each of which allows or denies actions to somebody on some crates.
///
/// Nothing is allowed that no rule allows, but for what owners may do, and a rule that denies counts
/// for more than any that allows, and than ownership. Whoever may not read a crate may do nothing to
/// it. New names are for those who are allowed `publish-new`.
///
/// CI runs, which publish in the place of owners, are not among `authenticated`: rules that let them
/// read, as they must to publish, name `trusted-publishers`.
///
/// Cargo sends its token to the index only where nobody reads without one: in a policy that allows
/// `read` to `anonymous`, crates that only some may read are found by the web API alone.
///
/// ```
/// use registry_core::{CanonicalName, Owners, auth::{PolicyAction, RolePolicy}};
///
/// let policy = RolePolicy::from_toml(r#"
///     owners-may-write = true    # the default
///
///     [[rules]]
///     name = "everybody in the house reads"
///     allow = ["read"]
///     to = ["authenticated"]
///     crates = ["*"]
///
///     [[rules]]
///     allow = ["publish-new", "publish-update", "yank"]
///     to = ["group:ui", "ui-robot"]
///     crates = ["ui-*"]
///
///     [[rules]]
///     deny = ["read"]
///     to = ["group:guests", { issuer = "https://id.example.com" }]
///     crates = ["secret-*"]
/// "#)?;
/// let (name, new) = (CanonicalName::new("ui-core")?, PolicyAction::PublishNew);
/// let decision = policy.decide(None, new, Some(&name), &Owners::default());
/// assert_eq!(decision.to_string(), "denied: the crate may not be read");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePolicy {
    rules: Vec<Rule>,
    owners_may_write: bool,
}

impl RolePolicy {
    /// A policy of these rules. `owners_may_write` says whether owners may also do what no rule
    /// denies them: publish, yank and change owners.
    pub fn new(rules: Vec<Rule>, owners_may_write: bool) -> Self {
        Self { rules, owners_may_write }
    }

    /// The rules, in their order, which is of no consequence.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether somebody, or nobody in particular, may do something to a crate with these owners, and
    /// why. Without a name, what belongs to no crate is read. Allocates nothing.
    pub fn decide(
        &self,
        who: Option<&Principal>,
        wanted: PolicyAction,
        name: Option<&CanonicalName>,
        owners: &Owners,
    ) -> Decision<'_> {
        if wanted != PolicyAction::Read && !self.by_rules(who, PolicyAction::Read, name).allowed {
            return Decision { allowed: false, by: By::Unreadable };
        }
        let decision = self.by_rules(who, wanted, name);
        let may_own = !matches!(decision.by, By::Rule(_)) && self.owners_may_write;
        let Some(who) = who.filter(|_| may_own) else { return decision };
        let owns = match wanted {
            PolicyAction::PublishUpdate | PolicyAction::Yank => owners.include_for_releases(who),
            PolicyAction::ChangeOwners | PolicyAction::TrustedPublishing => owners.include(who),
            PolicyAction::Read | PolicyAction::PublishNew | PolicyAction::Admin => false,
        };
        if owns { Decision { allowed: true, by: By::Ownership } } else { decision }
    }

    fn by_rules(
        &self,
        who: Option<&Principal>,
        wanted: PolicyAction,
        name: Option<&CanonicalName>,
    ) -> Decision<'_> {
        let (mut allows, mut as_admin) = (None, None);
        for rule in &self.rules {
            let as_wanted = rule.names(wanted);
            if !as_wanted && !rule.names(PolicyAction::Admin) || !rule.covers(who, name) {
                continue;
            }
            match rule.effect {
                Effect::Deny => return Decision { allowed: false, by: By::Rule(rule) },
                Effect::Allow if as_wanted && wanted != PolicyAction::Admin => {
                    allows = allows.or(Some(rule))
                }
                Effect::Allow => as_admin = as_admin.or(Some(rule)),
            }
        }
        let has_scope = who.is_some_and(|who| who.scopes.has(EndpointScope::Admin));
        match (allows, as_admin) {
            (Some(rule), _) => Decision { allowed: true, by: By::Rule(rule) },
            (None, Some(rule)) if has_scope => Decision { allowed: true, by: By::Rule(rule) },
            (None, Some(rule)) => Decision { allowed: false, by: By::NotAsAdmin(rule) },
            (None, None) => Decision { allowed: false, by: By::NoRule },
        }
    }
}

/// What a [`RolePolicy`] says to an action, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// Whether it may be done.
    pub allowed: bool,
    /// What that rests on.
    pub by: By<'p>,
}

/// What a [`Decision`] rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By<'p> {
    /// A rule.
    Rule(&'p Rule),
    /// That they own the crate.
    Ownership,
    /// That no rule allows it.
    NoRule,
    /// That this rule would, if their credential had the scope `admin`.
    NotAsAdmin(&'p Rule),
    /// That they may not even read the crate.
    Unreadable,
}

impl Decision<'_> {
    fn refusal(&self, action: &Action<'_>, creates: bool) -> String {
        let wanted = PolicyAction::of(action, creates);
        let Some(name) = action.crate_name() else {
            return "no rule of this registry lets you read any crate".into();
        };
        match self.by {
            By::Rule(_) => format!("a rule of this registry denies you `{wanted}` of `{name}`"),
            By::NotAsAdmin(_) => format!(
                "this token does not have the required permissions to perform this action: \
                 `{wanted}` of `{name}` is for administrators, and it lacks the scope `admin`"
            ),
            By::Unreadable => format!("crate `{name}` does not exist"),
            By::NoRule | By::Ownership if creates => {
                format!("no rule of this registry lets you create the crate `{name}`")
            }
            // The first words are those of crates.io.
            By::NoRule | By::Ownership => format!(
                "this crate exists but you don't seem to be an owner, and no rule of this registry \
                 allows you `{wanted}` of `{name}`"
            ),
        }
    }
}

/// As in `allowed by rule 2 (line 9): …`.
impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allowed { "allowed" } else { "denied" })?;
        match self.by {
            By::Rule(rule) => write!(f, " by {rule}"),
            By::Ownership => f.write_str(" by ownership"),
            By::NoRule => f.write_str(": no rule allows it"),
            By::NotAsAdmin(rule) => write!(f, ": needs the scope `admin` for {rule}"),
            By::Unreadable => f.write_str(": the crate may not be read"),
        }
    }
}

impl RolePolicy {
    fn check(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        let creates = owners.is_empty();
        let (who, wanted) = (caller.principal.as_deref(), PolicyAction::of(action, creates));
        let decision = self.decide(who, wanted, action.crate_name(), owners);
        if decision.allowed {
            return Ok(());
        }
        if !matches!(action, Action::Read(_)) {
            caller.principal()?;
        }
        Err(AuthError::Forbidden { reason: decision.refusal(action, creates) })
    }
}

#[async_trait]
impl Authorizer for RolePolicy {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        self.check(caller, action, owners)
    }

    fn try_authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Option<Result<(), AuthError>> {
        Some(self.check(caller, action, owners))
    }

    fn hides_crates(&self) -> bool {
        true
    }

    fn needs_credential(&self) -> bool {
        let opens = |rule: &Rule| {
            rule.effect == Effect::Allow
                && rule.names(PolicyAction::Read)
                && rule.who.contains(&Who::Anonymous)
        };
        !self.rules.iter().any(opens)
    }
}

/// A [`RolePolicy`] that can be replaced while it is in use. Clones are handles on one.
#[derive(Clone, Debug)]
pub struct LivePolicy(Arc<RwLock<Arc<RolePolicy>>>);

impl LivePolicy {
    /// Begins with this policy.
    pub fn new(policy: RolePolicy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// Puts another policy in its place: requests that come after this are decided by it.
    pub fn replace(&self, policy: RolePolicy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The policy as it is now.
    pub fn current(&self) -> Arc<RolePolicy> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Authorizer for LivePolicy {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        self.current().check(caller, action, owners)
    }

    fn try_authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Option<Result<(), AuthError>> {
        Some(self.current().check(caller, action, owners))
    }

    fn hides_crates(&self) -> bool {
        self.current().hides_crates()
    }

    fn needs_credential(&self) -> bool {
        self.current().needs_credential()
    }
}

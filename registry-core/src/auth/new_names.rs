use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use serde::Deserialize;

use super::{
    Action, ApprovedNames, AuthError, Authorizer, Caller, CratePattern, PolicyError, Principal,
};
use crate::{
    name::CanonicalName,
    owner::{Login, Owners},
};

/// Who may create which names. By default, everybody all of them.
///
/// ```
/// use registry_core::auth::NameRules;
///
/// let rules = NameRules::from_toml(r#"
///     only = ["ui-*", "lib-*"]    # no other names
///     approval = true             # names that are reserved for nobody need one
///
///     [[reserved]]
///     names = ["ui-*"]
///     for = ["group:ui"]
/// "#)?;
/// # Ok::<(), registry_core::auth::PolicyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NameRules {
    /// Names that only some may create. Whoever may needs no approval.
    #[serde(default)]
    pub reserved: Vec<ReservedNames>,
    /// If there are any, no other names may be created than these.
    #[serde(default)]
    pub only: Option<Vec<CratePattern>>,
    /// Whether each name that is reserved for nobody has to be approved by an administrator.
    #[serde(default)]
    pub approval: bool,
}

/// Names that only some may create.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReservedNames {
    /// The names.
    pub names: Vec<CratePattern>,
    /// The users and groups.
    #[serde(rename = "for")]
    pub logins: Vec<Login>,
}

impl NameRules {
    /// Reads rules from TOML. Keys that are not known are refused.
    ///
    /// # Errors
    /// [`PolicyError::File`] says what is wrong.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| PolicyError::in_toml(text, &error))
    }

    /// Reads rules from JSON, as [`NameRules::from_toml`] does.
    ///
    /// # Errors
    /// [`PolicyError::File`] says what is wrong.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        serde_json::from_str(text).map_err(|error| PolicyError::in_json(&error))
    }

    fn check(&self, who: &Principal, name: &CanonicalName) -> Verdict<'_> {
        let is_listed = |patterns: &[CratePattern]| patterns.iter().any(|it| it.matches(name));
        let mut reserved = self.reserved.iter().filter(|reserved| is_listed(&reserved.names));
        if let Some(first) = reserved.next() {
            let mut all = std::iter::once(first).chain(reserved);
            return match all.any(|it| it.logins.iter().any(|login| who.is(login))) {
                true => Verdict::Theirs,
                false => Verdict::Reserved(first),
            };
        }
        match &self.only {
            Some(only) if !is_listed(only) => Verdict::NotListed,
            _ if self.approval => Verdict::NeedsApproval,
            _ => Verdict::Theirs,
        }
    }
}

enum Verdict<'a> {
    Theirs,
    Reserved(&'a ReservedNames),
    NotListed,
    NeedsApproval,
}

impl Verdict<'_> {
    /// What to say to who has no approval either.
    fn refusal(&self, name: &CanonicalName) -> Option<String> {
        match self {
            Self::Theirs => None,
            Self::Reserved(ReservedNames { logins, .. }) => {
                let logins: Vec<_> = logins.iter().map(|login| format!("`{login}`")).collect();
                let logins = logins.join(", ");
                Some(format!("the crate name `{name}` is reserved for {logins}"))
            }
            Self::NotListed => Some(format!(
                "the crate name `{name}` is none of those that may be created in this registry"
            )),
            Self::NeedsApproval => Some(format!(
                "the crate name `{name}` is new: an administrator of this registry has to approve \
                 it first"
            )),
        }
    }
}

/// An [`Authorizer`] for which new names have rules of their own, in front of another one that
/// decides the rest. Both have to agree to a new name.
///
/// An approval of a name counts for more than any rule here. Clones share their rules.
#[derive(Clone, Debug)]
pub struct NewNames<A> {
    inner: A,
    rules: Arc<RwLock<Arc<NameRules>>>,
    approved: Option<Arc<dyn ApprovedNames>>,
}

impl<A> NewNames<A> {
    /// These rules in front of `inner`. Without [`NewNames::with_approvals`], no name is approved.
    pub fn new(inner: A, rules: NameRules) -> Self {
        Self { inner, rules: Arc::new(RwLock::new(Arc::new(rules))), approved: None }
    }

    /// Where the approved names are.
    #[must_use]
    pub fn with_approvals(mut self, approved: impl ApprovedNames) -> Self {
        self.approved = Some(Arc::new(approved));
        self
    }

    /// Puts other rules in place of these: requests that come after this are decided by them.
    pub fn replace(&self, rules: NameRules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    async fn check(&self, who: &Principal, name: &CanonicalName) -> Result<(), AuthError> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(reason) = rules.check(who, name).refusal(name) else { return Ok(()) };
        let approved = match &self.approved {
            Some(approved) => approved.find(name).await?,
            None => None,
        };
        match approved {
            Some(approved) if approved.login.as_ref().is_none_or(|login| who.is(login)) => Ok(()),
            _ => Err(AuthError::Forbidden { reason }),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Authorizer> Authorizer for NewNames<A> {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        // First, so that who may not publish at all is told so.
        self.inner.authorize(caller, action, owners).await?;
        match action {
            Action::Publish(name, ..) if owners.is_empty() => {
                self.check(caller.principal()?, name).await
            }
            _ => Ok(()),
        }
    }

    fn try_authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Option<Result<(), AuthError>> {
        match action {
            // Who may have been approved has to be looked up.
            Action::Publish(..) if owners.is_empty() => None,
            _ => self.inner.try_authorize(caller, action, owners),
        }
    }

    fn hides_crates(&self) -> bool {
        self.inner.hides_crates()
    }

    fn needs_credential(&self) -> bool {
        self.inner.needs_credential()
    }
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;
    use crate::{
        auth::{AllowAll, ApprovedName, Groups, OwnersMayWrite},
        memory::MemoryApprovedNames,
        owner::Owner,
        record::Timestamp,
    };

    const FILE: &str = r#"
        only = ["lib-*"]
        approval = true
        [[reserved]]
        names = ["ui-*"]
        for = ["group:ui", "root"]
    "#;

    fn caller(login: &str, groups: &[&str]) -> Caller {
        let groups = groups.iter().map(|group| Login::new(group).unwrap());
        let user = Owner { id: 1, login: Login::new(login).unwrap(), name: None };
        Principal { groups: Groups::from_iter(groups), ..user.into() }.into()
    }

    fn name(name: &str) -> CanonicalName {
        CanonicalName::new(name).unwrap()
    }

    /// The reason why a name may not be created, if it may not be.
    async fn refusal<A: Authorizer>(
        names: &NewNames<A>,
        who: &Caller,
        new: &str,
    ) -> Option<String> {
        let (name, one) = (name(new), Version::new(1, 0, 0));
        let action = Action::Publish(&name, &one, None);
        let created = names.authorize(who, &action, &Owners::default()).await;
        created.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_new_name_is_reserved_listed_and_approved() {
        let approved = MemoryApprovedNames::default();
        let rules = NameRules::from_toml(FILE).unwrap();
        let names = NewNames::new(AllowAll, rules).with_approvals(approved.clone());
        let (alice, ui, root) =
            (caller("alice", &[]), caller("bob", &["group:ui"]), caller("root", &[]));
        let reserved = "the crate name `ui_x` is reserved for `group:ui`, `root`";
        let other = "the crate name `x` is none of those that may be created in this registry";
        let new = "the crate name `lib_x` is new: an administrator of this registry has to approve \
                   it first";
        for (who, new, expected) in [
            (&ui, "ui-x", None),
            (&root, "UI_x", None),
            (&alice, "ui-x", Some(reserved)),
            (&alice, "x", Some(other)),
            (&ui, "x", Some(other)),
            (&alice, "lib-x", Some(new)),
            (&ui, "lib-x", Some(new)),
        ] {
            assert_eq!(refusal(&names, who, new).await.as_deref(), expected, "{new}");
        }

        // What an administrator has agreed to counts for more than the rules.
        let approve = async |new: &str, login: Option<&str>| {
            let login = login.map(|login| Login::new(login).unwrap());
            let by = "root".to_owned();
            let name = ApprovedName { name: name(new), login, at: Timestamp(1), by };
            approved.approve(&name).await.unwrap();
        };
        approve("lib-x", Some("group:ui")).await;
        approve("ui-x", Some("alice")).await;
        approve("x", None).await;
        for (who, new, expected) in [
            (&ui, "lib-x", None),
            (&alice, "lib-x", Some(new)),
            (&alice, "ui-x", None),
            (&caller("eve", &[]), "ui-x", Some(reserved)),
            (&alice, "x", None),
        ] {
            assert_eq!(refusal(&names, who, new).await.as_deref(), expected, "{new}");
        }
        assert!(approved.revoke(&name("x")).await.unwrap());
        assert_eq!(refusal(&names, &alice, "x").await.as_deref(), Some(other));

        names.clone().replace(NameRules::default());
        assert_eq!(refusal(&names, &alice, "x").await, None);
    }

    #[tokio::test]
    async fn only_creation_is_looked_at_and_the_rest_is_asked_as_well() {
        let names = NewNames::new(OwnersMayWrite, NameRules::from_toml("only = []").unwrap());
        let (alice, x, one) = (caller("alice", &[]), name("x"), Version::new(1, 0, 0));
        let owners: Owners = [alice.principal.as_ref().unwrap().user.clone()].into_iter().collect();
        let publish = Action::Publish(&x, &one, None);
        names.authorize(&alice, &publish, &owners).await.unwrap();
        names.authorize(&caller("bob", &[]), &publish, &owners).await.unwrap_err();
        // A new name may have to be looked up, and nothing else.
        assert!(names.try_authorize(&alice, &publish, &Owners::default()).is_none());
        assert!(matches!(names.try_authorize(&alice, &publish, &owners), Some(Ok(()))));
        assert!(matches!(names.try_authorize(&alice, &Action::Read(&x), &owners), Some(Ok(()))));
        let nobody = names.authorize(&Caller::anonymous(), &publish, &Owners::default()).await;
        assert!(matches!(nobody, Err(AuthError::Missing)));
        assert!(refusal(&names, &alice, "x").await.is_some());
    }

    #[test]
    fn a_slip_in_a_file_is_refused_with_its_place() {
        for (text, expected) in [
            ("\nonly = 1", "line 2: invalid type: integer `1`, expected a sequence"),
            (
                "approval = true\nreserve = []",
                "line 2: unknown field `reserve`, expected one of `reserved`, `only`, `approval`",
            ),
        ] {
            assert_eq!(NameRules::from_toml(text).unwrap_err().to_string(), expected);
        }
        let json = NameRules::from_json(r#"{"reserved":[{"names":["a*"],"for":["b"]}]}"#);
        let names = vec![CratePattern::new("a*").unwrap()];
        let logins = vec![Login::new("b").unwrap()];
        let reserved = vec![ReservedNames { names, logins }];
        assert_eq!(json.unwrap(), NameRules { reserved, ..NameRules::default() });
    }
}

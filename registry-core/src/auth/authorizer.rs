use async_trait::async_trait;

use super::{Action, AuthError, Authorizer, Caller};
use crate::owner::Owners;

/// Everybody reads; whoever publishes a crate first owns it; only owners change it after that.
/// The default. Source: crates.io.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnersMayWrite;

impl OwnersMayWrite {
    fn decide(caller: &Caller, action: &Action<'_>, owners: &Owners) -> Result<(), AuthError> {
        if action.is_read() {
            return Ok(());
        }
        let principal = caller.principal()?;
        let allowed = match action {
            Action::Publish(..) if owners.is_empty() => true,
            Action::Publish(..) | Action::Yank(..) | Action::Unyank(..) => {
                owners.include_for_releases(principal)
            }
            _ => owners.include(principal),
        };
        if allowed {
            return Ok(());
        }
        let reason = match owners.include_for_releases(principal) {
            true => "members of a group do not have permission to modify owners",
            false => {
                "this crate exists but you don't seem to be an owner; an owner can add you with \
                 `cargo owner --add`"
            }
        };
        Err(AuthError::Forbidden { reason: reason.into() })
    }
}

#[async_trait]
impl Authorizer for OwnersMayWrite {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
        Self::decide(caller, action, owners)
    }

    fn try_authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Option<Result<(), AuthError>> {
        Some(Self::decide(caller, action, owners))
    }

    fn hides_crates(&self) -> bool {
        false
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

/// Everybody with a credential writes, everybody reads. For tests, and for a service that checks
/// rights before it hands a request on.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

#[async_trait]
impl Authorizer for AllowAll {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        _: &Owners,
    ) -> Result<(), AuthError> {
        if !action.is_read() {
            caller.principal()?;
        }
        Ok(())
    }

    fn hides_crates(&self) -> bool {
        false
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use semver::Version;

    use super::*;
    use crate::{
        auth::{CredentialId, Principal, TokenId},
        conformance,
        name::CanonicalName,
        owner::{Login, Owner},
    };

    fn owner(login: &str) -> Owner {
        Owner { id: 1, login: Login::new(login).unwrap(), name: None }
    }

    fn somebody(login: &str, groups: &[&str]) -> Principal {
        let groups = groups.iter().map(|group| owner(group).login).collect();
        Principal { groups, ..owner(login).into() }
    }

    fn text(result: Result<(), AuthError>) -> Option<String> {
        result.err().map(|error| error.to_string())
    }

    /// Alice and the group `group:ui` own the crate. Source of the rules: crates.io.
    #[test]
    fn owners_write_and_only_users_among_them_change_owners() {
        const STRANGER: &str = "this crate exists but you don't seem to be an owner; an owner can \
                                add you with `cargo owner --add`";
        const MEMBER: &str = "members of a group do not have permission to modify owners";
        let (name, version) = (CanonicalName::new("foo").unwrap(), Version::new(1, 0, 0));
        let owners = Owners::from_iter([owner("alice"), owner("group:ui")]);
        let id = TokenId::from_number(1).unwrap();
        let run =
            Principal { credential: CredentialId::TrustedPublisher(id), ..somebody("run", &[]) };
        let callers = [
            (somebody("alice", &[]), None, None),
            (somebody("alice", &["group:ui"]), None, None),
            (somebody("bob", &["group:other", "group:ui"]), None, Some(MEMBER)),
            (run, None, Some(MEMBER)),
            (somebody("bob", &["group:other"]), Some(STRANGER), Some(STRANGER)),
            (somebody("ui", &[]), Some(STRANGER), Some(STRANGER)),
            // A login that looks like the group is not the group.
            (somebody("group:ui", &[]), Some(STRANGER), Some(STRANGER)),
        ];
        conformance::run(async {
            for (principal, releases, management) in callers {
                let caller = Caller { principal: Some(Arc::new(principal)), ..Caller::anonymous() };
                for (action, expected) in [
                    (Action::Publish(&name, &version, None), releases),
                    (Action::Yank(&name, &version), releases),
                    (Action::Unyank(&name, &version), releases),
                    (Action::ChangeOwners(&name), management),
                    (Action::ConfigureTrustedPublishing(&name), management),
                    (Action::Read(&name), None),
                    (Action::ReadRegistry, None),
                ] {
                    let allowed = OwnersMayWrite.authorize(&caller, &action, &owners).await;
                    assert_eq!(text(allowed).as_deref(), expected, "{caller:?} {action:?}");
                    let at_once = OwnersMayWrite.try_authorize(&caller, &action, &owners).unwrap();
                    assert_eq!(text(at_once).as_deref(), expected, "{caller:?} {action:?}");
                }
                // A name that is free is anybody's who publishes it.
                let publish = Action::Publish(&name, &version, None);
                let none = Owners::default();
                assert_eq!(text(OwnersMayWrite.authorize(&caller, &publish, &none).await), None);
            }
            let nobody = Caller::anonymous();
            for action in [Action::Publish(&name, &version, None), Action::ChangeOwners(&name)] {
                let refused = OwnersMayWrite.authorize(&nobody, &action, &owners).await;
                assert!(matches!(refused, Err(AuthError::Missing)), "{action:?}");
            }
            assert_eq!(
                text(OwnersMayWrite.authorize(&nobody, &Action::Read(&name), &owners).await),
                None
            );
        });
    }
}

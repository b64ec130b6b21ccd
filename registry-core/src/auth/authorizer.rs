use async_trait::async_trait;

use super::{Action, AuthError, Authorizer, Caller};
use crate::owner::Owners;

/// Everybody reads; whoever publishes a crate first owns it; only owners change it after that.
/// The default. Source: crates.io.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnersMayWrite;

#[async_trait]
impl Authorizer for OwnersMayWrite {
    async fn authorize(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        owners: &Owners,
    ) -> Result<(), AuthError> {
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
}

use semver::Version;

use super::{Registry, WriteError, audit::Asked};
use crate::{
    audit::AuditAction,
    auth::{Action, Caller},
    limits::RequestKind,
    name::CanonicalName,
    record::CrateRecord,
};

impl Registry {
    /// Yanks a version, or undoes it. Succeeds without a change if it is so already.
    ///
    /// # Errors
    /// [`WriteError::Refused`] if there is no such version; see [`WriteError`] for the rest.
    pub async fn set_yanked(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        version: &Version,
        yanked: bool,
    ) -> Result<(), WriteError> {
        let (action, asked) = match yanked {
            true => (Action::Yank(name, version), AuditAction::YANK),
            false => (Action::Unyank(name, version), AuditAction::UNYANK),
        };
        let answer = self.change_yanked(caller, &action, name, version, yanked).await;
        let (name, version) = (Some(name), Some(version));
        let asked = Asked { caller, action: asked, name, version, logins: &[] };
        self.noted(asked, answer).await
    }

    async fn change_yanked(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        name: &CanonicalName,
        version: &Version,
        yanked: bool,
    ) -> Result<(), WriteError> {
        caller.principal()?;
        self.admit(caller, RequestKind::Yank)?;
        let decide = |record: &CrateRecord, stamp| record.set_yanked(version, yanked, stamp);
        self.change(caller, action, name, decide).await
    }
}

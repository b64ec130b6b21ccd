use std::time::SystemTime;

use semver::Version;

use super::{Registry, WriteError};
use crate::{
    auth::{Action, Caller},
    limits::RequestKind,
    name::CanonicalName,
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
        let action =
            if yanked { Action::Yank(name, version) } else { Action::Unyank(name, version) };
        let stamp = caller.stamp(SystemTime::now().into())?;
        self.admit(caller, RequestKind::Yank)?;
        self.change(caller, &action, name, |record| {
            record.set_yanked(version, yanked, stamp.clone())
        })
        .await
    }
}

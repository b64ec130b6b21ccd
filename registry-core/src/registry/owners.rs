use std::time::SystemTime;

use super::{ReadError, Registry, WriteError};
use crate::{
    auth::{Action, Caller},
    limits::RequestKind,
    name::CanonicalName,
    owner::{Login, Owners},
};

impl Registry {
    /// Who may write to a crate.
    ///
    /// # Errors
    /// [`ReadError::UnknownCrate`] if there is none of that name that the caller may see.
    pub async fn owners(&self, caller: &Caller, name: &CanonicalName) -> Result<Owners, ReadError> {
        let record = self.record_for(caller, &Action::ListOwners(name), name).await?;
        Ok(record.owners().clone())
    }

    /// Adds owners. Who is one already stays one.
    ///
    /// # Errors
    /// [`WriteError::UnknownUser`] if one of them is not a user; then none is added.
    pub async fn add_owners(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        logins: &[Login],
    ) -> Result<(), WriteError> {
        self.check_writable()?;
        let action = Action::ChangeOwners(name);
        let stamp = caller.stamp(SystemTime::now().into())?;
        self.admit(caller, RequestKind::Owners)?;
        // Before the users are looked up, so that only an owner can find out who is one.
        self.load_for(caller, &action, name).await?;
        let mut owners = Vec::with_capacity(logins.len());
        for login in logins {
            let user = self.parts.authenticator.find_user(login).await?;
            owners.push(user.ok_or_else(|| WriteError::UnknownUser { login: login.clone() })?);
        }
        self.change(caller, &action, name, |record| record.add_owners(&owners, stamp.clone())).await
    }

    /// Removes owners, but never the last one.
    ///
    /// # Errors
    /// [`WriteError::Refused`] if one of them is not an owner, or nobody would be left.
    pub async fn remove_owners(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        logins: &[Login],
    ) -> Result<(), WriteError> {
        let action = Action::ChangeOwners(name);
        let stamp = caller.stamp(SystemTime::now().into())?;
        self.admit(caller, RequestKind::Owners)?;
        self.change(caller, &action, name, |record| record.remove_owners(logins, stamp.clone()))
            .await
    }
}

use super::{ReadError, Registry, WriteError, audit::Asked};
use crate::{
    audit::AuditAction,
    auth::{Action, Caller},
    limits::RequestKind,
    name::CanonicalName,
    owner::{Login, Owners},
    record::CrateRecord,
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
        let answer = self.add_users(caller, name, logins).await;
        let (action, name) = (AuditAction::ADD_OWNERS, Some(name));
        self.noted(Asked { caller, action, name, version: None, logins }, answer).await
    }

    async fn add_users(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        logins: &[Login],
    ) -> Result<(), WriteError> {
        self.check_writable()?;
        let action = Action::ChangeOwners(name);
        caller.principal()?;
        self.admit(caller, RequestKind::Owners)?;
        // Before the users are looked up, so that only an owner can find out who is one.
        self.load_for(caller, &action, name).await?;
        let mut owners = Vec::with_capacity(logins.len());
        for login in logins {
            let user = self.parts.authenticator.find_user(login).await?;
            owners.push(user.ok_or_else(|| WriteError::UnknownUser { login: login.clone() })?);
        }
        self.change(caller, &action, name, |record, stamp| record.add_owners(&owners, stamp)).await
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
        let answer = self.remove_users(caller, &action, name, logins).await;
        let (action, name) = (AuditAction::REMOVE_OWNERS, Some(name));
        self.noted(Asked { caller, action, name, version: None, logins }, answer).await
    }

    async fn remove_users(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        name: &CanonicalName,
        logins: &[Login],
    ) -> Result<(), WriteError> {
        caller.principal()?;
        self.admit(caller, RequestKind::Owners)?;
        let decide = |record: &CrateRecord, stamp| record.remove_owners(logins, stamp);
        self.change(caller, action, name, decide).await
    }
}

//! Crates that the authorizer keeps from a caller: there is nothing under their names.

use std::{
    borrow::Cow,
    hash::{BuildHasher as _, RandomState},
};

use super::{ReadError, Registry, WriteError};
use crate::{
    auth::{Action, AuthError, Caller},
    index::Stored,
    name::{CanonicalName, CrateName},
    owner::Owners,
};

/// Names under which nothing is, to be looked for in place of those that a caller may not see.
///
/// What is hidden then takes the same work as what is not there, and however large a hidden crate
/// is, it does not show.
#[derive(Debug)]
pub(super) struct Decoys {
    /// Guessed by nobody, so that nobody publishes a crate that is found.
    prefix: String,
}

impl Decoys {
    fn of(&self, name: &CanonicalName) -> CanonicalName {
        // A name of its own for each, because some caches remember what is not there.
        let room = CrateName::MAX_CHARS - self.prefix.len();
        let rest = &name.as_str()[..name.as_str().len().min(room)];
        let decoy = CanonicalName::new(&format!("{}{rest}", self.prefix));
        decoy.expect("a letter, and letters, digits and `_` behind it, not too many")
    }
}

impl Default for Decoys {
    fn default() -> Self {
        Self { prefix: format!("x{:016x}_", RandomState::new().hash_one(())) }
    }
}

impl Registry {
    /// Whether answers may differ from caller to caller, now or later: then they are for no shared
    /// cache.
    pub fn hides_crates(&self) -> bool {
        self.parts.authorizer.hides_crates()
    }

    /// Whether nothing is read here without a credential: by configuration, or because the
    /// authorizer says so at this moment.
    pub fn auth_required(&self) -> bool {
        self.parts.config.auth_required() || self.parts.authorizer.needs_credential()
    }

    /// Under which name to look for a crate: under its own, if the caller may read it. A crate that
    /// may not be seen is a crate that does not exist, so that whoever looks finds out by
    /// themselves.
    pub(super) async fn place<'n>(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        name: &'n CanonicalName,
    ) -> Result<Cow<'n, CanonicalName>, ReadError> {
        match self.authorize(caller, action, &Owners::default()).await {
            Ok(()) => Ok(Cow::Borrowed(name)),
            Err(AuthError::Forbidden { .. }) => Ok(Cow::Owned(self.parts.decoys.of(name))),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the caller may read this crate; who would first have to log in does not.
    pub(super) async fn sees(
        &self,
        caller: &Caller,
        name: &CanonicalName,
    ) -> Result<bool, AuthError> {
        match self.authorize(caller, &Action::Read(name), &Owners::default()).await {
            Ok(()) => Ok(true),
            Err(error @ AuthError::Backend(_)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Whether there are crates, of which the caller would be told by a search, that they may not
    /// read.
    pub(super) fn sees_only_some(&self, caller: &Caller) -> bool {
        let restricted = || {
            let principal = caller.principal.as_ref();
            principal.is_some_and(|principal| !principal.scopes.include_all_reading())
        };
        self.hides_crates() || self.auth_required() && restricted()
    }

    /// The crate that a write is about, if the caller may do it. Without one, only a publish goes
    /// on.
    ///
    /// # Errors
    /// The same, to the letter and after the same work, for a crate that is kept from the caller
    /// and for a name like it that is free: that one may not be created either.
    pub(super) async fn load_for(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        name: &CanonicalName,
    ) -> Result<Option<Stored>, WriteError> {
        // Before anything is said about the crate: who is nobody learns nothing.
        let principal = caller.principal()?;
        let unknown = || WriteError::UnknownCrate { name: name.clone() };
        if self.is_hidden(caller, name).await? {
            self.parts.index.load(&self.parts.decoys.of(name), None).await?;
            return Err(unknown());
        }
        let stored = self.parts.index.load(name, None).await?.found();
        if stored.is_none() && !matches!(action, Action::Publish(..)) {
            // What a credential is not for, it does not find out about.
            principal.may_be_used_for(action, false)?;
            return Err(unknown());
        }
        let nobody = Owners::default();
        let owners = stored.as_ref().map_or(&nobody, |stored| stored.record.owners());
        self.authorize(caller, action, owners).await?;
        Ok(stored)
    }

    /// Whether the authorizer keeps this crate from the user, whatever their credential is for.
    async fn is_hidden(&self, caller: &Caller, name: &CanonicalName) -> Result<bool, AuthError> {
        if !self.hides_crates() {
            return Ok(false);
        }
        let (action, nobody) = (Action::Read(name), Owners::default());
        match self.decide(caller, &action, &nobody).await {
            Ok(()) => Ok(false),
            Err(AuthError::Forbidden { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

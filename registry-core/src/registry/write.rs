use std::{borrow::Cow, time::SystemTime};

use super::{Registry, new_files::NewFiles};
use crate::{
    auth::{Action, AuthError, Caller},
    index::IndexError,
    name::CanonicalName,
    observer::Event,
    owner::Login,
    record::{Change, CrateRecord, Refusal, Stamp, Transition},
    store::StoreError,
};

impl Registry {
    /// How often a write is decided anew because another process was faster.
    const ROUNDS: usize = 8;

    /// Takes one crate from its record to the next. `decide` looks at the record as it is and
    /// gives the next one, or `None` if it is already as wished.
    ///
    /// Authorization and decision are made on the very record that the commit replaces; the
    /// commit is the moment at which the change becomes real. Once it is known that the caller may
    /// do it, it is found out whether their credential still counts. `files` are those that the next
    /// record names and this one did not.
    pub(super) async fn transition(
        &self,
        right: Right<'_>,
        name: &CanonicalName,
        mut files: NewFiles,
        mut decide: impl FnMut(Option<&CrateRecord>) -> Result<Option<Transition>, Refusal> + Send,
    ) -> Result<Option<Change>, WriteError> {
        self.check_writable()?;
        let _turn = self.parts.writers.enter(name).await;
        let mut confirmed: Option<Cow<'_, Caller>> = None;
        let mut unknown: Option<(Change, IndexError)> = None;
        for _ in 0..Self::ROUNDS {
            let stored = match (right, &confirmed) {
                (Right::Administrator, _) => self.parts.index.load(name, None).await?.found(),
                (Right::Of(_, action), Some(caller)) => self.load_for(caller, action, name).await?,
                (Right::Of(caller, action), None) => {
                    // Others wait for this one: nobody is asked about who may not do it.
                    let mut stored = self.load_for(caller, action, name).await?;
                    let now = self.confirmed(caller).await?;
                    if now.principal != caller.principal {
                        stored = self.load_for(&now, action, name).await?;
                    }
                    now.use_claim().await?;
                    confirmed = Some(now);
                    stored
                }
            };
            let record = stored.as_ref().map(|stored| &stored.record);
            let shown = |change: &Change| record.is_some_and(|record| record.shows(change));
            if let Some((change, _)) = unknown.take_if(|(change, _)| shown(change)) {
                return self.committed(change, files).await.map(Some);
            }
            let Some((next, change)) = decide(record)? else {
                return Ok(None);
            };
            files.make_young().await?;
            let revision = stored.as_ref().map(|stored| &stored.revision);
            match self.parts.index.commit(revision, &change, &next).await {
                Ok(_) => return self.committed(change, files).await.map(Some),
                Err(IndexError::Conflict { .. }) => {}
                // Whether it was written shows when the record is loaded again: at once, or after
                // the conflict that the next commit runs into.
                Err(error @ IndexError::OutcomeUnknown { .. }) => unknown = Some((change, error)),
                Err(error) => return Err(error.into()),
            }
        }
        // A backend that fails at each commit is no matter of other writers.
        Err(match unknown {
            Some((_, error)) => error.into(),
            None => WriteError::Contended { name: name.clone() },
        })
    }

    /// A transition of a crate that exists, by somebody and now.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        action: &Action<'_>,
        name: &CanonicalName,
        decide: impl Fn(&CrateRecord, Stamp) -> Result<Option<Transition>, Refusal> + Send,
    ) -> Result<(), WriteError> {
        let stamp = caller.stamp(SystemTime::now().into())?;
        // An absent crate ends in `load_for`.
        let decide = move |record: Option<&CrateRecord>| {
            record.map_or(Ok(None), |record| decide(record, stamp.clone()))
        };
        self.transition(Right::Of(caller, action), name, self.new_files(), decide).await?;
        Ok(())
    }

    /// Refuses what would change something in a registry that is only read: for a service around it
    /// that gives access by itself.
    ///
    /// # Errors
    /// [`WriteError::ReadOnly`] if it is.
    pub fn check_writable(&self) -> Result<(), WriteError> {
        match self.parts.config.is_read_only() {
            true => Err(WriteError::ReadOnly),
            false => Ok(()),
        }
    }

    async fn committed(&self, change: Change, mut files: NewFiles) -> Result<Change, WriteError> {
        self.tell(Event::Committed(&change));
        files.make_sure().await?;
        Ok(change)
    }
}

/// What a write rests on.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    /// What the authorizer lets the caller do.
    Of(&'a Caller, &'a Action<'a>),
    /// That somebody holds the registry itself: asks no authorizer.
    Administrator,
}

/// Why a write did not take place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The caller may not do it.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The registry is [read-only](crate::RegistryConfig::with_read_only).
    #[error("this registry is read-only")]
    ReadOnly,
    /// There is no such crate.
    #[error("crate `{name}` does not exist")]
    UnknownCrate {
        /// The name asked for.
        name: CanonicalName,
    },
    /// There is no such user or group.
    #[error("could not find {} with login `{login}`", if login.is_group() { "team" } else { "user" })]
    UnknownUser {
        /// The login asked for.
        login: Login,
    },
    /// The crate's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Other processes kept changing the crate; try again.
    #[error("crate `{name}` is being changed by others; try again")]
    Contended {
        /// The crate.
        name: CanonicalName,
    },
    /// The crate store failed when a file that had become old was to be stored again. If the change
    /// was committed before that, which took long, it is there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed. After [`IndexError::OutcomeUnknown`] the change may have taken place.
    #[error(transparent)]
    Index(#[from] IndexError),
}

use std::time::SystemTime;

use semver::Version;

use super::{
    Registry, WriteError,
    audit::{Asked, Refuses},
};
use crate::{
    audit::{AuditAction, AuditEntry},
    auth::{
        Action, AuthError, AuthStoreError, Caller, Token, TokenRecord,
        trusted::{ExchangeError, TrustedPublisher, TrustedPublisherRecord, TrustedPublishing},
    },
    limits::RequestKind,
    name::CanonicalName,
    owner::Owners,
};

impl Registry {
    /// A token for what a CI run says by its identity token that it is: see
    /// [`TrustedPublishing::exchange`].
    ///
    /// # Errors
    /// [`TrustedPublishingError::NotOffered`] or [`TrustedPublishingError::Exchange`], and
    /// [`TrustedPublishingError::Write`] if the registry is read-only.
    pub async fn exchange_identity_token(
        &self,
        identity_token: &str,
    ) -> Result<(Token, TokenRecord), TrustedPublishingError> {
        let trusted = self.offered()?;
        self.check_writable()?;
        let now = SystemTime::now().into();
        let exchanged = trusted.exchange(identity_token, now).await;
        exchanged.map_err(TrustedPublishingError::Exchange)
    }

    /// Revokes the token that a CI run got and has come with.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] if the caller has come with another credential.
    pub async fn revoke_exchanged_token(
        &self,
        caller: &Caller,
    ) -> Result<(), TrustedPublishingError> {
        let trusted = self.offered()?;
        let caller = self.confirmed(caller).await?;
        match trusted.revoke(caller.principal()?, SystemTime::now().into()).await? {
            true => Ok(()),
            false => {
                let reason = "only a trusted publishing token can be revoked here".into();
                Err(AuthError::Forbidden { reason }.into())
            }
        }
    }

    /// Whose runs may publish a crate.
    ///
    /// # Errors
    /// As [`Registry::add_trusted_publisher`].
    pub async fn trusted_publishers(
        &self,
        caller: &Caller,
        name: &CanonicalName,
    ) -> Result<Vec<TrustedPublisherRecord>, TrustedPublishingError> {
        let trusted = self.offered()?;
        self.may_configure(caller, name).await?;
        Ok(trusted.publishers().list(Some(name)).await?)
    }

    /// Lets the runs of a publisher publish a crate that is there. Only who may publish versions of it
    /// lets others do so in their place.
    ///
    /// # Errors
    /// [`TrustedPublishingError::Write`] if the caller may not say so or there is no such crate,
    /// [`TrustedPublishingError::TooMany`] if it has enough of them.
    pub async fn add_trusted_publisher(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
    ) -> Result<TrustedPublisherRecord, TrustedPublishingError> {
        let answer = self.add_publisher(caller, name, publisher).await;
        self.configured(caller, Some(name), "added", answer).await
    }

    async fn add_publisher(
        &self,
        caller: &Caller,
        name: &CanonicalName,
        publisher: &TrustedPublisher,
    ) -> Result<TrustedPublisherRecord, TrustedPublishingError> {
        let trusted = self.offered()?;
        self.check_writable()?;
        self.admit(caller, RequestKind::Tokens)?;
        let caller = &*self.confirmed(caller).await?;
        let owners = self.may_configure(caller, name).await?;
        // Of no version in particular.
        let publish = Action::Publish(name, &Version::new(0, 0, 0), None);
        self.decide(caller, &publish, &owners).await?;
        if trusted.publishers().list(Some(name)).await?.len() >= TrustedPublishing::MAX_PUBLISHERS {
            return Err(TrustedPublishingError::TooMany);
        }
        let by = &caller.principal()?.user.login;
        let now = SystemTime::now().into();
        Ok(trusted.publishers().add(name, publisher, now, by).await?)
    }

    /// Lets the runs of a publisher no longer publish its crate, by tokens that they have got, either:
    /// those go on reading to their end.
    ///
    /// # Errors
    /// [`TrustedPublishingError::Unknown`] if there is none of this id, or its crate is one that the
    /// caller may not see.
    pub async fn remove_trusted_publisher(
        &self,
        caller: &Caller,
        id: u64,
    ) -> Result<TrustedPublisherRecord, TrustedPublishingError> {
        let mut name = None;
        let answer = self.remove_publisher(caller, id, &mut name).await;
        self.configured(caller, name.as_ref(), "removed", answer).await
    }

    /// `name` is set as soon as it is known of which crate the publisher is.
    async fn remove_publisher(
        &self,
        caller: &Caller,
        id: u64,
        name: &mut Option<CanonicalName>,
    ) -> Result<TrustedPublisherRecord, TrustedPublishingError> {
        let trusted = self.offered()?;
        self.check_writable()?;
        caller.principal()?;
        self.admit(caller, RequestKind::Tokens)?;
        let caller = &*self.confirmed(caller).await?;
        let unknown = || TrustedPublishingError::Unknown { id };
        let record = trusted.publishers().get(id).await?.ok_or_else(unknown)?;
        let name = name.insert(record.name);
        match self.may_configure(caller, name).await {
            Err(TrustedPublishingError::Write(WriteError::UnknownCrate { .. })) => Err(unknown()),
            Err(error) => Err(error),
            Ok(_) => trusted.publishers().remove(id).await?.ok_or_else(unknown),
        }
    }

    /// The answer to a change that was asked for, noted if something was decided.
    async fn configured(
        &self,
        caller: &Caller,
        name: Option<&CanonicalName>,
        what: &str,
        answer: Result<TrustedPublisherRecord, TrustedPublishingError>,
    ) -> Result<TrustedPublisherRecord, TrustedPublishingError> {
        let action = AuditAction::CONFIGURE_TRUSTED_PUBLISHING;
        if let Ok(record) = &answer {
            let detail = format!("trusted publisher {} {what}", record.id);
            let done = AuditEntry::done(caller, action.clone(), &detail).about(&record.name);
            self.audit(done).await;
        }
        self.noted(Asked { caller, action, name, version: None, logins: &[] }, answer).await
    }

    fn offered(&self) -> Result<&TrustedPublishing, TrustedPublishingError> {
        self.trusted_publishing().ok_or(TrustedPublishingError::NotOffered)
    }

    async fn may_configure(
        &self,
        caller: &Caller,
        name: &CanonicalName,
    ) -> Result<Owners, TrustedPublishingError> {
        let action = Action::ConfigureTrustedPublishing(name);
        let stored = self.load_for(caller, &action, name).await?;
        let stored = stored.ok_or_else(|| WriteError::UnknownCrate { name: name.clone() })?;
        Ok(stored.record.owners().clone())
    }

    /// Fails for a CI run that would publish a crate of which it is no trusted publisher any more, or
    /// only one in another registry with the same tokens.
    pub(super) async fn check_run(
        &self,
        caller: &Caller,
        action: &Action<'_>,
    ) -> Result<(), AuthError> {
        let run = caller.principal.as_ref().filter(|principal| principal.is_trusted_publisher());
        let (Some(run), &Action::Publish(name, ..)) = (run, action) else { return Ok(()) };
        let publishers = match self.trusted_publishing() {
            Some(trusted) => trusted.publishers().list(Some(name)).await?,
            None => Vec::new(),
        };
        match publishers.iter().any(|record| run.vouched.publishers.contains(&record.id)) {
            true => Ok(()),
            false => {
                let reason =
                    format!("this run is not, or no longer, a trusted publisher of `{name}`");
                Err(AuthError::Forbidden { reason })
            }
        }
    }
}

/// Why nothing was done about trusted publishing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedPublishingError {
    /// The registry was [built](super::RegistryBuilder::trusted_publishing) without it.
    #[error("this registry does not offer trusted publishing")]
    NotOffered,
    /// There is no token for this run.
    #[error(transparent)]
    Exchange(ExchangeError),
    /// The caller may not do it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The crate has as many as it may have.
    #[error("a crate has at most {} trusted publishers", TrustedPublishing::MAX_PUBLISHERS)]
    TooMany,
    /// There is none of this id.
    #[error("there is no trusted publisher `{id}`")]
    Unknown {
        /// The id.
        id: u64,
    },
    /// What has to be looked up or stored cannot be.
    #[error(transparent)]
    Store(#[from] AuthStoreError),
}

impl Refuses for TrustedPublishingError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::TooMany | Self::Unknown { .. } => true,
            Self::Write(error) => error.is_refusal(),
            Self::NotOffered | Self::Exchange(_) | Self::Store(_) => false,
        }
    }
}

impl From<AuthError> for TrustedPublishingError {
    fn from(error: AuthError) -> Self {
        Self::Write(error.into())
    }
}

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr, time::SystemTime};

use semver::Version;

use super::AuditText;
use crate::{
    auth::{Caller, CredentialId},
    echo::Echo,
    name::CanonicalName,
    owner::{Login, Owner},
    record::{Change, ChangeKind, ReleaseState, Timestamp},
};

/// One line of the trail: who did or was refused what, and from where. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was decided.
    pub at: Timestamp,
    /// Who; nobody, if the registry did not get to know them.
    pub login: Option<Login>,
    /// By which credential, as [`CredentialId`] is displayed.
    pub credential: Option<AuditText>,
    /// What.
    pub action: AuditAction,
    /// The crate, if it is about one that was named.
    pub crate_name: Option<CanonicalName>,
    /// The version, if it is about one.
    pub version: Option<Version>,
    /// What became of it.
    pub outcome: AuditOutcome,
    /// What else there is to say: the owners added, the file published, why it was refused.
    pub detail: Option<AuditText>,
    /// The id under which the request is logged.
    pub request: Option<AuditText>,
    /// The address of the client.
    pub address: Option<IpAddr>,
}

impl AuditEntry {
    /// That somebody asked for a write, and was refused it now for the reason given.
    pub fn refused(caller: &Caller, action: AuditAction, reason: &str) -> Self {
        let outcome = AuditOutcome::Refused;
        Self { outcome, detail: Some(AuditText::new(reason)), ..Self::of(caller, action) }
    }

    /// That somebody has just done something that changes no crate, such as making a token.
    pub fn done(caller: &Caller, action: AuditAction, detail: &str) -> Self {
        Self { detail: Some(AuditText::new(detail)), ..Self::of(caller, action) }
    }

    /// That somebody who holds the data has just done something by a command. `login` is whose
    /// access it is about.
    pub fn command(login: Option<&Login>, action: AuditAction, detail: &str) -> Self {
        let credential = Some(self::credential(&CredentialId::Command));
        Self { login: login.cloned(), credential, ..Self::done(&Caller::default(), action, detail) }
    }

    /// The same, about a crate.
    #[must_use]
    pub fn about(mut self, crate_name: &CanonicalName) -> Self {
        self.crate_name = Some(crate_name.clone());
        self
    }

    /// The same, about a version.
    #[must_use]
    pub fn of_version(mut self, version: &Version) -> Self {
        self.version = Some(version.clone());
        self
    }

    fn of(caller: &Caller, action: AuditAction) -> Self {
        let origin = caller.origin();
        Self {
            at: SystemTime::now().into(),
            login: caller.principal.as_ref().map(|principal| principal.user.login.clone()),
            credential: origin.credential.as_ref().map(credential),
            action,
            crate_name: None,
            version: None,
            outcome: AuditOutcome::Done,
            detail: None,
            request: origin.request.as_deref().map(AuditText::new),
            address: origin.address,
        }
    }
}

/// That a change was made to a crate.
impl From<&Change> for AuditEntry {
    fn from(Change { name, kind, stamp }: &Change) -> Self {
        let versions = |count: usize| match count {
            1 => "1 version".to_owned(),
            count => format!("{count} versions"),
        };
        let (action, version, detail) = match kind {
            ChangeKind::Published(release) => {
                let checksum = format!("sha256:{}", release.line.checksum());
                (AuditAction::PUBLISH, Some(release.version()), Some(checksum))
            }
            ChangeKind::YankedSet(release) => match release.state {
                ReleaseState::Yanked => (AuditAction::YANK, Some(release.version()), None),
                _ => (AuditAction::UNYANK, Some(release.version()), None),
            },
            ChangeKind::OwnersAdded(owners) => {
                (AuditAction::ADD_OWNERS, None, Some(logins(owners.iter().map(login))))
            }
            ChangeKind::OwnersRemoved(owners) => {
                (AuditAction::REMOVE_OWNERS, None, Some(logins(owners.iter().map(login))))
            }
            ChangeKind::Imported(releases) => {
                (AuditAction::IMPORT, None, Some(versions(releases.len())))
            }
        };
        Self {
            at: stamp.at,
            login: Some(stamp.by.clone()),
            credential: stamp.origin.credential.as_ref().map(credential),
            action,
            crate_name: Some(name.canonical()),
            version: version.cloned(),
            outcome: AuditOutcome::Done,
            detail: detail.as_deref().map(AuditText::new),
            request: stamp.origin.request.as_deref().map(AuditText::new),
            address: stamp.origin.address,
        }
    }
}

fn login(owner: &Owner) -> &Login {
    &owner.login
}

/// A list of logins, as a detail has it.
pub(crate) fn logins<'a>(logins: impl IntoIterator<Item = &'a Login>) -> String {
    logins.into_iter().map(Login::as_str).collect::<Vec<_>>().join(", ")
}

fn credential(id: &CredentialId) -> AuditText {
    AuditText::new(&id.to_string())
}

/// What was done, or asked for: a word of lower-case ASCII letters and `-`.
///
/// What this library does has a constant here; a service around it has words of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuditAction(Cow<'static, str>);

impl AuditAction {
    /// A version was published.
    pub const PUBLISH: Self = Self::known("publish");
    /// A version was yanked.
    pub const YANK: Self = Self::known("yank");
    /// A yank was undone.
    pub const UNYANK: Self = Self::known("unyank");
    /// Owners were added.
    pub const ADD_OWNERS: Self = Self::known("add-owners");
    /// Owners were removed.
    pub const REMOVE_OWNERS: Self = Self::known("remove-owners");
    /// A crate was brought over from another index.
    pub const IMPORT: Self = Self::known("import");
    /// Somebody said which CI runs publish a crate.
    pub const CONFIGURE_TRUSTED_PUBLISHING: Self = Self::known("configure-trusted-publishing");
    /// A CI run got a token.
    pub const EXCHANGE_TOKEN: Self = Self::known("exchange-token");
    /// A registry was made in the list of a database.
    pub const CREATE_REGISTRY: Self = Self::known("create-registry");
    /// Something else was said of one.
    pub const CHANGE_REGISTRY: Self = Self::known("change-registry");
    /// One was deleted.
    pub const DELETE_REGISTRY: Self = Self::known("delete-registry");
    /// A token was made.
    pub const CREATE_TOKEN: Self = Self::known("create-token");
    /// A token was revoked.
    pub const REVOKE_TOKEN: Self = Self::known("revoke-token");
    /// A user, a group or a service account was made or changed.
    pub const CHANGE_ACCOUNT: Self = Self::known("change-account");
    /// A key was registered.
    pub const ADD_KEY: Self = Self::known("add-key");
    /// A key was revoked.
    pub const REVOKE_KEY: Self = Self::known("revoke-key");
    /// A new name was agreed to.
    pub const APPROVE_NAME: Self = Self::known("approve-name");
    /// It is no longer agreed to a new name.
    pub const REVOKE_NAME: Self = Self::known("revoke-name");

    const MAX_CHARS: usize = 64;

    const fn known(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    /// Checks a word.
    ///
    /// # Errors
    /// [`AuditActionError`] if it is empty, longer than 64 characters or has another character.
    pub fn new(word: &str) -> Result<Self, AuditActionError> {
        let is_plain = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        match is_plain && (1..=Self::MAX_CHARS).contains(&word.len()) {
            true => Ok(Self(Cow::Owned(word.to_owned()))),
            false => Err(AuditActionError { word: word.into() }),
        }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AuditAction {
    type Err = AuditActionError;
    fn from_str(text: &str) -> Result<Self, AuditActionError> {
        Self::new(text)
    }
}

/// A text is not the word for an action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an action: use 1 to 64 lower-case ASCII letters or `-`", Echo(word))]
pub struct AuditActionError {
    word: Box<str>,
}

/// What became of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// The registry refused to do it.
    Refused,
}

impl AuditOutcome {
    /// As it is stored: `done` or `refused`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuditOutcome {
    type Err = AuditOutcomeError;
    fn from_str(text: &str) -> Result<Self, AuditOutcomeError> {
        let found = [Self::Done, Self::Refused].into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| AuditOutcomeError { text: text.into() })
    }
}

/// A text is not an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an outcome: use `done` or `refused`", Echo(text))]
pub struct AuditOutcomeError {
    text: Box<str>,
}

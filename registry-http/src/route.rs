//! What can be asked for, what it takes to be answered, and how requests are read.

mod parse;

use registry_core::{
    Checksum, CrateName,
    audit::AuditAction,
    auth::{KeyId, TokenId},
    limits::RequestKind,
};
use semver::Version;

pub use self::parse::parse;

/// What a request asks for. Crate names are spelled as the path has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /index/config.json`
    Config,
    /// `GET /index/se/rd/serde`
    IndexFile(CrateName),
    /// `GET /dl/{crate}/{version}/{checksum}`, which `config.json` names.
    Download(CrateName, Version, Checksum),
    /// `GET /api/v1/crates/{crate}/{version}/download`, for clients with a URL of their own.
    DownloadByVersion(CrateName, Version),
    /// `GET /api/v1/crates`: a search with `q`, a list without.
    Search,
    /// `GET /api/v1/crates/{crate}/versions`
    Versions(CrateName),
    /// `PUT /api/v1/crates/new`
    Publish,
    /// `DELETE /api/v1/crates/{crate}/{version}/yank`
    Yank(CrateName, Version),
    /// `PUT /api/v1/crates/{crate}/{version}/unyank`
    Unyank(CrateName, Version),
    /// `GET /api/v1/crates/{crate}/owners`
    Owners(CrateName),
    /// `PUT /api/v1/crates/{crate}/owners`
    AddOwners(CrateName),
    /// `DELETE /api/v1/crates/{crate}/owners`
    RemoveOwners(CrateName),
    /// `PUT` or `POST /api/v1/trusted_publishing/tokens`
    ExchangeToken,
    /// `DELETE /api/v1/trusted_publishing/tokens`
    RevokeExchangedToken,
    /// `GET /api/v1/trusted_publishing/github_configs` or `gitlab_configs`
    TrustedPublishers(PublisherKind),
    /// `POST` to the same.
    AddTrustedPublisher(PublisherKind),
    /// `DELETE` of the same and `/{id}`
    RemoveTrustedPublisher(u64),
    /// `GET /me`
    Me,
    /// `GET /api/v1/me/keys`
    Keys,
    /// `PUT /api/v1/me/keys`
    AddKey,
    /// `DELETE /api/v1/me/keys/{id}`
    RevokeKey(KeyId),
    /// `GET /api/v1/me`
    User,
    /// `GET /api/v1/me/tokens`
    Tokens,
    /// `PUT /api/v1/me/tokens`
    NewToken,
    /// `GET /api/v1/me/tokens/{id}`
    Token(TokenId),
    /// `DELETE /api/v1/me/tokens/{id}`
    RevokeToken(TokenId),
    /// `DELETE /api/v1/tokens/current`
    RevokeCurrentToken,
}

/// Which trusted publishers a path is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublisherKind {
    /// Workflows of GitHub.
    GitHub,
    /// Pipelines of GitLab.
    GitLab,
}

/// What a caller must be allowed to do to be answered. Each value but the first three stands for
/// the action of that name in [`registry_core::auth::Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the answer is the same for everybody, and no secret.
    Nothing,
    /// To be somebody: it is about the credential itself.
    Somebody,
    /// To be somebody who has come without a token: a token makes and tells of no others.
    Person,
    /// To read what belongs to no crate.
    ReadRegistry,
    /// To read the crate.
    Read,
    /// To list the owners of the crate.
    ListOwners,
    /// To publish the version that the body names.
    Publish,
    /// To yank the version.
    Yank,
    /// To undo the yank of the version.
    Unyank,
    /// To add or remove owners.
    ChangeOwners,
    /// To say which CI runs may publish the crate.
    ConfigureTrustedPublishing,
}

impl Needs {
    /// Whether a credential is required even where everybody reads: it is a write, or about the
    /// caller.
    pub fn is_personal(self) -> bool {
        match self {
            Self::Nothing | Self::ReadRegistry | Self::Read | Self::ListOwners => false,
            Self::Somebody | Self::Person => true,
            Self::Publish | Self::Yank | Self::Unyank | Self::ChangeOwners => true,
            Self::ConfigureTrustedPublishing => true,
        }
    }
}

impl Route {
    /// The [name](Self::name) of what is no route.
    pub const NONE: &str = "none";

    /// All names, in ascending order.
    pub(crate) const NAMES: [&str; 28] = [
        "add_key",
        "add_owners",
        "add_trusted_publisher",
        "config",
        "download",
        "download_by_version",
        "exchange_token",
        "index_file",
        "keys",
        "me",
        "new_token",
        "none",
        "owners",
        "publish",
        "remove_owners",
        "remove_trusted_publisher",
        "revoke_current_token",
        "revoke_exchanged_token",
        "revoke_key",
        "revoke_token",
        "search",
        "token",
        "tokens",
        "trusted_publishers",
        "unyank",
        "user",
        "versions",
        "yank",
    ];

    /// The word for it in spans and metrics: the same for each crate, and one of few.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::IndexFile(..) => "index_file",
            Self::Download(..) => "download",
            Self::DownloadByVersion(..) => "download_by_version",
            Self::Search => "search",
            Self::Versions(..) => "versions",
            Self::Publish => "publish",
            Self::Yank(..) => "yank",
            Self::Unyank(..) => "unyank",
            Self::Owners(..) => "owners",
            Self::AddOwners(..) => "add_owners",
            Self::RemoveOwners(..) => "remove_owners",
            Self::ExchangeToken => "exchange_token",
            Self::RevokeExchangedToken => "revoke_exchanged_token",
            Self::TrustedPublishers(_) => "trusted_publishers",
            Self::AddTrustedPublisher(_) => "add_trusted_publisher",
            Self::RemoveTrustedPublisher(_) => "remove_trusted_publisher",
            Self::Me => "me",
            Self::Keys => "keys",
            Self::AddKey => "add_key",
            Self::RevokeKey(_) => "revoke_key",
            Self::User => "user",
            Self::Tokens => "tokens",
            Self::NewToken => "new_token",
            Self::Token(_) => "token",
            Self::RevokeToken(_) => "revoke_token",
            Self::RevokeCurrentToken => "revoke_current_token",
        }
    }

    /// The right each route needs. There is no route without a line here.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Config => Needs::ReadRegistry,
            Self::IndexFile(..) => Needs::Read,
            Self::Download(..) => Needs::Read,
            Self::DownloadByVersion(..) => Needs::Read,
            Self::Search => Needs::ReadRegistry,
            Self::Versions(..) => Needs::Read,
            Self::Publish => Needs::Publish,
            Self::Yank(..) => Needs::Yank,
            Self::Unyank(..) => Needs::Unyank,
            Self::Owners(..) => Needs::ListOwners,
            Self::AddOwners(..) => Needs::ChangeOwners,
            Self::RemoveOwners(..) => Needs::ChangeOwners,
            Self::ExchangeToken => Needs::Nothing,
            Self::RevokeExchangedToken => Needs::Somebody,
            Self::TrustedPublishers(..) => Needs::ConfigureTrustedPublishing,
            Self::AddTrustedPublisher(..) => Needs::ConfigureTrustedPublishing,
            Self::RemoveTrustedPublisher(..) => Needs::ConfigureTrustedPublishing,
            Self::Me => Needs::Nothing,
            Self::Keys | Self::AddKey | Self::RevokeKey(_) => Needs::Person,
            Self::User => Needs::Somebody,
            Self::Tokens => Needs::Person,
            Self::NewToken => Needs::Person,
            Self::Token(_) => Needs::Person,
            Self::RevokeToken(_) => Needs::Person,
            Self::RevokeCurrentToken => Needs::Somebody,
        }
    }

    /// As what a request is counted before it is answered. Writes to crates, and who may publish them,
    /// are counted by the registry.
    pub(crate) fn kind(&self) -> Option<RequestKind> {
        match self {
            Self::Search => Some(RequestKind::Search),
            Self::Me => None,
            Self::User => Some(RequestKind::Read),
            Self::ExchangeToken => Some(RequestKind::Tokens),
            Self::AddTrustedPublisher(_) | Self::RemoveTrustedPublisher(_) => None,
            _ => match self.needs() {
                Needs::Publish | Needs::Yank | Needs::Unyank | Needs::ChangeOwners => None,
                Needs::Somebody | Needs::Person => Some(RequestKind::Tokens),
                _ => Some(RequestKind::Read),
            },
        }
    }

    /// The word for it in the audit trail, if it is a write.
    pub fn audited(&self) -> Option<AuditAction> {
        match self {
            Self::Publish => Some(AuditAction::PUBLISH),
            Self::Yank(..) => Some(AuditAction::YANK),
            Self::Unyank(..) => Some(AuditAction::UNYANK),
            Self::AddOwners(..) => Some(AuditAction::ADD_OWNERS),
            Self::RemoveOwners(..) => Some(AuditAction::REMOVE_OWNERS),
            Self::NewToken => Some(AuditAction::CREATE_TOKEN),
            Self::ExchangeToken => Some(AuditAction::EXCHANGE_TOKEN),
            Self::RevokeToken(_) | Self::RevokeCurrentToken | Self::RevokeExchangedToken => {
                Some(AuditAction::REVOKE_TOKEN)
            }
            Self::AddTrustedPublisher(_) | Self::RemoveTrustedPublisher(_) => {
                Some(AuditAction::CONFIGURE_TRUSTED_PUBLISHING)
            }
            Self::AddKey => Some(AuditAction::ADD_KEY),
            Self::RevokeKey(_) => Some(AuditAction::REVOKE_KEY),
            Self::Config
            | Self::IndexFile(..)
            | Self::Download(..)
            | Self::DownloadByVersion(..)
            | Self::Search
            | Self::Versions(..)
            | Self::Owners(..)
            | Self::Me
            | Self::Keys
            | Self::User
            | Self::Tokens
            | Self::TrustedPublishers(_)
            | Self::Token(_) => None,
        }
    }

    /// The version it is about.
    pub fn version(&self) -> Option<&Version> {
        match self {
            Self::Download(_, version, _)
            | Self::DownloadByVersion(_, version)
            | Self::Yank(_, version)
            | Self::Unyank(_, version) => Some(version),
            _ => None,
        }
    }

    /// The crate it is about, as the path spells it.
    pub fn crate_name(&self) -> Option<&CrateName> {
        match self {
            Self::IndexFile(name)
            | Self::Download(name, ..)
            | Self::DownloadByVersion(name, _)
            | Self::Versions(name)
            | Self::Yank(name, _)
            | Self::Unyank(name, _)
            | Self::Owners(name)
            | Self::AddOwners(name)
            | Self::RemoveOwners(name) => Some(name),
            Self::Config | Self::Search | Self::Publish | Self::Me => None,
            Self::Keys | Self::AddKey | Self::RevokeKey(_) => None,
            Self::ExchangeToken
            | Self::RevokeExchangedToken
            | Self::TrustedPublishers(_)
            | Self::AddTrustedPublisher(_)
            | Self::RemoveTrustedPublisher(_) => None,
            Self::User
            | Self::Tokens
            | Self::NewToken
            | Self::Token(_)
            | Self::RevokeToken(_)
            | Self::RevokeCurrentToken => None,
        }
    }
}

/// Why a request asks for nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// Nothing has this path.
    #[error("there is nothing under this path")]
    NotFound,
    /// It is the URL of the index, without the slash at its end.
    #[error(
        "this is not a whole index URL: cargo takes it with `sparse+` in front and a slash at its end"
    )]
    NoSlash,
    /// A name in the path cannot be a crate's.
    #[error("crate `{}` does not exist", registry_core::Echo(name))]
    NoCrate {
        /// The name, decoded.
        name: Box<str>,
    },
    /// A version in the path cannot be one.
    #[error("crate `{name}` does not have a version `{}`", registry_core::Echo(version))]
    NoVersion {
        /// The crate.
        name: CrateName,
        /// The version, decoded.
        version: Box<str>,
    },
    /// The path is there, for other methods.
    #[error("this path accepts only the methods {allow}")]
    MethodNotAllowed {
        /// The methods it is there for, as an `Allow` header lists them.
        allow: String,
    },
}

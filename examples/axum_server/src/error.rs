//! Why a command fails, in one sentence for who started it.

use std::{io, path::PathBuf};

use registry_core::{
    BoxError, Causes, CrateName, IndexError, RegistryName, StoreError,
    auth::{
        AccountError, AccountFileError, AuthError, AuthStoreError, KeyError, KeyId, KeyParseError,
        PasswordError, PolicyError, TokenError, TokenId, TokenKeyParseError,
    },
    config::{ConfigError, DlError},
    gc::GcError,
    migrate::{FileMigrateError, MigrateError},
    owner::Login,
    publish::Invalid,
    registry::{ImportError, VerifyError},
};
use registry_storage::{OptionError, RedirectError};
use semver::Version;

use crate::{tls::TlsError, url::UrlError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
    #[error("cannot create the data folder `{}`: {source}", folder.display())]
    DataFolder { folder: PathBuf, source: io::Error },
    #[error("{flag}: {source}")]
    Url { flag: &'static str, source: UrlError },
    #[error("{flag}: {source}")]
    StorageUrl { flag: &'static str, source: registry_storage::UrlError },
    #[error("{flag}: {source}")]
    StorageOption { flag: &'static str, source: OptionError },
    #[error("cannot open `{place}`: {}", causes(.source.as_ref()))]
    Open { place: String, source: BoxError },
    #[error(
        "cannot open `{place}`: {}; credentials, region and endpoint are taken from options and \
         the environment: `--help` names them",
        causes(.source.as_ref())
    )]
    Bucket { place: String, source: BoxError },
    #[error("there is no index at `{place}`")]
    NotThere { place: String },
    #[error("there are no crate files at `{place}`: it is no folder")]
    NoFolder { place: String },
    #[error("`{place}` is both source and target")]
    SamePlace { place: String },
    #[error("--storage-mirror: `{place}` is the place of --storage itself")]
    MirrorOfItself { place: String },
    #[error("--storage-cache: `{place}` is the place of --storage itself")]
    CacheOfItself { place: String },
    #[error("cannot cache crate files in `{}`: {}", folder.display(), causes(.source.as_ref()))]
    Cache { folder: PathBuf, source: BoxError },
    #[error("{}; what was copied stays: run it again", causes(.0))]
    Migrate(#[source] MigrateError),
    #[error("{}; what was copied stays: run it again", causes(.0))]
    MigrateFiles(#[source] FileMigrateError),
    #[error("cannot collect garbage: {}", causes(.0))]
    Gc(#[source] GcError),
    #[error("cannot copy the users: {}", causes(.0))]
    MigrateUsers(#[source] AuthStoreError),
    #[error("`{place}` keeps users and their tokens alone, and these would be lost: {what}")]
    AccessStays { place: String, what: String },
    #[error(transparent)]
    KeyText(KeyParseError),
    #[error("cannot read the key from stdin: {0}")]
    ReadKey(#[source] io::Error),
    #[error("{}", causes(.0))]
    Key(#[source] KeyError),
    #[error("--token-key-file: `{}`: {source}", path.display())]
    TokenKey { path: PathBuf, source: TokenKeyParseError },
    #[error("there is no token `{id}`")]
    UnknownToken { id: TokenId },
    #[error("`{login}` has no tokens")]
    WithoutTokens { login: Login },
    #[error("there is no key `{id}`")]
    UnknownKey { id: KeyId },
    #[error("keys are kept in a database, and a bucket is none: use an index of another kind")]
    NoKeys,
    #[error("cannot check the index: {}", causes(.0))]
    Check(#[source] IndexError),
    #[error(
        "`{place}` has no files for web servers to make anew: only the folder of file:DIR keeps \
         them beside its records"
    )]
    NothingToRebuild { place: String },
    #[error("`{place}` is not backed up by this command: {instead}; or copy it by `migrate`")]
    NoBackup { place: String, instead: &'static str },
    #[error("cannot back up the index: {}", causes(.0.as_ref()))]
    Backup(#[source] BoxError),
    #[error("cannot rebuild the rest: {}", causes(.0))]
    Rebuild(#[source] IndexError),
    #[error("cannot write `config.json`: {}", causes(.0))]
    WriteConfig(#[source] IndexError),
    #[error("the rest cannot be checked: {}", causes(.0))]
    Verify(#[source] VerifyError),
    #[error("cannot listen on `{address}`: {source}")]
    Listen { address: String, source: io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    PublicUrl(#[from] ConfigError),
    #[error(transparent)]
    Dl(#[from] DlError),
    #[error(
        "`{place}` is no bucket, for which URLs could be signed: name one under which a web server \
         serves what is in it"
    )]
    NoSigner { place: String },
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    #[error("cannot make a token: {}", causes(.0))]
    Token(#[source] AuthStoreError),
    #[error("{}", causes(.0))]
    Account(#[from] AccountError),
    #[error("--accounts: {}", causes(.0))]
    AccountFile(#[source] AccountFileError),
    #[error(
        "--proxy-user-header: an index in a bucket has no accounts: name those who may come in by \
         --accounts, or keep them in PostgreSQL or SQLite by another --index"
    )]
    NoProxyUsers,
    #[error("cannot read the accounts: {}", causes(.0))]
    Accounts(#[source] AuthStoreError),
    #[error(
        "an index in a bucket has users and their tokens, but no other accounts: keep them in \
         PostgreSQL or SQLite by another --index"
    )]
    NoAccounts,
    #[error("{}", causes(.0))]
    Password(#[source] PasswordError),
    #[error("cannot read the password: {0}")]
    ReadPassword(#[source] io::Error),
    #[error("a password is not typed in here, for it would show: pipe it in, or name a file of it")]
    PasswordOnTerminal,
    #[error("{}", causes(.0))]
    Tokens(#[source] TokenError),
    #[error("cannot make an HTTP client: {}", causes(.0.as_ref()))]
    HttpClient(#[source] BoxError),
    #[error("--oidc: `{}`: {reason}", path.display())]
    OidcFile { path: PathBuf, reason: String },
    #[error("cannot look after trusted publishers: {}", causes(.0))]
    TrustedPublisher(#[source] AuthStoreError),
    #[error("--tls-cert: `{}`: {source}", path.display())]
    Tls { path: PathBuf, source: TlsError },
    #[error("there is no crate `{name}`")]
    NoCrate { name: CrateName },
    #[error("there is no trusted publisher `{id}`")]
    NoTrustedPublisher { id: u64 },
    #[error("{reason}")]
    NotATrustedPublisher { reason: String },
    #[error(
        "`{place}` keeps no trusted publishers: they need a database; use postgres:// or sqlite:"
    )]
    NoDatabase { place: &'static str },
    #[error("cannot read the audit trail: {}", causes(.0))]
    Audit(#[source] AuthStoreError),
    #[error("it is done, but could not be written to the audit trail: {}", causes(.0))]
    NotAudited(#[source] AuthStoreError),
    #[error(
        "`{place}` keeps no audit trail: the lines of the servers' log with the target `audit` are \
         the trail; an index of sqlite: or postgres: keeps one"
    )]
    NoAudit { place: String },
    #[error("cannot get random numbers from the operating system: {0}")]
    Random(#[source] BoxError),
    #[error("cannot read the folder `{}`: {source}", folder.display())]
    ReadFolder { folder: PathBuf, source: io::Error },
    #[error("there is no file of an index in `{}`", folder.display())]
    NoIndex { folder: PathBuf },
    #[error("cannot bring over `{}`: {}; it may be run again", file.display(), causes(.source))]
    Import { file: PathBuf, source: Box<ImportError> },
    #[error("a part of the import panicked")]
    Panicked,
    #[error("`{}` is not empty, and not an export of a registry", folder.display())]
    NotAnExport { folder: PathBuf },
    #[error("another export to `{}` is under way", folder.display())]
    ExportUnderWay { folder: PathBuf },
    #[error("cannot write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read the index: {}", causes(.0))]
    Index(#[from] IndexError),
    #[error("cannot read the crate files: {}", causes(.0))]
    Store(#[from] StoreError),
    #[error("the file of crate `{name}` version `{version}` is missing or damaged")]
    NoCrateFile { name: CrateName, version: Version },
    #[error("cannot read `{}`: {source}", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("`{}` could not be published: {source}", path.display())]
    Invalid { path: PathBuf, source: Invalid },
    #[error("`{}`: {source}", path.display())]
    Policy { path: PathBuf, source: PolicyError },
    #[error("cannot tell: {}", causes(.0))]
    Explain(#[source] AuthError),
    #[error("cannot use the approved names: {}", causes(.0))]
    ApprovedNames(#[source] AuthStoreError),
    #[error("`{place}` keeps no approved names: a database does")]
    NoApprovedNames { place: String },
    #[error("the name `{name}` was not approved")]
    NotApproved { name: CrateName },
    #[error("cannot serve: {}", causes(.0.as_ref()))]
    Registries(#[source] BoxError),
    #[error("there is no registry `{name}`")]
    NoRegistry { name: RegistryName },
    #[error("there is a registry `{name}` already")]
    RegistryExists { name: RegistryName },
    #[error("`main` is there by itself, and stays; `serve` says what it is like")]
    MainRegistry,
    #[error(
        "only a database has several registries: an index in a folder or a bucket is one; use \
         sqlite: or postgres://"
    )]
    OneRegistry,
    #[error("`{place}` is one registry, and these would be lost: {names}")]
    RegistriesStay { place: String, names: String },
    #[error("say --yes: what is in the registry is gone then")]
    NotSure,
    #[error("there are {crates} crates in `{name}`: say --with-crates if they are to go, too")]
    HasCrates { name: RegistryName, crates: u64 },
    #[error("cannot print: {0}")]
    Print(#[source] io::Error),
}

/// An error and what caused it on one line, which is all the reader gets.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    Causes(error).to_string()
}

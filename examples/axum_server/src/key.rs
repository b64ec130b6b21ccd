//! `axum_server key`: the public keys with which people and machines sign their tokens.

use std::{
    io::{Read as _, Write},
    sync::Arc,
};

use clap::{Args, Subcommand};
use registry_core::{
    RegistryConfig,
    audit::{AuditAction, AuditEntry, AuditLog},
    auth::{
        Directory, KeyId, KeyRecord, KeyRefusal, KeyRequest, KeyStore, Keys, SingleUse,
        paseto::KeyAuthenticator,
    },
    owner::Login,
};

use crate::{audit, backends::OpenIndex, cli::IndexArgs, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Register the public key on stdin, and print its id, alone on a line.
    Add(KeyAddArgs),
    /// List keys: id, user, when it was registered, `valid` or `revoked`, subject and name.
    List(KeyListArgs),
    /// Revoke a key: from now on, no server takes a token that it signs.
    Revoke(KeyRevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeyAddArgs {
    /// Who signs with it.
    #[arg(long, value_name = "NAME", env = "REGISTRY_USER")]
    user: Login,
    /// What the key is called in lists.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What each token has to name, as `registries.NAME.secret-key-subject` has cargo do.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeyListArgs {
    /// Whose keys; default: everybody's.
    #[arg(long, value_name = "NAME")]
    user: Option<Login>,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeyRevokeArgs {
    /// The key, as `key add` and `key list` name it: `k3.pid.…`.
    #[arg(value_name = "ID")]
    id: KeyId,
    #[command(flatten)]
    index: IndexArgs,
}

/// More than a key with blanks around it has, and less than a file given by a slip.
const MAX_INPUT_BYTES: u64 = 1024;

/// Where keys are, and what has to be known beside them.
#[derive(Clone)]
pub(crate) struct KeyStores {
    keys: Arc<dyn KeyStore>,
    directory: Arc<dyn Directory>,
    used: Arc<dyn SingleUse>,
    trail: Option<Arc<dyn AuditLog>>,
}

impl KeyStores {
    /// Those beside the index; a bucket has none.
    pub(crate) fn of(index: &OpenIndex) -> Option<Self> {
        match index {
            OpenIndex::Sqlite(database, _) | OpenIndex::Folder(_, database) => Some(Self {
                keys: Arc::new(database.keys()),
                directory: Arc::new(database.accounts()),
                used: Arc::new(database.single_use()),
                trail: index.audit(),
            }),
            OpenIndex::Postgres(database, _) => Some(Self {
                keys: Arc::new(database.keys()),
                directory: Arc::new(database.accounts()),
                used: Arc::new(database.single_use()),
                trail: index.audit(),
            }),
            OpenIndex::Bucket(..) => None,
        }
    }

    async fn open(index: &IndexArgs) -> Result<Self, Error> {
        Self::of(&index.open_there().await?).ok_or(Error::NoKeys)
    }

    /// Knows who signs with the keys.
    pub(crate) fn authenticator(&self, config: &RegistryConfig) -> KeyAuthenticator {
        let (keys, directory, used) =
            (self.keys.clone(), self.directory.clone(), self.used.clone());
        KeyAuthenticator::new(keys, directory, used, config.index_urls())
    }

    async fn note(&self, action: AuditAction, key: &KeyRecord) -> Result<(), Error> {
        let detail = format!("key {}", key.id);
        let entry = AuditEntry::command(Some(&key.user.login), action, &detail);
        audit::administered(self.trail.clone(), entry).await
    }

    /// The keys themselves.
    pub(crate) fn store(&self) -> Arc<dyn KeyStore> {
        self.keys.clone()
    }

    /// Looks after the keys.
    pub(crate) fn keys(&self) -> Keys {
        Keys::new(self.keys.clone())
    }
}

pub(crate) async fn run(command: KeyCommand) -> Result<(), Error> {
    match command {
        KeyCommand::Add(args) => add(args).await,
        KeyCommand::List(args) => list(args).await,
        KeyCommand::Revoke(args) => revoke(args).await,
    }
}

/// Registers the key on stdin, and prints its id alone on a line.
async fn add(args: KeyAddArgs) -> Result<(), Error> {
    let stores = KeyStores::open(&args.index).await?;
    let mut text = String::new();
    std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text).map_err(Error::ReadKey)?;
    let key = text.trim().parse().map_err(Error::KeyText)?;
    let request = KeyRequest { key, name: args.name.unwrap_or_default(), subject: args.subject };
    let account = stores.directory.account(&args.user).await.map_err(Error::Accounts)?;
    let login = args.user;
    let account = account.ok_or(Error::Key(KeyRefusal::UnknownUser { login }.into()))?;
    let added = stores.keys().register(&account.owner, &request).await.map_err(Error::Key)?;
    stores.note(AuditAction::ADD_KEY, &added).await?;
    writeln!(std::io::stdout(), "{}", added.id).map_err(Error::Print)
}

/// Prints a line for each key: id, user, when it was registered, `revoked` or `valid`, subject and
/// name, with tabs between them.
async fn list(args: KeyListArgs) -> Result<(), Error> {
    let stores = KeyStores::open(&args.index).await?;
    let keys = stores.keys().list(args.user.as_ref()).await.map_err(Error::Key)?;
    let mut stdout = std::io::stdout().lock();
    for key in keys {
        let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
        let created = key.created_at.to_rfc3339().unwrap_or_default();
        let (id, user, name) = (&key.id, &key.user.login, &key.name);
        let subject = key.subject.unwrap_or_default();
        writeln!(stdout, "{id}\t{user}\t{created}\t{state}\t{subject}\t{name}")
            .map_err(Error::Print)?;
    }
    Ok(())
}

/// Revokes a key: when this returns, no server takes what it signs.
async fn revoke(args: KeyRevokeArgs) -> Result<(), Error> {
    let stores = KeyStores::open(&args.index).await?;
    let revoked = stores.keys().revoke(&args.id).await.map_err(Error::Key)?;
    let revoked = revoked.ok_or(Error::UnknownKey { id: args.id })?;
    stores.note(AuditAction::REVOKE_KEY, &revoked).await
}

//! The command line. What a server needs to know has an environment variable beside each flag.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::BoolishValueParser, value_parser};
use registry_core::{RegistryName, config::DlTemplate, limits::RateLimits};

use crate::{
    account::{GroupCommand, UserCommand},
    audit::AuditArgs,
    backup::BackupArgs,
    credentials::CredentialArgs,
    export::ExportArgs,
    health::HealthArgs,
    hsts::HstsArgs,
    import::ImportArgs,
    index_line::IndexLineArgs,
    key::KeyCommand,
    layers::{CacheArgs, MirrorArgs},
    log::LogFormat,
    metrics::Address,
    migrate::MigrateArgs,
    names::NameCommand,
    peer::ProxyArgs,
    policy::{ExplainArgs, PolicyArgs},
    redirect::RedirectArgs,
    registry::RegistryCommand,
    routes::REGISTRY,
    size::{Size, crate_size},
    storage_gc::StorageGcArgs,
    storage_migrate::StorageMigrateArgs,
    storage_verify::StorageVerifyArgs,
    tls::TlsArgs,
    token_args::{LifetimeArgs, TokenCommand, TokenKeyArgs},
    trusted_publisher::TrustedPublisherCommand,
    url::UrlText,
    verify::VerifyArgs,
};

/// A Cargo registry, kept in a SQLite database and a folder, or wherever --index and --storage say.
///
/// Without a command, it serves.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "REGISTRY_LOG says what is logged, as in REGISTRY_LOG=debug; default: info.\n\n\
Buckets are opened as the variables of their providers say, such as AWS_ACCESS_KEY_ID, \
AWS_SECRET_ACCESS_KEY, AWS_REGION, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME and \
AZURE_STORAGE_ACCOUNT_KEY; AWS_ENDPOINT_URL and AWS_ALLOW_HTTP lead to what speaks as S3 does."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

impl Cli {
    pub(crate) fn command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Serve(self.serve.into()))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the registry until SIGTERM or Ctrl-C.
    Serve(Box<ServeArgs>),
    /// Look after the tokens with which people and machines log in.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look after users and service accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// Look after groups of users.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Look after the public keys with which people and machines sign their tokens.
    ///
    /// For cargos with `-Zasymmetric-token`: `cargo login` with the provider `cargo:paseto` prints one.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look into the rules of --policy.
    #[command(subcommand)]
    Policy(PolicyCommand),
    #[command(subcommand)]
    Name(NameCommand),
    /// Say whose CI runs may publish a crate without a stored token.
    #[command(subcommand)]
    TrustedPublisher(TrustedPublisherCommand),
    /// Look after the registries of a database, beside `main`, which is there by itself.
    ///
    /// For an index of sqlite: or postgres:. A server over it has each at /NAME/, from the moment at
    /// which it is made: users, tokens and crate files are those of all, and so are the flags of the
    /// server. Each has owners, trusted publishers, approved names and an audit trail of its own.
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Look after the index.
    #[command(subcommand)]
    Index(IndexCommand),
    /// Look after the crate files.
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Copy all crates of an index to another, with all accounts, their tokens and keys, trusted
    /// publishers and approved names; of all registries, if there are several.
    ///
    /// Compares each crate with its source afterwards. It can be interrupted and run again: what is
    /// there already is brought up to date. Of access, whoever is disabled here and whatever is
    /// revoked is so there, and nothing else is taken away; passwords and kinds of accounts that are
    /// there stay. Members of groups, trusted publishers and approved names that were removed there
    /// since come back. Tokens of CI runs are left out: they end within half an hour. The audit trail
    /// stays where it is, and so do crate files: name their place by --storage to whatever uses the
    /// new index, or move them by `storage migrate`. Ends with status 3 if a crate could not be
    /// copied.
    Migrate(MigrateArgs),
    Audit(AuditArgs),
    Import(ImportArgs),
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT", env = "REGISTRY_LISTEN")]
    #[arg(default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) index: IndexArgs,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
    #[command(flatten)]
    pub(crate) mirror: MirrorArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// The URL under which clients reach this server, if it is not the address listened on.
    ///
    /// The registries are below it: `/main` is added, not to be given here.
    /// Lockfiles hold it: a registry keeps its URL for as long as it is used. It counts for more than
    /// what proxies say (--trusted-proxy).
    #[arg(long, value_name = "URL", env = "REGISTRY_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Most connections of one address, or of IPv6 of its first 64 bits, each further request at a
    /// time over HTTP/2 being one more; default: a quarter of all that there may be.
    ///
    /// As many more may wait, and are told after 10 seconds to come back; beyond that, whoever comes is
    /// told so at once. It does not count for a --trusted-proxy, whose clients are many.
    #[arg(long, value_name = "NUMBER", env = "REGISTRY_MAX_CONNECTIONS_PER_CLIENT")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_connections_per_client: Option<u32>,
    #[command(flatten)]
    pub(crate) hsts: HstsArgs,
    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
    #[command(flatten)]
    pub(crate) lifetimes: LifetimeArgs,
    #[command(flatten)]
    pub(crate) token_key: TokenKeyArgs,
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
    /// A TOML file of users, service accounts and groups, with the hashes of their passwords and
    /// tokens; counts before those in the index.
    ///
    /// It is read again when it has changed. What stands in it is told in the documentation of
    /// registry-core, `auth::AccountFile`.
    #[arg(long, value_name = "FILE", env = "REGISTRY_ACCOUNTS")]
    pub(crate) accounts: Option<PathBuf>,
    /// Where clients find crate files, if not at this server: a CDN, or a bucket.
    ///
    /// A URL with {crate}, {version}, {prefix}, {lowerprefix} or {sha256-checksum} in it, which cargo
    /// fills in. To the crate files of --storage it is
    /// URL/{lowerprefix}/{crate}/{version}-{sha256-checksum}.crate, but for versions with `+` in them.
    /// What is read there is not checked by this server; with --private, cargo sends its token there.
    #[arg(long, value_name = "TEMPLATE", env = "REGISTRY_DL")]
    pub(crate) dl: Option<DlTemplate>,
    #[command(flatten)]
    pub(crate) redirect: RedirectArgs,
    /// Hold each crate file against its checksum while it is downloaded.
    ///
    /// A damaged one is put aside, and nobody is handed all of it: the first download is cut short,
    /// and each further one is refused with a clear error, until `storage verify --repair-from` has
    /// mended it.
    #[arg(long, env = "REGISTRY_VERIFY_ON_READ", value_parser = BoolishValueParser::new())]
    pub(crate) verify_on_read: bool,
    /// For how many seconds another server's writes to the same index may go unseen.
    ///
    /// 0 asks the index at each read whether anything has changed. This server's own writes, and
    /// all writes to a SQLite file, are seen at once in any case.
    #[arg(long, value_name = "SECONDS", env = "REGISTRY_MAX_STALENESS", default_value_t = 0)]
    #[arg(value_parser = value_parser!(u64).range(..=86_400))]
    pub(crate) max_staleness: u64,
    /// The identity providers whose users log in with their tokens, and the CI services whose runs
    /// may be trusted publishers: a TOML file.
    ///
    /// For the first `[[login]]` with issuer, audience and prefix, such as "corp:", with which all
    /// logins of its users begin; login-claim (default "sub"), groups-claim and algorithms (default
    /// ["RS256", "ES256"]) may be said. For the second `[[trusted-publishing]]` with issuer and
    /// audience. Both as often as needed. It is read when the server starts.
    #[arg(long, value_name = "FILE", env = "REGISTRY_OIDC")]
    pub(crate) oidc: Option<PathBuf>,
    /// Ask for a token at every read, not only at writes.
    #[arg(long, env = "REGISTRY_PRIVATE", value_parser = BoolishValueParser::new())]
    pub(crate) private: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// Largest crate file that may be published, as in 10M or 1G.
    ///
    /// Of what comes out of a file, 512 MiB or 20 times its size are taken, which is what cargo
    /// unpacks.
    #[arg(long, value_name = "SIZE", env = "REGISTRY_MAX_CRATE_SIZE", default_value = "10M")]
    #[arg(value_parser = crate_size)]
    pub(crate) max_crate_size: u32,
    /// Most bytes of publishes under way at a time, as in 500M; default: 16 of the largest size.
    ///
    /// Further ones wait for half a minute and are refused then. Crate files above 1 MiB are on
    /// disk until they are stored: this is what they take of it.
    #[arg(long, value_name = "SIZE", env = "REGISTRY_MAX_UPLOAD_BYTES_IN_FLIGHT")]
    pub(crate) max_upload_bytes_in_flight: Option<Size>,
    /// How often one user, or one address of those without a token, may ask for what.
    ///
    /// `crates-io` is what crates.io allows: 5 new crates and one more every ten minutes, 30 further
    /// versions and one more a minute, 100 yanks and one more a minute. Or KIND=BURST/INTERVAL, such
    /// as read=500/20ms, or KIND=off, with commas between; a kind is publish-new, publish-update,
    /// yank, owners, tokens, read, search or failed-credentials, of which 10 and one more every 6
    /// seconds may come from an address if nothing else is said. Each server counts for itself.
    #[arg(long, value_name = "LIMITS", env = "REGISTRY_RATE_LIMITS")]
    pub(crate) rate_limits: Option<RateLimits>,
    /// Refuse every write, and every new token and key, and tell clients of no web API. Tokens and
    /// keys are still revoked.
    #[arg(long, env = "REGISTRY_READ_ONLY", value_parser = BoolishValueParser::new())]
    pub(crate) read_only: bool,
    /// For how many seconds requests under way may go on when the server is told to stop.
    ///
    /// What has not ended then is cut off; a publish has taken place whole by then, or not at all.
    /// Whatever stops the server has to wait longer before it kills it.
    #[arg(long, value_name = "SECONDS", env = "REGISTRY_DRAIN", default_value_t = 30)]
    #[arg(value_parser = value_parser!(u64).range(..=3_600))]
    pub(crate) drain: u64,
    /// Where operators read metrics, as Prometheus does: at http://ADDR:PORT/metrics.
    ///
    /// A port alone is one of 127.0.0.1. Whoever reaches it reads them: there are no names of crates
    /// or users in them, and no secrets.
    #[arg(long, value_name = "[ADDR:]PORT", env = "REGISTRY_METRICS")]
    pub(crate) metrics: Option<Address>,
    /// How the log is written: for people, or a JSON object in each line.
    #[arg(long, value_name = "FORMAT", env = "REGISTRY_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Folder for what is not said to be elsewhere; made if it is not there.
    #[arg(long = "data", value_name = "DIR", env = "REGISTRY_DATA")]
    #[arg(default_value = "./registry-data")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Where the index is, and the tokens with it; default: sqlite:DIR/index.sqlite.
    ///
    /// sqlite:PATH, file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or
    /// postgres://USER:PASSWORD@HOST/DATABASE. The tokens of file:DIR are in the data folder.
    #[arg(long, value_name = "URL", env = "REGISTRY_INDEX", hide_env_values = true)]
    pub(crate) index: Option<UrlText>,
}

/// One registry of those in an index.
#[derive(Debug, Args)]
pub(crate) struct RegistryArgs {
    #[command(flatten)]
    pub(crate) index: IndexArgs,
    /// Which registry, of those that `registry create` has made; `main` is there by itself.
    #[arg(long, value_name = "NAME", default_value = REGISTRY)]
    pub(crate) registry: RegistryName,
}

#[derive(Debug, Args)]
pub(crate) struct StorageArgs {
    /// Where the crate files are; default: file:DIR/crates, or with an index in a bucket, beside it.
    ///
    /// file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or memory:, of
    /// which nothing is left when the program ends.
    #[arg(long, value_name = "URL", env = "REGISTRY_STORAGE", hide_env_values = true)]
    pub(crate) storage: Option<UrlText>,
    /// A setting of the bucket that --storage names; counts for more than the environment.
    ///
    /// Such as aws_region=eu-central-1, aws_server_side_encryption=aws:kms or timeout=10m; max_retries
    /// and retry_timeout; all keys are in the documentation of object_store 0.14: AmazonS3ConfigKey,
    /// GoogleConfigKey, AzureConfigKey and ClientConfigKey. Give one flag for each, or several
    /// settings with `;` between them. Who can list processes sees flags: keep secrets in the
    /// environment.
    #[arg(long = "storage-option", value_name = "KEY=VALUE")]
    #[arg(env = "REGISTRY_STORAGE_OPTIONS", hide_env_values = true)]
    pub(crate) storage_options: Vec<UrlText>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    Explain(ExplainArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Check every record, what is made of it, and every crate file.
    ///
    /// Says what is wrong with which crate, and ends with status 3 if anything is.
    Verify(VerifyArgs),
    /// Copy the database of a SQLite index, tokens and all, while it is in use.
    ///
    /// Copy the crate files after it: then all that the copy names is among them.
    Backup(BackupArgs),
    /// Make the files for web servers in a folder anew from its records.
    ///
    /// For an index of file:DIR, if somebody has edited it or some of it is lost.
    Rebuild(IndexArgs),
    Line(IndexLineArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// Copy all crate files of a place to another.
    ///
    /// Holds each against its checksum on the way: a damaged one is told and not copied. It can be
    /// interrupted and run again, and copies only what is not there. The servers may go on meanwhile,
    /// but no garbage collection may run on either place: migrate, have every server use the new
    /// place by --storage, and migrate again for what was published in between. Ends with status 3
    /// if a file could not be copied.
    Migrate(StorageMigrateArgs),
    /// Remove the crate files that no line of the index names: those of publishes that failed.
    ///
    /// Takes two runs: the first puts a file aside, where it can still be downloaded, and a later
    /// one removes it, if nothing names it then. Only that makes room. Run it by cron, say once a
    /// day; servers go on meanwhile, and it may be stopped at any time. Not while crate files are
    /// migrated or backed up. Name every index that has its files in the same place, or its files are
    /// taken for garbage; all registries of an index are looked at. Ends with status 3 if a file could not be dealt with.
    Gc(StorageGcArgs),
    /// Check every crate file against its checksum, and every index line against a file.
    ///
    /// Says what is wrong with which crate, which files no line names, how large and how old they are,
    /// and what is aside. By itself it changes nothing, and the servers may go on meanwhile. Ends with
    /// status 3 if anything is wrong at the end; files that no line names are not.
    Verify(StorageVerifyArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn each_flag_of_a_server_has_a_variable_and_none_shows_a_secret() {
        // What may hold a password, or a key.
        const SECRET: [&str; 6] = [
            "index",
            "storage",
            "storage-option",
            "storage-mirror",
            "storage-mirror-option",
            "redirect",
        ];
        let cli = <Cli as CommandFactory>::command();
        let serve = cli.find_subcommand("serve").unwrap();
        let flags = serve.get_arguments().filter(|flag| flag.get_id() != "help");
        let flags: Vec<_> = flags.map(|flag| (flag.get_long().unwrap(), flag)).collect();
        assert!(flags.len() > SECRET.len());
        for (name, flag) in flags {
            let mut variable = format!("REGISTRY_{}", name.to_uppercase().replace('-', "_"));
            if name.ends_with("-option") {
                variable.push('S');
            }
            assert_eq!(flag.get_env().and_then(|it| it.to_str()), Some(&*variable), "--{name}");
            assert_eq!(flag.is_hide_env_values_set(), SECRET.contains(&name), "--{name}");
        }
    }
}

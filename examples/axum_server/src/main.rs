//! A Cargo registry in one command, kept in a SQLite database and a folder, or wherever it is told.
//!
//! ```text
//! cargo run --release -p axum_server
//! cargo run --release -p axum_server -- serve --listen 127.0.0.1:8080 --data ./registry-data
//! cargo run --release -p axum_server -- token create --user alice
//! cargo run --release -p axum_server -- serve --index s3://bucket/registry
//! cargo run --release -p axum_server -- migrate --from sqlite:index.sqlite --to file:index
//! cargo run --release -p axum_server -- index verify
//! cargo run --release -p axum_server -- storage verify
//! ```
//!
//! The first starts the registry and prints what goes into `.cargo/config.toml`; the third makes a
//! token for `cargo login`, also while the server runs. `--help` names the rest.

mod access;
mod account;
mod answer_body;
mod answer_time;
mod audit;
mod backends;
mod backup;
mod body;
mod cli;
mod connection;
mod connections;
mod crate_file;
mod credentials;
mod error;
mod export;
mod head;
mod health;
mod hsts;
mod http2;
mod import;
mod index_line;
mod key;
mod key_source;
mod layers;
mod linger;
mod log;
mod metrics;
mod migrate;
mod migrate_access;
mod names;
mod oidc;
mod peer;
mod policy;
mod preface;
mod progress;
mod prometheus;
mod rebuild;
mod redirect;
mod refusal;
mod registries;
mod registry;
mod routes;
mod runtime;
mod serve;
mod size;
mod slots;
mod stop;
mod storage_gc;
mod storage_migrate;
mod storage_verify;
mod stream;
mod tls;
mod token;
mod token_args;
mod token_uses;
mod trusted_publisher;
mod url;
mod verify;
mod verify_on_read;
mod welcome;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use self::{
    cli::{Cli, Command, IndexCommand, PolicyCommand, StorageCommand},
    error::Error,
};

/// Longest wait, at the end, for what is being done on threads of its own.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How a command ends that came to its end.
pub(crate) enum End {
    /// All is well.
    Well,
    /// It found what somebody has to see to.
    WithFindings,
}

fn main() -> ExitCode {
    match run(Cli::parse().command()) {
        Ok(End::Well) => ExitCode::SUCCESS,
        Ok(End::WithFindings) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<End, Error> {
    let runtime = tokio::runtime::Runtime::new().map_err(Error::Runtime)?;
    let done = |()| End::Well;
    let end = runtime.block_on(async {
        match command {
            Command::Serve(args) => {
                log::start(args.log_format);
                serve::serve(*args).await.map(done)
            }
            Command::User(command) => account::user(command).await.map(done),
            Command::Group(command) => account::group(command).await.map(done),
            Command::Key(command) => key::run(command).await.map(done),
            Command::Token(command) => token::run(command).await.map(done),
            Command::Policy(PolicyCommand::Explain(args)) => {
                let allowed = policy::explain(args).await?;
                Ok(if allowed { End::Well } else { End::WithFindings })
            }
            Command::Name(command) => names::run(command).await.map(done),
            Command::TrustedPublisher(command) => trusted_publisher::run(command).await.map(done),
            Command::Registry(command) => registry::run(command).await.map(done),
            Command::Index(IndexCommand::Verify(args)) => verify::run(args).await,
            Command::Index(IndexCommand::Backup(args)) => backup::run(args).await.map(done),
            Command::Index(IndexCommand::Rebuild(args)) => rebuild::run(args).await.map(done),
            Command::Index(IndexCommand::Line(args)) => index_line::print(args).map(done),
            Command::Storage(StorageCommand::Gc(args)) => storage_gc::run(args).await,
            Command::Storage(StorageCommand::Migrate(args)) => storage_migrate::run(args).await,
            Command::Storage(StorageCommand::Verify(args)) => storage_verify::run(args).await,
            Command::Audit(args) => audit::run(args).await.map(done),
            Command::Import(args) => import::import(args).await,
            Command::Export(args) => export::export(args).await.map(done),
            Command::Migrate(args) => migrate::run(args).await,
        }
    });
    // Whoever is cut off by the end leaves nothing half done: a disk that hangs is not waited for.
    runtime.shutdown_timeout(LAST_WAIT);
    end
}

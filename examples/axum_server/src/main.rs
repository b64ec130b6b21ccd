//! A Cargo registry in one command, kept in a SQLite database and a folder.
//!
//! ```text
//! cargo run --release -p axum_server
//! cargo run --release -p axum_server -- serve --listen 127.0.0.1:8080 --data ./registry-data
//! cargo run --release -p axum_server -- token create --user alice
//! ```
//!
//! The first starts the registry and prints what goes into `.cargo/config.toml`; the last makes a
//! token for `cargo login`, also while the server runs. `--help` names the rest.

mod backends;
mod body;
mod cli;
mod error;
mod linger;
mod log;
mod offload;
mod routes;
mod serve;
mod stream;
mod token;
mod uploads;
mod url;
mod welcome;

use std::process::ExitCode;

use clap::Parser;

use self::{
    cli::{Cli, Command, TokenCommand},
    error::Error,
};

fn main() -> ExitCode {
    match run(Cli::parse().command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new().map_err(Error::Runtime)?;
    runtime.block_on(async {
        match command {
            Command::Serve(args) => {
                log::start();
                serve::serve(args).await
            }
            Command::Token(TokenCommand::Create(args)) => token::create(args).await,
        }
    })
}

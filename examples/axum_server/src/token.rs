//! `axum_server token create`.

use std::io::Write;

use registry_core::auth::{Token, TokenStore};

use crate::{cli::TokenCreateArgs, data, error::Error};

/// Makes a token and prints it alone on a line, as `cargo:token-from-stdout` wants it.
pub(crate) async fn create(args: TokenCreateArgs) -> Result<(), Error> {
    let tokens = data::open_database(&args.data.folder)?.tokens();
    let token = Token::generate().map_err(|error| Error::Random(error.into()))?;
    // Stored before it is shown: a token that was printed works.
    tokens.create(&args.user, &token.digest()).await.map_err(Error::Token)?;
    writeln!(std::io::stdout(), "{}", token.expose()).map_err(Error::Print)
}

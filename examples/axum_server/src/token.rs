//! `axum_server token create`.

use std::io::Write;

use registry_core::auth::{Token, TokenStore};

use crate::{cli::TokenCreateArgs, data, error::Error};

/// Makes a token and prints it alone on a line, as `cargo:token-from-stdout` wants it.
pub(crate) async fn create(args: TokenCreateArgs) -> Result<(), Error> {
    let folder = &args.data.folder;
    if !data::is_there(folder) {
        // On purpose before the first start of a server, or by a slip in the path.
        let folder = folder.display();
        // Nobody may be listening, which is no reason to make no token.
        let _ = writeln!(std::io::stderr(), "no registry in `{folder}`: a new one is made");
    }
    let tokens = data::open_database(folder)?.tokens();
    let token = Token::generate().map_err(|error| Error::Random(error.into()))?;
    // Stored before it is shown: a token that was printed works.
    tokens.create(&args.user, &token.digest()).await.map_err(Error::Token)?;
    writeln!(std::io::stdout(), "{}", token.expose()).map_err(Error::Print)
}

//! `axum_server token create`.

use std::io::Write;

use registry_core::auth::{TokenCaller, TokenRequest, Tokens};

use crate::{cli::TokenCreateArgs, error::Error};

/// Makes a token and prints it alone on a line, as `cargo:token-from-stdout` wants it.
pub(crate) async fn create(args: TokenCreateArgs) -> Result<(), Error> {
    if args.index.is_there()? == Some(false) {
        // On purpose before the first start of a server, or by a slip in the path.
        let place = args.index.url()?;
        // Nobody may be listening, which is no reason to make no token.
        let _ = writeln!(std::io::stderr(), "no registry at `{place}`: a new one is made");
    }
    let tokens = Tokens::new(args.index.open().await?.tokens());
    // Stored before it is shown: a token that was printed works.
    let request = TokenRequest::new(&args.user);
    let issued = tokens.issue(TokenCaller::Operator, &request).await.map_err(Error::Tokens)?;
    writeln!(std::io::stdout(), "{}", issued.token.expose()).map_err(Error::Print)
}

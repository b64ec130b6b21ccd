//! The command line of tokens.

use std::{fs, path::PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use registry_core::{
    auth::{
        CratePattern, EndpointScope, Lifetime, Revocation, Scopes, TokenExpiry, TokenId, TokenKey,
        TokenRequest, TokenRules,
    },
    owner::Login,
};

use crate::{cli::IndexArgs, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, alone on a line. It is not stored, only its hash is.
    ///
    /// If nothing is said, it is for all that its user may do, but for the rights of an administrator,
    /// and counts for 90 days.
    Create(TokenCreateArgs),
    /// List tokens, expired and revoked ones, too, the newest last.
    ///
    /// Each on a line with tabs between: id, user, `valid`, `expired` or `revoked`, when it was made,
    /// expires and was last used, scopes, crates, and name. What is not there is `-`; times are those of
    /// UTC.
    List(TokenListArgs),
    /// Revoke tokens: from now on no server takes them for a write, and for a read none for more than
    /// half a second.
    ///
    /// Prints what `list` prints of them. They stay in the list.
    Revoke(TokenRevokeArgs),
}

/// How long tokens may be valid, whoever makes them.
#[derive(Debug, Args)]
pub(crate) struct LifetimeArgs {
    /// For how long a token counts if its maker says nothing: as in 12h or 90d, or never.
    #[arg(long = "token-default-lifetime", value_name = "TIME")]
    #[arg(env = "REGISTRY_TOKEN_DEFAULT_LIFETIME", default_value = "90d")]
    default: Lifetime,
    /// For how long a new token may count at most; also what one counts that would for longer by
    /// default.
    #[arg(long = "token-max-lifetime", value_name = "TIME")]
    #[arg(env = "REGISTRY_TOKEN_MAX_LIFETIME", default_value = "never")]
    max: Lifetime,
}

impl LifetimeArgs {
    pub(crate) fn rules(&self) -> TokenRules {
        TokenRules { default_lifetime: self.default, max_lifetime: self.max }
    }
}

/// Under which key tokens are stored.
#[derive(Debug, Args)]
pub(crate) struct TokenKeyArgs {
    /// A file with a key under which new tokens are stored: 64 hexadecimal digits, as
    /// `openssl rand -hex 32` prints them.
    ///
    /// Otherwise it is a key in the index itself. With the file, a copy of the index or a backup does
    /// not tell whether some token is in it. Each server, and each `token create`, has to be given
    /// it: a token made under it counts nowhere else, and never again if it is lost. Tokens from
    /// before go on counting.
    #[arg(long = "token-key-file", value_name = "FILE", env = "REGISTRY_TOKEN_KEY_FILE")]
    pub(crate) file: Option<PathBuf>,
}

impl TokenKeyArgs {
    pub(crate) fn read(&self) -> Result<Option<TokenKey>, Error> {
        let Some(path) = &self.file else { return Ok(None) };
        let text = fs::read_to_string(path);
        let text = text.map_err(|source| Error::ReadFile { path: path.clone(), source })?;
        let key = text.trim().parse();
        key.map(Some).map_err(|source| Error::TokenKey { path: path.clone(), source })
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// Who logs in with it; becomes a user if they are none.
    #[arg(long, value_name = "NAME", env = "REGISTRY_USER")]
    pub(crate) user: Login,
    /// What the token is called in lists.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    /// What it is for, once for each: read, read-all, publish-new, publish-update, yank,
    /// change-owners, trusted-publishing or admin; default: all but admin, and with --crate but
    /// read-all, which is for reading other crates, too.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<EndpointScope>,
    /// Which crates it is for, once for each: a name, the beginning of one and `*`, or `*` for all,
    /// which is the default.
    #[arg(long = "crate", value_name = "PATTERN")]
    crates: Vec<CratePattern>,
    /// For how long it counts, as in 90m, 12h or 90d, or never; default: --token-default-lifetime.
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Lifetime>,
    #[command(flatten)]
    pub(crate) lifetimes: LifetimeArgs,
    #[command(flatten)]
    pub(crate) key: TokenKeyArgs,
    #[command(flatten)]
    pub(crate) index: IndexArgs,
}

impl TokenCreateArgs {
    /// What is asked for.
    pub(crate) fn request(&self) -> TokenRequest {
        let scopes = (!self.scopes.is_empty()).then(|| self.scopes.clone());
        let crates = (!self.crates.is_empty()).then(|| self.crates.clone());
        let scopes = Scopes::asked_for(scopes, crates);
        TokenRequest::new(&self.user)
            .with_name(&self.name)
            .with_scopes(scopes)
            .with_expiry(self.expires_in.map_or(TokenExpiry::Default, TokenExpiry::After))
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenListArgs {
    /// Whose tokens; default: everybody's.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<Login>,
    /// Print an array of JSON objects.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) index: IndexArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["id", "user"])))]
pub(crate) struct TokenRevokeArgs {
    /// The token, as `token list` names it.
    #[arg(value_name = "ID")]
    id: Option<TokenId>,
    /// All tokens of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<Login>,
    #[command(flatten)]
    pub(crate) index: IndexArgs,
}

impl TokenRevokeArgs {
    pub(crate) fn revocation(&self) -> Revocation {
        match (&self.id, &self.user) {
            (Some(id), _) => Revocation::Token(*id),
            (None, Some(user)) => Revocation::User(user.clone()),
            (None, None) => unreachable!("one of them is required"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: TokenCommand,
    }

    fn request(arguments: &[&str]) -> TokenRequest {
        let line = ["token", "create", "--user", "alice"].iter().chain(arguments);
        match Line::try_parse_from(line).unwrap().command {
            TokenCommand::Create(args) => args.request(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_for_all_but_administration_unless_something_is_said() {
        let plain = TokenRequest::new(&Login::new("alice").unwrap());
        assert_eq!(request(&[]), plain);
        let pattern = |text| CratePattern::new(text).unwrap();
        assert_eq!(
            request(&["--crate", "ui-*"]).scopes,
            Scopes::asked_for(None, Some(vec![pattern("ui-*")]))
        );
        let arguments = ["--name", "ci", "--scope", "read-all", "--scope", "publish-update"];
        let more = ["--crate", "ui-*", "--crate", "core", "--expires-in", "12h"];
        let endpoints = [EndpointScope::ReadAll, EndpointScope::PublishUpdate];
        assert_eq!(
            request(&[&arguments[..], &more].concat()),
            plain
                .with_name("ci")
                .with_scopes(Scopes::new(endpoints, [pattern("ui-*"), pattern("core")]))
                .with_expiry(TokenExpiry::After(Lifetime::Seconds(43_200)))
        );
    }

    #[test]
    fn one_token_is_revoked_or_all_of_a_user() {
        let parse = |arguments: &[&str]| {
            let line = ["token", "revoke"].iter().chain(arguments);
            Line::try_parse_from(line).ok().map(|line| match line.command {
                TokenCommand::Revoke(args) => args.revocation(),
                other => panic!("{other:?}"),
            })
        };
        let (id, alice) = (TokenId::from_number(7).unwrap(), Login::new("alice").unwrap());
        assert_eq!(parse(&[&id.to_string()]), Some(Revocation::Token(id)));
        assert_eq!(parse(&["--user", "alice"]), Some(Revocation::User(alice)));
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[&id.to_string(), "--user", "alice"]), None);
    }
}

//! `axum_server token`: the tokens with which people and machines log in.

use std::{io::Write, time::SystemTime};

use registry_core::{
    audit::{AuditAction, AuditEntry},
    auth::{Revocation, TokenCaller, TokenId, TokenRecord, Tokens},
    record::Timestamp,
};
use serde::Serialize;

use crate::{
    audit,
    error::Error,
    token_args::{TokenCommand, TokenCreateArgs, TokenListArgs, TokenRevokeArgs},
};

pub(crate) async fn run(command: TokenCommand) -> Result<(), Error> {
    match command {
        TokenCommand::Create(args) => create(args).await,
        TokenCommand::List(args) => list(args).await,
        TokenCommand::Revoke(args) => revoke(args).await,
    }
}

/// Makes a token and prints it alone on a line, as `cargo:token-from-stdout` wants it.
async fn create(args: TokenCreateArgs) -> Result<(), Error> {
    let key = args.key.read()?;
    let opened = args.index.open_or_make().await?;
    let tokens = Tokens::new(opened.tokens(key.as_ref())).with_rules(args.lifetimes.rules());
    // Stored before it is shown: a token that was printed works.
    let issued = tokens.issue(TokenCaller::Operator, &args.request()).await;
    let issued = issued.map_err(Error::Tokens)?;
    let (action, detail) = (AuditAction::CREATE_TOKEN, format!("token {}", issued.record.id));
    let entry = AuditEntry::command(Some(&args.user), action, &detail);
    audit::administered(opened.audit(), entry).await?;
    writeln!(std::io::stdout(), "{}", issued.token.expose()).map_err(Error::Print)
}

async fn list(args: TokenListArgs) -> Result<(), Error> {
    let tokens = Tokens::new(args.index.open_there().await?.tokens(None));
    let listed = tokens.list(TokenCaller::Operator, args.user.as_ref()).await;
    let (listed, now) = (listed.map_err(Error::Tokens)?, SystemTime::now().into());
    if !args.json {
        return print(&listed, now);
    }
    let shown: Vec<_> = listed.iter().map(|token| Shown::of(token, now)).collect();
    let json = serde_json::to_string_pretty(&shown).expect("texts and numbers");
    writeln!(std::io::stdout(), "{json}").map_err(Error::Print)
}

async fn revoke(args: TokenRevokeArgs) -> Result<(), Error> {
    let opened = args.index.open_there().await?;
    let revocation = args.revocation();
    let revoked = Tokens::new(opened.tokens(None)).revoke(TokenCaller::Operator, &revocation).await;
    let revoked = revoked.map_err(Error::Tokens)?;
    for token in &revoked {
        let (action, detail) = (AuditAction::REVOKE_TOKEN, format!("token {}", token.id));
        let entry = AuditEntry::command(Some(&token.user.login), action, &detail);
        audit::administered(opened.audit(), entry).await?;
    }
    match revocation {
        Revocation::Token(id) if revoked.is_empty() => Err(Error::UnknownToken { id }),
        Revocation::User(login) if revoked.is_empty() => Err(Error::WithoutTokens { login }),
        _ => print(&revoked, SystemTime::now().into()),
    }
}

/// A line for each token.
fn print(tokens: &[TokenRecord], now: Timestamp) -> Result<(), Error> {
    let lines: String = tokens.iter().map(|token| Shown::of(token, now).line()).collect();
    std::io::stdout().write_all(lines.as_bytes()).map_err(Error::Print)
}

/// What an operator is shown of a token.
#[derive(Serialize)]
struct Shown<'a> {
    id: TokenId,
    user: &'a str,
    name: &'a str,
    kind: &'static str,
    state: &'static str,
    scopes: Vec<&'static str>,
    crates: Vec<&'a str>,
    created_at: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(token: &'a TokenRecord, now: Timestamp) -> Self {
        let time = |at: Option<Timestamp>| at.and_then(Timestamp::to_rfc3339);
        Self {
            id: token.id,
            user: token.user.login.as_str(),
            name: &token.name,
            kind: token.kind.as_str(),
            state: match token.counts_at(now) {
                true => "valid",
                false if token.revoked_at.is_some() => "revoked",
                false => "expired",
            },
            scopes: token.scopes.endpoints().iter().map(|scope| scope.as_str()).collect(),
            crates: token.scopes.crates().iter().map(|pattern| pattern.as_str()).collect(),
            created_at: time(Some(token.created_at)),
            expires_at: time(token.expires_at),
            last_used_at: time(token.last_used_at),
            revoked_at: time(token.revoked_at),
        }
    }

    fn line(&self) -> String {
        let or_none = |text: &'a str| if text.is_empty() { "-" } else { text };
        let time = |at: &Option<String>| at.clone().unwrap_or_else(|| "-".into());
        let fields = [
            self.id.to_string(),
            self.user.into(),
            self.state.into(),
            time(&self.created_at),
            time(&self.expires_at),
            time(&self.last_used_at),
            self.scopes.join(","),
            self.crates.join(","),
            or_none(self.name).into(),
        ];
        fields.join("\t") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use registry_core::{
        auth::{Scopes, TokenKind, Vouched},
        owner::Owner,
    };

    use super::*;

    #[test]
    fn a_line_says_what_a_token_is_for_and_until_when() {
        let token = TokenRecord {
            id: TokenId::from_number(7).unwrap(),
            user: Owner { id: 1, login: "alice".parse().unwrap(), name: None },
            name: String::new(),
            kind: TokenKind::User,
            scopes: Scopes::read_only(),
            vouched: Vouched::default(),
            created_at: Timestamp(0),
            expires_at: Some(Timestamp(60)),
            last_used_at: None,
            revoked_at: None,
        };
        let line = |token: &TokenRecord, now| Shown::of(token, Timestamp(now)).line();
        let (made, expires) = ("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z");
        let id = token.id;
        assert_eq!(
            line(&token, 59),
            format!("{id}\talice\tvalid\t{made}\t{expires}\t-\tread\t*\t-\n")
        );
        assert_eq!(
            line(&token, 60),
            format!("{id}\talice\texpired\t{made}\t{expires}\t-\tread\t*\t-\n")
        );
        let revoked = TokenRecord {
            name: "old laptop".into(),
            expires_at: None,
            last_used_at: Some(Timestamp(60)),
            revoked_at: Some(Timestamp(90)),
            ..token
        };
        assert_eq!(
            line(&revoked, 60),
            format!("{id}\talice\trevoked\t{made}\t-\t{expires}\tread\t*\told laptop\n")
        );
    }
}

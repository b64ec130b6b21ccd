//! Who one is, and the tokens one has. Source of paths and shapes: crates.io.

use std::pin::Pin;

use http::{HeaderMap, Response};
use http_body::Body as HttpBody;
use registry_core::{
    BoxError, Login, Registry,
    audit::{AuditAction, AuditEntry},
    auth::{
        Caller, CratePattern, EndpointScope, Lifetime, Scopes, TokenCaller, TokenError,
        TokenExpiry, TokenId, TokenRecord, TokenRequest, Tokens,
    },
    record::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    body::Body,
    request_body,
    respond::{self, Error, invalid_json},
    route::NoRoute,
};

/// Most bytes of a request for a token: a name and scopes.
const MAX_BYTES: usize = 64 * 1024;

/// Whose credential it is.
pub(crate) fn user(caller: &Caller) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Me<'a> {
        user: User<'a>,
    }

    #[derive(Serialize)]
    struct User<'a> {
        id: u32,
        login: &'a Login,
        name: Option<&'a str>,
    }

    let user = &caller.principal()?.user;
    let user = User { id: user.id, login: &user.login, name: user.name.as_deref() };
    Ok(respond::json(&Me { user }))
}

#[derive(Serialize)]
struct One<'a> {
    api_token: ApiToken<'a>,
}

#[derive(Serialize)]
struct ApiToken<'a> {
    id: u64,
    name: &'a str,
    created_at: Option<String>,
    last_used_at: Option<String>,
    crate_scopes: &'a [CratePattern],
    endpoint_scopes: &'a [EndpointScope],
    expired_at: Option<String>,
    /// The token itself, in the answer to who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> ApiToken<'a> {
    fn of(record: &'a TokenRecord) -> Self {
        Self {
            id: record.id.number(),
            name: &record.name,
            created_at: record.created_at.to_rfc3339(),
            last_used_at: record.last_used_at.and_then(Timestamp::to_rfc3339),
            crate_scopes: record.scopes.crates(),
            endpoint_scopes: record.scopes.endpoints(),
            expired_at: record.expires_at.and_then(Timestamp::to_rfc3339),
            token: None,
        }
    }
}

/// The tokens of the caller that are not revoked, the newest first.
pub(crate) async fn list(registry: &Registry, caller: &Caller) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct All<'a> {
        api_tokens: Vec<ApiToken<'a>>,
    }

    let records = theirs(registry, caller).await?;
    let api_tokens = records.iter().rev().map(ApiToken::of).collect();
    Ok(respond::json(&All { api_tokens }))
}

/// One of them.
pub(crate) async fn show(
    registry: &Registry,
    caller: &Caller,
    id: TokenId,
) -> Result<Response<Body>, Error> {
    let records = theirs(registry, caller).await?;
    let record = records.iter().find(|record| record.id == id).ok_or(NoRoute::NotFound)?;
    Ok(respond::json(&One { api_token: ApiToken::of(record) }))
}

async fn theirs(registry: &Registry, caller: &Caller) -> Result<Vec<TokenRecord>, Error> {
    let principal = caller.principal()?;
    let login = Some(&principal.user.login);
    let mut records = tokens(registry)?.list(TokenCaller::Principal(principal), login).await?;
    records.retain(|record| record.revoked_at.is_none());
    Ok(records)
}

/// Makes a token, and shows it this once.
pub(crate) async fn create<B>(
    registry: &Registry,
    caller: &Caller,
    headers: &HeaderMap,
    body: Pin<&mut B>,
) -> Result<Response<Body>, Error>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    let (tokens, principal) = (tokens(registry)?, caller.principal()?);
    // Before the body is read: who may make none is not told what is wrong with it.
    if !principal.credential.is_person() {
        return Err(TokenError::NoPerson.into());
    }
    registry.check_writable()?;
    request_body::refuse_encoding(headers)?;
    let body = request_body::read(headers, body, MAX_BYTES).await?;
    let request = request(&body, &principal.user.login)?;
    let caller = &*registry.confirmed(caller).await?;
    let principal = caller.principal()?;
    let issued = tokens.issue(TokenCaller::Principal(principal), &request).await?;
    let detail = format!("token {}", issued.record.id);
    registry.audit(AuditEntry::done(caller, AuditAction::CREATE_TOKEN, &detail)).await;
    let shown = ApiToken { token: Some(issued.token.expose()), ..ApiToken::of(&issued.record) };
    Ok(respond::json(&One { api_token: shown }))
}

/// Reads what is asked for. What is not said of scopes is all but the rights of an administrator,
/// and of the expiry what the registry has as its rule: here `never` has to be written out.
fn request(body: &[u8], login: &Login) -> Result<TokenRequest, Error> {
    #[derive(Deserialize)]
    struct Request {
        api_token: Asked,
    }

    #[derive(Deserialize)]
    struct Asked {
        name: String,
        crate_scopes: Option<Vec<CratePattern>>,
        endpoint_scopes: Option<Vec<EndpointScope>>,
        expired_at: Option<String>,
        /// As in `12h`. Ours, for whoever has no clock at hand.
        expires_in: Option<Lifetime>,
    }

    let refuse = |detail: &str| Err(Error::BadRequest { detail: detail.into() });
    let Request { api_token: asked } = serde_json::from_slice(body)
        .map_err(|error| invalid_json("invalid new token request", &error))?;
    // The wording is that of crates.io.
    if asked.name.is_empty() {
        return refuse("name must have a value");
    }
    let expiry = match (&asked.expired_at, asked.expires_in) {
        (None, None) => TokenExpiry::Default,
        (None, Some(lifetime)) => TokenExpiry::After(lifetime),
        (Some(text), None) => match Timestamp::from_rfc3339(text) {
            Some(at) => TokenExpiry::At(at),
            None => return refuse("`expired_at` is not a time of RFC 3339"),
        },
        (Some(_), Some(_)) => return refuse("`expired_at` and `expires_in` say the same thing"),
    };
    let scopes = Scopes::asked_for(asked.endpoint_scopes, asked.crate_scopes);
    Ok(TokenRequest::new(login).with_name(asked.name).with_scopes(scopes).with_expiry(expiry))
}

/// Revokes a token of the caller. One that is not theirs stays as it is, and they are not told.
pub(crate) async fn revoke(
    registry: &Registry,
    caller: &Caller,
    id: TokenId,
) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Done {}

    let tokens = tokens(registry)?;
    let caller = &*registry.confirmed(caller).await?;
    let principal = caller.principal()?;
    let caller_of_tokens = TokenCaller::Principal(principal);
    let revoked = tokens.revoke(caller_of_tokens, &id.into()).await?;
    registry
        .audit(match revoked.is_empty() {
            false => revocation(caller, id),
            true => {
                let reason = format!("token {id}: none of theirs that counts");
                AuditEntry::refused(caller, AuditAction::REVOKE_TOKEN, &reason)
            }
        })
        .await;
    Ok(respond::json(&Done {}))
}

/// Revokes the token that came with the request, as whoever has it may.
pub(crate) async fn revoke_current(
    registry: &Registry,
    caller: &Caller,
) -> Result<Response<Body>, Error> {
    let tokens = tokens(registry)?;
    let caller = &*registry.confirmed(caller).await?;
    let revoked = tokens.revoke_current(caller.principal()?).await?;
    // The wording is that of crates.io.
    let no_token = || Error::BadRequest { detail: "token not provided".into() };
    registry.audit(revocation(caller, revoked.ok_or_else(no_token)?.id)).await;
    Ok(respond::no_content())
}

fn revocation(caller: &Caller, id: TokenId) -> AuditEntry {
    AuditEntry::done(caller, AuditAction::REVOKE_TOKEN, &format!("token {id}"))
}

/// Where clients look after no tokens, there is nothing.
fn tokens(registry: &Registry) -> Result<&Tokens, Error> {
    Ok(registry.tokens().ok_or(NoRoute::NotFound)?)
}

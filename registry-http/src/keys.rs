//! The keys that users sign tokens with: registering, listing, revoking. The paths and shapes are
//! ours, after those of the tokens of crates.io.

use std::pin::Pin;

use http::{HeaderMap, Response};
use http_body::Body as HttpBody;
use registry_core::{
    BoxError, Registry,
    audit::{AuditAction, AuditEntry},
    auth::{Caller, KeyId, KeyRecord, KeyRequest, OwnKeys, PublicKey},
};
use serde::{Deserialize, Serialize};

use crate::{
    body::Body,
    request_body,
    respond::{self, Error},
    route::NoRoute,
};

/// Longest body of a request to register a key, in bytes. Source: ours.
const MAX_BODY_BYTES: usize = 16 * 1024;

#[derive(Serialize)]
struct KeyJson {
    id: String,
    public_key: String,
    name: String,
    subject: Option<String>,
    created_at: Option<String>,
    revoked_at: Option<String>,
}

impl From<KeyRecord> for KeyJson {
    fn from(key: KeyRecord) -> Self {
        Self {
            id: key.id.to_string(),
            public_key: key.key.to_string(),
            name: key.name,
            subject: key.subject,
            created_at: key.created_at.to_rfc3339(),
            revoked_at: key.revoked_at.and_then(|at| at.to_rfc3339()),
        }
    }
}

#[derive(Serialize)]
struct One {
    key: KeyJson,
}

/// The keys of who asks.
pub(crate) async fn list(registry: &Registry, caller: &Caller) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct All {
        keys: Vec<KeyJson>,
    }

    let keys = own(registry, caller)?.list().await?;
    Ok(respond::json(&All { keys: keys.into_iter().map(KeyJson::from).collect() }))
}

/// Registers a key of who asks.
pub(crate) async fn register<B>(
    registry: &Registry,
    caller: &Caller,
    headers: &HeaderMap,
    body: Pin<&mut B>,
) -> Result<Response<Body>, Error>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    #[derive(Deserialize)]
    struct Request {
        key: NewKey,
    }

    #[derive(Deserialize)]
    struct NewKey {
        public_key: String,
        #[serde(default)]
        name: String,
        subject: Option<String>,
    }

    // Before the body is read: who may make none is not told what is wrong with it.
    own(registry, caller)?;
    request_body::refuse_encoding(headers)?;
    registry.check_writable()?;
    let body = request_body::read(headers, body, MAX_BODY_BYTES).await?;
    // Without what was sent: people paste secret keys.
    let request: Request = serde_json::from_slice(&body)
        .map_err(|_| Error::BadRequest { detail: "invalid request to register a key".into() })?;
    let NewKey { public_key, name, subject } = request.key;
    let key = PublicKey::new(&public_key)
        .map_err(|error| Error::BadRequest { detail: error.to_string() })?;
    let caller = &*registry.confirmed(caller).await?;
    let key = own(registry, caller)?.register(&KeyRequest { key, name, subject }).await?;
    let detail = format!("key {}", key.id);
    registry.audit(AuditEntry::done(caller, AuditAction::ADD_KEY, &detail)).await;
    Ok(respond::json(&One { key: key.into() }))
}

/// Revokes a key of who asks. There is no key of anybody else's.
pub(crate) async fn revoke(
    registry: &Registry,
    caller: &Caller,
    id: &KeyId,
) -> Result<Response<Body>, Error> {
    own(registry, caller)?;
    let caller = &*registry.confirmed(caller).await?;
    let revoked = own(registry, caller)?.revoke(id).await?;
    let key = revoked.ok_or_else(|| Error::UnknownKey { id: id.clone() })?;
    let detail = format!("key {id}");
    registry.audit(AuditEntry::done(caller, AuditAction::REVOKE_KEY, &detail)).await;
    Ok(respond::json(&One { key: key.into() }))
}

/// The keys of who asks; nothing has this path where there are no keys.
fn own<'a>(registry: &'a Registry, caller: &'a Caller) -> Result<OwnKeys<'a>, Error> {
    let keys = registry.keys().ok_or(NoRoute::NotFound)?;
    Ok(keys.of(caller.principal()?)?)
}

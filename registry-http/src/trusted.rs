//! Trusted publishing: the exchange of identity tokens, and whose are taken. Shapes as crates.io
//! has them.

use std::pin::Pin;

use http::{HeaderMap, Response};
use http_body::Body as HttpBody;
use registry_core::{
    BoxError, CrateName, Registry,
    audit::{AuditAction, AuditEntry},
    auth::{
        Caller,
        trusted::{TrustedPublisher, TrustedPublisherRecord},
    },
    registry::TrustedPublishingError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    body::Body,
    query, request_body,
    respond::{self, Error, invalid_json},
    route::PublisherKind,
};

/// Most bytes of a request: an identity token, or a few names.
const MAX_BYTES: usize = 32 * 1024;

/// `{"jwt":"…"}` to `{"token":"…"}`.
pub(crate) async fn exchange<B>(
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
        jwt: String,
    }

    #[derive(Serialize)]
    struct Answer<'a> {
        token: &'a str,
    }

    offered(registry)?;
    registry.check_writable()?;
    request_body::refuse_encoding(headers)?;
    let body = request_body::read(headers, body, MAX_BYTES).await?;
    // Without what serde says of it: that may repeat a piece of the token.
    let request: Request = serde_json::from_slice(&body).map_err(|_| Error::BadRequest {
        detail: "invalid request: expected an object with an identity token as `jwt`".into(),
    })?;
    let (token, record) = registry.exchange_identity_token(request.jwt.trim()).await?;
    let detail = format!("token {} for {}", record.id, record.name);
    registry.audit(AuditEntry::done(caller, AuditAction::EXCHANGE_TOKEN, &detail)).await;
    Ok(respond::json(&Answer { token: token.expose() }))
}

pub(crate) async fn revoke(registry: &Registry, caller: &Caller) -> Result<Response<Body>, Error> {
    registry.revoke_exchanged_token(caller).await?;
    let entry = AuditEntry::done(caller, AuditAction::REVOKE_TOKEN, "its own");
    registry.audit(entry).await;
    Ok(respond::no_content())
}

/// The publishers of one kind that the crate has that `crate=` names.
pub(crate) async fn list(
    registry: &Registry,
    caller: &Caller,
    kind: PublisherKind,
    query: &str,
) -> Result<Response<Body>, Error> {
    offered(registry)?;
    let Some((_, name)) = query::pairs(query).filter(|(key, _)| *key == "crate").last() else {
        return Err(Error::BadRequest { detail: "missing query parameter `crate`".into() });
    };
    let name = crate_name(&query::decode("crate", name)?)?;
    let records = registry.trusted_publishers(caller, &name.canonical()).await?;
    let shown: Vec<Value> = records.iter().filter_map(|record| kind.show(record)).collect();
    let total = shown.len();
    let list = format!("{}s", kind.field());
    Ok(respond::json(&json!({ list: shown, "meta": { "total": total, "next_page": null } })))
}

pub(crate) async fn add<B>(
    registry: &Registry,
    caller: &Caller,
    kind: PublisherKind,
    headers: &HeaderMap,
    body: Pin<&mut B>,
) -> Result<Response<Body>, Error>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    offered(registry)?;
    request_body::refuse_encoding(headers)?;
    let body = request_body::read(headers, body, MAX_BYTES).await?;
    let invalid =
        |error: serde_json::Error| invalid_json("invalid trusted publishing request", &error);
    let (name, publisher) = match kind {
        PublisherKind::GitHub => {
            #[derive(Deserialize)]
            struct Request {
                github_config: GitHub,
            }
            let request: Request = serde_json::from_slice(&body).map_err(invalid)?;
            request.github_config.publisher()?
        }
        PublisherKind::GitLab => {
            #[derive(Deserialize)]
            struct Request {
                gitlab_config: GitLab,
            }
            let request: Request = serde_json::from_slice(&body).map_err(invalid)?;
            request.gitlab_config.publisher()?
        }
    };
    let publisher = publisher.checked().map_err(|error| Error::BadRequest {
        detail: format!("`{}` is not that of a trusted publisher", error.field),
    })?;
    let record = registry.add_trusted_publisher(caller, &name.canonical(), &publisher).await?;
    Ok(respond::json(&json!({ kind.field(): kind.show(&record) })))
}

pub(crate) async fn remove(
    registry: &Registry,
    caller: &Caller,
    id: u64,
) -> Result<Response<Body>, Error> {
    registry.remove_trusted_publisher(caller, id).await?;
    Ok(respond::no_content())
}

#[derive(Deserialize)]
struct GitHub {
    #[serde(rename = "crate")]
    name: String,
    repository_owner: String,
    /// Ours: crates.io asks GitHub for it.
    repository_owner_id: Option<u64>,
    repository_name: String,
    workflow_filename: String,
    environment: Option<String>,
    /// Ours, for an enterprise server.
    issuer: Option<String>,
}

impl GitHub {
    fn publisher(self) -> Result<(CrateName, TrustedPublisher), Error> {
        let repository_owner_id = self.repository_owner_id.ok_or_else(|| Error::BadRequest {
            detail: "missing field `repository_owner_id`: it is the `id` at \
                     https://api.github.com/users/OWNER"
                .into(),
        })?;
        let publisher = TrustedPublisher::GitHub {
            issuer: self.issuer.unwrap_or_else(|| TrustedPublisher::GITHUB.into()),
            repository_owner: self.repository_owner,
            repository_owner_id,
            repository: self.repository_name,
            workflow: self.workflow_filename,
            environment: self.environment,
        };
        Ok((crate_name(&self.name)?, publisher))
    }
}

#[derive(Deserialize)]
struct GitLab {
    #[serde(rename = "crate")]
    name: String,
    namespace: String,
    /// Ours: crates.io takes it from the first token that comes.
    namespace_id: Option<u64>,
    project: String,
    workflow_filepath: String,
    environment: Option<String>,
    /// Ours, for another GitLab than gitlab.com.
    issuer: Option<String>,
}

impl GitLab {
    fn publisher(self) -> Result<(CrateName, TrustedPublisher), Error> {
        let namespace_id = self.namespace_id.ok_or_else(|| Error::BadRequest {
            detail: "missing field `namespace_id`: it is the `id` at \
                     https://gitlab.com/api/v4/namespaces/NAMESPACE"
                .into(),
        })?;
        let publisher = TrustedPublisher::GitLab {
            issuer: self.issuer.unwrap_or_else(|| TrustedPublisher::GITLAB.into()),
            namespace: self.namespace,
            namespace_id,
            project: self.project,
            workflow: self.workflow_filepath,
            environment: self.environment,
        };
        Ok((crate_name(&self.name)?, publisher))
    }
}

impl PublisherKind {
    fn field(self) -> &'static str {
        match self {
            Self::GitHub => "github_config",
            Self::GitLab => "gitlab_config",
        }
    }

    /// As crates.io shows it, and the issuer; `None` if it is of another kind.
    fn show(self, record: &TrustedPublisherRecord) -> Option<Value> {
        let mut shown = match (self, &record.publisher) {
            (
                Self::GitHub,
                TrustedPublisher::GitHub {
                    issuer,
                    repository_owner,
                    repository_owner_id,
                    repository,
                    workflow,
                    environment,
                },
            ) => json!({
                "issuer": issuer,
                "repository_owner": repository_owner,
                "repository_owner_id": repository_owner_id,
                "repository_name": repository,
                "workflow_filename": workflow,
                "environment": environment,
            }),
            (
                Self::GitLab,
                TrustedPublisher::GitLab {
                    issuer,
                    namespace,
                    namespace_id,
                    project,
                    workflow,
                    environment,
                },
            ) => json!({
                "issuer": issuer,
                "namespace": namespace,
                "namespace_id": namespace_id.to_string(),
                "project": project,
                "workflow_filepath": workflow,
                "environment": environment,
            }),
            _ => return None,
        };
        shown["id"] = record.id.into();
        shown["crate"] = record.name.as_str().into();
        shown["created_at"] = record.created_at.to_rfc3339().into();
        Some(shown)
    }
}

fn crate_name(text: &str) -> Result<CrateName, Error> {
    let invalid = |_| Error::BadRequest { detail: "`crate` is not the name of a crate".into() };
    CrateName::new(text).map_err(invalid)
}

/// Before anything is read: where nothing is exchanged, there is nothing to be wrong about.
fn offered(registry: &Registry) -> Result<(), Error> {
    match registry.trusted_publishing() {
        Some(_) => Ok(()),
        None => Err(TrustedPublishingError::NotOffered.into()),
    }
}

//! The small endpoints of the web API: yank, owners, search.

use std::pin::Pin;

use http::{HeaderMap, Response};
use http_body::Body as HttpBody;
use registry_core::{
    BoxError, CrateName, Login, Owner, Registry,
    auth::Caller,
    search::{FoundCrate, SearchQuery},
};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    body::Body,
    listing,
    query::{self, Paging},
    request_body,
    respond::{self, Error, invalid_json},
};

/// Most bytes of a request that changes owners: logins, and room for spaces.
const MAX_OWNERS_BYTES: usize = 64 * 1024;

/// Most logins of a request that changes owners. Source: crates.io.
const MAX_LOGINS: usize = 10;

/// `ok` must be there and true: cargo panics at `false`.
#[derive(Serialize)]
struct Done {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<String>,
}

pub(crate) async fn set_yanked(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
    version: &Version,
    yanked: bool,
) -> Result<Response<Body>, Error> {
    registry.set_yanked(caller, &name.canonical(), version, yanked).await?;
    Ok(respond::json(&Done { ok: true, msg: None }))
}

pub(crate) async fn owners(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Users<'a> {
        users: Vec<User<'a>>,
    }

    #[derive(Serialize)]
    struct User<'a> {
        id: u32,
        login: &'a Login,
        name: Option<&'a str>,
        kind: &'static str,
    }

    let owners = registry.owners(caller, &name.canonical()).await?;
    let users = owners
        .iter()
        .map(|Owner { id, login, name }| User {
            id: *id,
            login,
            name: name.as_deref(),
            kind: kind(login),
        })
        .collect();
    Ok(respond::json(&Users { users }))
}

/// What is to happen to the users that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerChange {
    Add,
    Remove,
}

pub(crate) async fn change_owners<B>(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
    change: OwnerChange,
    headers: &HeaderMap,
    body: Pin<&mut B>,
) -> Result<Response<Body>, Error>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    request_body::refuse_encoding(headers)?;
    let body = request_body::read(headers, body, MAX_OWNERS_BYTES).await?;
    let logins = logins(&body)?;
    let canonical = name.canonical();
    let msg = match change {
        OwnerChange::Add => {
            registry.add_owners(caller, &canonical, &logins).await?;
            // The wording of crates.io, without its invitations.
            let added = logins.iter().map(|login| {
                format!("{} {login} has been added as an owner of crate {name}", kind(login))
            });
            added.collect::<Vec<_>>().join(",")
        }
        OwnerChange::Remove => {
            registry.remove_owners(caller, &canonical, &logins).await?;
            "owners successfully removed".to_owned()
        }
    };
    Ok(respond::json(&Done { ok: true, msg: Some(msg) }))
}

fn logins(body: &[u8]) -> Result<Vec<Login>, Error> {
    #[derive(Deserialize)]
    struct Request {
        #[serde(alias = "owners")]
        users: Vec<String>,
    }

    let request: Request = serde_json::from_slice(body)
        .map_err(|error| invalid_json("invalid owners request", &error))?;
    let refuse = |detail: String| Err(Error::BadRequest { detail });
    match request.users.len() {
        0 => return refuse("the request names no user".into()),
        1..=MAX_LOGINS => {}
        // The wording is that of crates.io.
        _ => return refuse(format!("too many invites for this request - maximum {MAX_LOGINS}")),
    }
    request
        .users
        .iter()
        .map(|login| {
            Login::new(login).map_err(|error| Error::BadRequest { detail: error.to_string() })
        })
        .collect()
}

/// What crates.io calls an owner of this kind.
fn kind(login: &Login) -> &'static str {
    if login.is_group() { "team" } else { "user" }
}

/// Cargo always sends a text, be it an empty one; without it, this is a list of what there is.
pub(crate) async fn search(
    registry: &Registry,
    caller: &Caller,
    query: &str,
) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Page<'a> {
        crates: Vec<Found<'a>>,
        meta: Meta,
    }

    #[derive(Serialize)]
    struct Found<'a> {
        name: &'a CrateName,
        max_version: &'a Version,
        description: Option<&'a str>,
    }

    #[derive(Serialize)]
    struct Meta {
        // Cargo reads an unsigned 32-bit number.
        total: u32,
    }

    let Some(search) = search_query(query)? else {
        return listing::crates(registry, caller, query).await;
    };
    let page = registry.search(caller, &search).await?;
    let total = u32::try_from(page.total).unwrap_or(u32::MAX);
    let crates = page
        .crates
        .iter()
        .map(|FoundCrate { name, max_version, description }| Found {
            name,
            max_version,
            description: description.as_deref(),
        })
        .collect();
    Ok(respond::json(&Page { crates, meta: Meta { total } }))
}

/// Reads `q`, `per_page` and `page`, and passes over the rest; `None` if there is no `q`. Of a key
/// that is there twice the last counts.
fn search_query(query: &str) -> Result<Option<SearchQuery>, Error> {
    let Some((_, text)) = query::pairs(query).filter(|(key, _)| *key == "q").last() else {
        return Ok(None);
    };
    let text = query::decode("search text", text)?;
    let paging = Paging::read(query, query::CRATES_PER_PAGE)?;
    Ok(Some(SearchQuery::new(&text, paging.offset(), paging.per_page)?))
}

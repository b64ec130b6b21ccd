//! From method and path to what is asked for.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;
use registry_core::{CrateName, auth::KeyId, version::parse_version};
use semver::Version;

use super::{NoRoute, PublisherKind, Route};

/// Reads a request's method and its path as it came, still encoded, below the mount point.
///
/// A pure function over text, so that it can be fuzzed. The path is split at its raw slashes first and
/// each segment decoded once after that: an encoded slash, a dot segment or a doubly encoded one never
/// becomes part of a path, and matches nothing.
///
/// Repeated slashes count as one: cargo makes them when a configured URL ends in a slash. `+`
/// stands for itself, as in a version's build metadata. `HEAD` is taken wherever `GET` is.
///
/// ```
/// use http::Method;
/// use registry_http::route::{NoRoute, Route, parse};
///
/// assert_eq!(parse(&Method::GET, "/index/config.json"), Ok(Route::Config));
/// assert_eq!(parse(&Method::GET, "/index/../config.json"), Err(NoRoute::NotFound));
/// ```
///
/// # Errors
/// [`NoRoute`] says whether it is the path that is unknown, or only the method for it.
pub fn parse(method: &Method, path: &str) -> Result<Route, NoRoute> {
    // As cargo asks for most of what it asks for: nothing is to be decoded, and nothing to be copied.
    if let Some(name) = path.strip_prefix("/index/").and_then(CrateName::from_sparse_path) {
        return choose(method, [(Method::GET, Route::IndexFile(name))]);
    }
    let segments = segments(path).ok_or(NoRoute::NotFound)?;
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (get, put, delete) = (Method::GET, Method::PUT, Method::DELETE);
    match segments[..] {
        ["index", "config.json"] => choose(method, [(get, Route::Config)]),
        ["index"] => Err(NoRoute::NoSlash),
        ["index", ref file @ ..] => {
            let name = CrateName::from_sparse_path(&file.join("/")).ok_or(NoRoute::NotFound)?;
            choose(method, [(get, Route::IndexFile(name))])
        }
        ["dl", name, version, checksum] => {
            let (name, version) = crate_version(name, version)?;
            let checksum = checksum.parse().map_err(|_| NoRoute::NotFound)?;
            choose(method, [(get, Route::Download(name, version, checksum))])
        }
        ["api", "v1", "crates"] => choose(method, [(get, Route::Search)]),
        ["api", "v1", "crates", "new"] => choose(method, [(put, Route::Publish)]),
        ["api", "v1", "crates", name, "owners"] => {
            let name = crate_name(name)?;
            let add = Route::AddOwners(name.clone());
            let remove = Route::RemoveOwners(name.clone());
            choose(method, [(get, Route::Owners(name)), (put, add), (delete, remove)])
        }
        ["api", "v1", "crates", name, "versions"] => {
            choose(method, [(get, Route::Versions(crate_name(name)?))])
        }
        ["api", "v1", "crates", name, version, "download"] => {
            let (name, version) = crate_version(name, version)?;
            choose(method, [(get, Route::DownloadByVersion(name, version))])
        }
        ["api", "v1", "crates", name, version, "yank"] => {
            let (name, version) = crate_version(name, version)?;
            choose(method, [(delete, Route::Yank(name, version))])
        }
        ["api", "v1", "crates", name, version, "unyank"] => {
            let (name, version) = crate_version(name, version)?;
            choose(method, [(put, Route::Unyank(name, version))])
        }
        ["api", "v1", "me"] => choose(method, [(get, Route::User)]),
        ["api", "v1", "me", "tokens"] => {
            choose(method, [(get, Route::Tokens), (put, Route::NewToken)])
        }
        ["api", "v1", "me", "tokens", id] => {
            let id = id.parse().map_err(|_| NoRoute::NotFound)?;
            choose(method, [(get, Route::Token(id)), (delete, Route::RevokeToken(id))])
        }
        ["api", "v1", "tokens", "current"] => choose(method, [(delete, Route::RevokeCurrentToken)]),
        ["api", "v1", "trusted_publishing", "tokens"] => {
            let (put, post) = ((put, Route::ExchangeToken), (Method::POST, Route::ExchangeToken));
            choose(method, [put, post, (delete, Route::RevokeExchangedToken)])
        }
        ["api", "v1", "trusted_publishing", configs] => {
            let kind = publisher_kind(configs)?;
            let add = (Method::POST, Route::AddTrustedPublisher(kind));
            choose(method, [(get, Route::TrustedPublishers(kind)), add])
        }
        ["api", "v1", "trusted_publishing", configs, id] => {
            publisher_kind(configs)?;
            let id = id.parse().map_err(|_| NoRoute::NotFound)?;
            choose(method, [(delete, Route::RemoveTrustedPublisher(id))])
        }
        ["me"] => choose(method, [(get, Route::Me)]),
        ["api", "v1", "me", "keys"] => choose(method, [(get, Route::Keys), (put, Route::AddKey)]),
        ["api", "v1", "me", "keys", id] => {
            let id = KeyId::new(id).map_err(|_| NoRoute::NotFound)?;
            choose(method, [(delete, Route::RevokeKey(id))])
        }
        _ => Err(NoRoute::NotFound),
    }
}

/// Most segments of a path that is answered: those of a yank, which has the longest.
const MAX_SEGMENTS: usize = 6;

/// The decoded segments; `None` if one of them is none that a path of ours has.
fn segments(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let path = path.strip_prefix('/')?;
    // Only between segments: a slash at the end makes another path.
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let mut segments = Vec::with_capacity(MAX_SEGMENTS);
    for raw in path.split('/').filter(|raw| !raw.is_empty()) {
        let segment = percent_decode_str(raw).decode_utf8().ok()?;
        let is_plain = !segment.contains(['/', '\\', '\0']) && !matches!(&*segment, "." | "..");
        if !is_plain || segments.len() == MAX_SEGMENTS {
            return None;
        }
        segments.push(segment);
    }
    Some(segments)
}

fn publisher_kind(configs: &str) -> Result<PublisherKind, NoRoute> {
    match configs {
        "github_configs" => Ok(PublisherKind::GitHub),
        "gitlab_configs" => Ok(PublisherKind::GitLab),
        _ => Err(NoRoute::NotFound),
    }
}

fn crate_name(text: &str) -> Result<CrateName, NoRoute> {
    CrateName::new(text).map_err(|_| NoRoute::NoCrate { name: text.into() })
}

fn crate_version(name: &str, version: &str) -> Result<(CrateName, Version), NoRoute> {
    let name = crate_name(name)?;
    match parse_version(version) {
        Ok(version) => Ok((name, version)),
        Err(_) => Err(NoRoute::NoVersion { name, version: version.into() }),
    }
}

fn choose<const N: usize>(method: &Method, routes: [(Method, Route); N]) -> Result<Route, NoRoute> {
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    let mut allow = Vec::new();
    for (accepted, route) in routes {
        if accepted == *wanted {
            return Ok(route);
        }
        allow.push(accepted.to_string());
        if accepted == Method::GET {
            allow.push(Method::HEAD.to_string());
        }
    }
    Err(NoRoute::MethodNotAllowed { allow: allow.join(", ") })
}

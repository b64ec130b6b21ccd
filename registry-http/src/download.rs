//! Crate files.

use http::{
    HeaderMap, HeaderValue, Response,
    header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG},
};
use registry_core::{
    CrateName, Registry,
    auth::Caller,
    store::{CrateFile, CrateKey},
};
use semver::Version;

use crate::{
    body::Body,
    caching::{self, Freshness},
    conditional::{IfNoneMatch, not_modified},
    respond::Error,
};

/// The file that `key` names. No look into the index: the checksum is in the path.
pub(crate) async fn by_checksum(
    registry: &Registry,
    caller: &Caller,
    key: &CrateKey,
    name: &CrateName,
    headers: &HeaderMap,
    request: &str,
) -> Result<Response<Body>, Error> {
    let file = registry.download(caller, key).await?;
    let etag = format!("\"{}\"", key.checksum);
    let is_held = IfNoneMatch::of(headers).matches(&etag);
    let etag = HeaderValue::try_from(etag).expect("hexadecimal digits in quotes");
    let mut response = match is_held {
        true => not_modified(etag),
        false => whole(file, etag, name, &key.version, request),
    };
    caching::set(&mut response, Freshness::Forever, registry, caller);
    Ok(response)
}

/// The file of a version, whose checksum the index knows.
///
/// Served at once rather than by a redirect, which old clients of the web API do not follow.
pub(crate) async fn by_version(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
    version: &Version,
    headers: &HeaderMap,
    request: &str,
) -> Result<Response<Body>, Error> {
    let key = registry.crate_key(caller, &name.canonical(), version).await?;
    by_checksum(registry, caller, &key, name, headers, request).await
}

fn whole(
    file: CrateFile,
    etag: HeaderValue,
    name: &CrateName,
    version: &Version,
    request: &str,
) -> Response<Body> {
    let disposition = format!("attachment; filename=\"{name}-{version}.crate\"");
    let disposition = HeaderValue::try_from(disposition);
    let headers = HeaderMap::from_iter([
        // Never with a Content-Encoding: cargo would unpack it, and miss the checksum.
        (CONTENT_TYPE, HeaderValue::from_static("application/gzip")),
        (CONTENT_LENGTH, file.size.into()),
        (ETAG, etag),
        (CONTENT_DISPOSITION, disposition.expect("names and versions are ASCII without quotes")),
    ]);
    let mut response = Response::new(Body::file(file, request));
    *response.headers_mut() = headers;
    response
}

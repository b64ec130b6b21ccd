//! Crate files.

use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY},
};
use registry_core::{
    CrateName, Registry,
    auth::Caller,
    store::{CrateFile, CrateKey},
};
use semver::Version;

use crate::{body::Body, respond::Error, service::is_private};

/// The file that `key` names. No look into the index: the checksum is in the path.
pub(crate) async fn by_checksum(
    registry: &Registry,
    caller: &Caller,
    key: &CrateKey,
    name: &CrateName,
    request: &str,
) -> Result<Response<Body>, Error> {
    let file = registry.download(caller, key).await?;
    let private = is_private(registry, caller);
    Ok(respond(file, key, name, private, request))
}

/// The file of a version, whose checksum the index knows.
///
/// Served at once rather than by a redirect, which old clients of the web API do not follow.
pub(crate) async fn by_version(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
    version: &Version,
    request: &str,
) -> Result<Response<Body>, Error> {
    let key = registry.crate_key(caller, &name.canonical(), version).await?;
    by_checksum(registry, caller, &key, name, request).await
}

fn respond(
    file: CrateFile,
    key: &CrateKey,
    name: &CrateName,
    private: bool,
    request: &str,
) -> Response<Body> {
    // Checked types of plain ASCII, without quotes.
    let text = |text: String| HeaderValue::try_from(text).expect("names and hexadecimal digits");
    let caching = match private {
        true => "private, max-age=31536000, immutable",
        false => "public, max-age=31536000, immutable",
    };
    let mut headers = HeaderMap::from_iter([
        // Never with a Content-Encoding: cargo would unpack it, and miss the checksum.
        (CONTENT_TYPE, HeaderValue::from_static("application/gzip")),
        (CONTENT_LENGTH, file.size.into()),
        (ETAG, text(format!("\"{}\"", key.checksum))),
        (CACHE_CONTROL, HeaderValue::from_static(caching)),
        (
            CONTENT_DISPOSITION,
            text(format!("attachment; filename=\"{name}-{}.crate\"", key.version)),
        ),
    ]);
    if private {
        headers.insert(VARY, HeaderValue::from_static("authorization"));
    }
    let mut response = Response::new(Body::file(file, request));
    *response.headers_mut() = headers;
    response
}

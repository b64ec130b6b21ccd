//! Crate files.

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, ETAG, LOCATION,
    },
    request::Parts,
};
use registry_core::{
    CrateName, Registry,
    auth::{Caller, RequestId},
    registry::Download,
    store::{CrateFile, CrateKey},
};
use semver::Version;

use crate::{
    body::Body,
    caching::{self, Freshness},
    conditional::{IfNoneMatch, is_wanted, not_modified},
    digits, range,
    respond::Error,
};

/// The file that `key` names: the checksum is in the path, so these are its bytes for ever.
pub(crate) async fn by_checksum(
    registry: &Registry,
    caller: &Caller,
    key: &CrateKey,
    name: &CrateName,
    asked: &Parts,
    request: &RequestId,
) -> Result<Response<Body>, Error> {
    send(registry, caller, key, name, asked, request, Freshness::Forever).await
}

/// The file of a version, whose checksum the index knows. Other bytes may be there once the version,
/// or the registry, has been deleted and made anew.
///
/// Served at once rather than by a redirect to the path with the checksum, which old clients of the
/// web API do not follow.
pub(crate) async fn by_version(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
    version: &Version,
    asked: &Parts,
    request: &RequestId,
) -> Result<Response<Body>, Error> {
    let key = registry.crate_key(caller, &name.canonical(), version).await?;
    send(registry, caller, &key, name, asked, request, Freshness::AskAgain).await
}

async fn send(
    registry: &Registry,
    caller: &Caller,
    key: &CrateKey,
    name: &CrateName,
    asked: &Parts,
    request: &RequestId,
    freshness: Freshness,
) -> Result<Response<Body>, Error> {
    let download = registry.download(caller, key).await?;
    let only_head = asked.method == Method::HEAD;
    // Not for HEAD: a URL that lets its holder read is signed for GET alone.
    if !only_head && let Some(url) = download.location().await? {
        return elsewhere(&url);
    }
    let etag = format!("\"{}\"", key.checksum);
    // In this order. Source: RFC 9110, section 13.2.2.
    let mut response = if !is_wanted(&asked.headers, &etag) {
        // A file that is not there is not another one.
        download.head().await?;
        return Err(Error::OtherFile);
    } else if IfNoneMatch::of(&asked.headers).matches(&etag) {
        // Of a file that is not there, nothing is held.
        download.head().await?;
        not_modified(etag_value(&etag))
    } else if only_head {
        let size = download.head().await?.size;
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = headers(&etag, name, &key.version);
        response.headers_mut().insert(CONTENT_LENGTH, digits::header_value(size));
        response
    } else {
        file(&download, &etag, name, &key.version, &asked.headers, request).await?
    };
    caching::set(&mut response, freshness, registry, caller);
    Ok(response)
}

/// Sends the client to the store itself. To be asked about each time: the URL may be good for some
/// minutes only, and is as secret as the file.
fn elsewhere(url: &str) -> Result<Response<Body>, Error> {
    let url = HeaderValue::try_from(url).map_err(|error| Error::Internal(error.into()))?;
    let mut response = Response::new(Body::empty());
    // Understood by every client, and changes no GET. Source: RFC 9110, section 15.4.3.
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, url);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The whole file, or the part of it that is asked for. Source: RFC 9110, sections 13.1.5 and 14.2.
async fn file(
    download: &Download<'_>,
    etag: &str,
    name: &CrateName,
    version: &Version,
    asked: &HeaderMap,
    request: &RequestId,
) -> Result<Response<Body>, Error> {
    let wanted = range::of(asked, etag);
    let file = download.open(wanted).await?;
    let CrateFile { size, ref range, .. } = file;
    let mut headers = headers(etag, name, version);
    headers.insert(CONTENT_LENGTH, digits::header_value(range.end - range.start));
    let mut status = StatusCode::OK;
    if wanted.is_some() {
        if range.is_empty() {
            return Err(Error::NotInFile { size });
        }
        status = StatusCode::PARTIAL_CONTENT;
        let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        headers.insert(CONTENT_RANGE, HeaderValue::try_from(part).expect("numbers"));
    }
    let mut response = Response::new(Body::file(file, request));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What is said of a file, whichever part of it is sent.
fn headers(etag: &str, name: &CrateName, version: &Version) -> HeaderMap {
    let disposition = format!("attachment; filename=\"{name}-{version}.crate\"");
    let disposition = HeaderValue::try_from(disposition);
    HeaderMap::from_iter([
        // Never with a Content-Encoding: cargo would unpack it, and miss the checksum.
        (CONTENT_TYPE, HeaderValue::from_static("application/gzip")),
        (ETAG, etag_value(etag)),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (CONTENT_DISPOSITION, disposition.expect("names and versions are ASCII without quotes")),
    ])
}

fn etag_value(etag: &str) -> HeaderValue {
    HeaderValue::try_from(etag).expect("hexadecimal digits in quotes")
}

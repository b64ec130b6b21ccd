//! The sparse index: `config.json` and the index files.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::ETAG};
use registry_core::{
    CrateName, ETag, Registry, RegistryConfig,
    auth::Caller,
    index::{IndexFile, Lookup},
};

use crate::{
    body::Body,
    caching::{self, Freshness},
    conditional::{IfNoneMatch, not_modified},
    respond::{self, Error},
};

/// The root document. Never 304: cargo asks for it without a validator, always.
pub(crate) async fn config(registry: &Registry, caller: &Caller) -> Result<Response<Body>, Error> {
    let json = registry.config_json(caller).await?;
    Ok(root(registry, caller, json))
}

/// The root document with other addresses than those of the registry's configuration.
pub(crate) async fn config_of(
    registry: &Registry,
    caller: &Caller,
    config: &RegistryConfig,
) -> Result<Response<Body>, Error> {
    // Only who may read the one may read the other.
    registry.config_json(caller).await?;
    Ok(root(registry, caller, config.to_json()))
}

fn root(registry: &Registry, caller: &Caller, json: Bytes) -> Response<Body> {
    let mut response = respond::full(StatusCode::OK, respond::JSON, json);
    caching::set(&mut response, Freshness::AskAgain, registry, caller);
    response
}

/// One crate's lines, unless the asker has them.
pub(crate) async fn file(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
    headers: &HeaderMap,
) -> Result<Response<Body>, Error> {
    let held = IfNoneMatch::of(headers);
    let known = held.only();
    let mut response = match registry.index_file(caller, name, known.as_ref()).await? {
        Lookup::Absent => return Err(Error::UnknownCrate { name: name.to_string() }),
        Lookup::Found(IndexFile { etag, .. }) if held.matches(etag.as_str()) => {
            not_modified(value(&etag))
        }
        Lookup::Found(file) => {
            let mut response = respond::full(StatusCode::OK, respond::TEXT, file.body);
            response.headers_mut().insert(ETAG, value(&file.etag));
            response
        }
        // The tag that was asked about is the one that the file still has.
        Lookup::Unchanged => match &known {
            Some(etag) => not_modified(value(etag)),
            None => return Err(Error::Internal("unchanged, but no tag was asked about".into())),
        },
    };
    caching::set(&mut response, Freshness::AskAgain, registry, caller);
    Ok(response)
}

fn value(etag: &ETag) -> HeaderValue {
    HeaderValue::from_str(etag.as_str()).expect("a validator is hexadecimal digits in quotes")
}

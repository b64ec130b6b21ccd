//! `PUT /api/v1/crates/new`.

use std::pin::Pin;

use bytes::Buf;
use http::{HeaderMap, Response};
use http_body::Body as HttpBody;
use registry_core::{
    BoxError, Registry,
    auth::Caller,
    registry::{Publish, PublishError},
};
use serde::Serialize;
use tracing::Span;

use crate::{
    body::Body,
    request_body::{content_length, discard, next_chunk, refuse_encoding},
    respond::{self, Error},
};

/// `index_alias` is a further index URL of the registry, as the client knows it.
///
/// Hands the body on as it arrives. If the client goes away, this future is dropped or the body
/// fails, and with it goes all that was read: nothing is stored before the last byte was checked.
pub(crate) async fn publish<B>(
    registry: &Registry,
    caller: Caller,
    index_alias: Option<String>,
    headers: &HeaderMap,
    mut body: Pin<&mut B>,
) -> Result<Response<Body>, Error>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    refuse_encoding(headers)?;
    let length = content_length(headers);
    let mut publish = registry.begin_publish(caller, length).await?;
    if let Some(url) = index_alias {
        publish = publish.with_index_alias(url);
    }
    while let Some(data) = next_chunk(body.as_mut()).await? {
        if let Err(refused) = write(&mut publish, data).await {
            tell_crate(&publish);
            drop(publish);
            // The client is in the middle of sending, and a connection that is closed on it may
            // take the answer along: cargo then reports a broken pipe. The rest is no longer than
            // a publish may be, which was made sure of above; without a length, nobody knows.
            if length.is_some() {
                discard(body).await;
            }
            return Err(refused.into());
        }
    }
    tell_crate(&publish);
    let published = publish.finish().await?;
    let other = published.warnings.into_iter().map(|warning| warning.0).collect();
    Ok(respond::json(&Answer { warnings: Warnings { other, ..Warnings::default() } }))
}

/// Adds to the span of the request what only the body says.
fn tell_crate(publish: &Publish) {
    if let Some((name, _)) = publish.about() {
        Span::current().record("crate", name.as_str());
    }
}

async fn write(publish: &mut Publish, mut data: impl Buf) -> Result<(), PublishError> {
    while data.has_remaining() {
        let read = data.chunk().len();
        publish.write(data.chunk()).await?;
        data.advance(read);
    }
    Ok(())
}

/// Source: Cargo book, "Web API", Publish.
#[derive(Serialize)]
struct Answer {
    warnings: Warnings,
}

#[derive(Default, Serialize)]
struct Warnings {
    invalid_categories: [&'static str; 0],
    invalid_badges: [&'static str; 0],
    other: Vec<String>,
}

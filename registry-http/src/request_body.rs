//! The body of a request, a piece at a time.

use std::{future::poll_fn, pin::Pin};

use bytes::Buf;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
};
use http_body::Body;
use registry_core::BoxError;

use crate::respond::Error;

/// Refuses a body that is packed: what it unpacks to has no limit that could be checked before.
pub(crate) fn refuse_encoding(headers: &HeaderMap) -> Result<(), Error> {
    match headers.contains_key(CONTENT_ENCODING) {
        true => Err(Error::ContentEncoding),
        false => Ok(()),
    }
}

/// The announced length, if there is one to read.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The next piece; `None` at the end. Trailers are passed over.
pub(crate) async fn next_chunk<B>(mut body: Pin<&mut B>) -> Result<Option<B::Data>, Error>
where
    B: Body<Error: Into<BoxError>>,
{
    loop {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(error)) => return Err(Error::RequestBody(error.into())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads what is left of a body, to its end or to where it breaks off.
pub(crate) async fn discard<B>(mut body: Pin<&mut B>)
where
    B: Body<Error: Into<BoxError>>,
{
    while let Ok(Some(_)) = next_chunk(body.as_mut()).await {}
}

/// The whole of a body of at most `limit` bytes.
pub(crate) async fn read<B>(
    headers: &HeaderMap,
    mut body: Pin<&mut B>,
    limit: usize,
) -> Result<Vec<u8>, Error>
where
    B: Body<Error: Into<BoxError>>,
{
    if content_length(headers).is_some_and(|length| length > limit as u64) {
        return Err(Error::TooLarge { limit });
    }
    let mut all = Vec::new();
    while let Some(mut data) = next_chunk(body.as_mut()).await? {
        if data.remaining() > limit - all.len() {
            return Err(Error::TooLarge { limit });
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            all.extend_from_slice(chunk);
            let read = chunk.len();
            data.advance(read);
        }
    }
    Ok(all)
}

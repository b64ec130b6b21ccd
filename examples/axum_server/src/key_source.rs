//! Fetches the keys of identity providers.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use registry_core::{BoxError, auth::oidc::KeySource};
use reqwest::{Client, StatusCode, redirect};

use crate::error::Error;

/// Longest wait for a document, with all redirects.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of one.
const MAX_BYTES: usize = 1 << 20;
/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// An HTTP client that trusts what the operating system trusts.
#[derive(Clone, Debug)]
pub(crate) struct HttpKeySource(Client);

impl HttpKeySource {
    pub(crate) fn new() -> Result<Self, Error> {
        // Whoever can redirect to another host would say which keys are right.
        let redirects = redirect::Policy::custom(|attempt| {
            let from_here = attempt.previous().last().map(|url| url.origin());
            match attempt.previous().len() <= MAX_REDIRECTS {
                true if from_here == Some(attempt.url().origin()) => attempt.follow(),
                _ => attempt.stop(),
            }
        });
        let client = Client::builder().redirect(redirects).timeout(TIMEOUT).build();
        client.map(Self).map_err(|error| Error::HttpClient(error.into()))
    }
}

#[async_trait]
impl KeySource for HttpKeySource {
    async fn fetch(&self, url: &str) -> Result<Bytes, BoxError> {
        let mut response = self.0.get(url).send().await?;
        if response.status() != StatusCode::OK {
            return Err(format!("`{url}` is answered with {}", response.status()).into());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(format!("`{url}` has more than {MAX_BYTES} bytes").into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

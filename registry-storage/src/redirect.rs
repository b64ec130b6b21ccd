//! How clients read crate files past the registry.

use std::{fmt, time::Duration};

use object_store::path::Path;
use registry_core::BoxError;

/// Where the registry sends who asks for a crate file, instead of sending the file.
///
/// ```
/// use registry_storage::{ObjectCrateStore, Redirect};
///
/// # let folder = tempfile::tempdir()?;
/// # #[cfg(feature = "fs")]
/// let crates = ObjectCrateStore::filesystem(folder.path())?
///     .with_redirect(Redirect::public("https://cdn.example.com/crates")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Redirect(Target);

#[derive(Clone)]
enum Target {
    /// Without a slash at its end.
    Public(Box<str>),
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    Presigned { signer: std::sync::Arc<dyn object_store::signer::Signer>, expiry: Duration },
}

impl Redirect {
    /// Shortest and longest time for which a URL may be signed. Source: all providers have the
    /// upper bound, "Signature Version 4" of Amazon S3 for one.
    pub const EXPIRY: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 60 * 60);

    /// To a web server that serves what is in the store, such as a CDN in front of a bucket.
    ///
    /// Whoever can reach it reads there without being asked for a token. What is behind `url` are
    /// the paths of [`layout`](crate::layout), none of which needs to be encoded.
    ///
    /// # Errors
    /// [`RedirectError::Url`] if it is not an absolute web address, or has a query or fragment.
    pub fn public(url: &str) -> Result<Self, RedirectError> {
        let base = url.trim_end_matches('/');
        let refuse = |reason| Err(RedirectError::Url { reason });
        let Some((_, rest)) =
            base.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        else {
            return refuse("it must begin with http:// or https://");
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() {
            return refuse("it names no host");
        }
        if host.contains('@') {
            return refuse("it must not contain a user name or password");
        }
        if !base.bytes().all(|b| b.is_ascii_graphic())
            || base.contains(['?', '#', '{', '}', '"', '\\'])
        {
            return refuse("it must be a plain URL without query, fragment, braces or quotes");
        }
        Ok(Self(Target::Public(base.into())))
    }

    /// To the bucket itself, by URLs that are signed for one file each and good for `expiry`.
    ///
    /// A client follows them at once, so that minutes are enough; a download that has begun goes
    /// on. A URL is good for as long as the credentials that signed it at most.
    ///
    /// # Errors
    /// [`RedirectError::Expiry`] if `expiry` is not within [`Redirect::EXPIRY`].
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    pub fn presigned(
        signer: std::sync::Arc<dyn object_store::signer::Signer>,
        expiry: Duration,
    ) -> Result<Self, RedirectError> {
        if !Self::EXPIRY.contains(&expiry) {
            return Err(RedirectError::Expiry { expiry });
        }
        Ok(Self(Target::Presigned { signer, expiry }))
    }

    pub(crate) async fn url(&self, path: &Path) -> Result<String, BoxError> {
        match &self.0 {
            Target::Public(base) => Ok(format!("{base}/{path}")),
            #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
            Target::Presigned { signer, expiry } => {
                let get = object_store::signer::Method::GET;
                Ok(signer.signed_url(get, path, *expiry).await?.into())
            }
        }
    }
}

/// Without the signer, which holds credentials.
impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Public(url) => write!(f, "Redirect({url})"),
            #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
            Target::Presigned { expiry, .. } => write!(f, "Redirect(presigned for {expiry:?})"),
        }
    }
}

/// Clients cannot be sent there. Shows no URL, as there may be a password or a signature in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The URL is none that paths can be appended to.
    #[error("the URL cannot be where clients read crate files: {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A URL cannot be signed for that long, or for nothing.
    #[error(
        "URLs are signed for {} to {} seconds, not for {:?}",
        Redirect::EXPIRY.start().as_secs(),
        Redirect::EXPIRY.end().as_secs(),
        expiry
    )]
    Expiry {
        /// The time asked for.
        expiry: Duration,
    },
}

#[cfg(test)]
mod tests;

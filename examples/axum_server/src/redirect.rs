//! Where clients read crate files, as `--redirect` names it.

use std::time::Duration;

use clap::{Args, value_parser};
use registry_storage::{ObjectCrateStore, Redirect, RedirectError, StorageUrl};

use crate::{error::Error, url::UrlText};

#[derive(Debug, Args)]
pub(crate) struct RedirectArgs {
    /// Send clients to the bucket itself for crate files: `presigned`, or a URL that serves them.
    ///
    /// Each download is answered with a redirect, once it is certain that the client may read.
    /// `presigned` takes a --storage in a bucket, and signs a URL for each download; any other is
    /// the URL of a web server, such as a CDN, which serves the paths of --storage to whoever asks.
    /// With --verify-on-read or --storage-mirror, files pass through this server all the same.
    #[arg(long = "redirect", value_name = "presigned|URL", env = "REGISTRY_REDIRECT")]
    #[arg(hide_env_values = true)]
    to: Option<UrlText>,
    /// For how many seconds a signed URL is good. Clients follow it at once.
    #[arg(long = "redirect-expiry", value_name = "SECONDS", env = "REGISTRY_REDIRECT_EXPIRY")]
    #[arg(default_value_t = 300, value_parser = value_parser!(u64).range(1..=604_800))]
    expiry: u64,
}

enum RedirectTo {
    Presigned,
    Public(Redirect),
}

impl RedirectArgs {
    fn to(&self) -> Result<Option<RedirectTo>, RedirectError> {
        let to = self.to.as_ref().map(|to| match to.expose() {
            "presigned" => Ok(RedirectTo::Presigned),
            url => Redirect::public(url).map(RedirectTo::Public),
        });
        to.transpose()
    }

    /// Fails if clients cannot be sent there, or if no URL can be signed for what is there.
    pub(crate) fn check(&self, storage: &StorageUrl) -> Result<(), Error> {
        match (self.to()?, storage) {
            (Some(RedirectTo::Presigned), StorageUrl::Folder(_) | StorageUrl::Memory) => {
                Err(Error::NoSigner { place: storage.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The store with the redirect.
    pub(crate) fn apply(
        &self,
        crates: ObjectCrateStore,
        storage: &StorageUrl,
    ) -> Result<ObjectCrateStore, Error> {
        let redirect = match self.to()? {
            None => return Ok(crates),
            Some(RedirectTo::Public(redirect)) => redirect,
            Some(RedirectTo::Presigned) => {
                let signer = crates.signer();
                let signer =
                    signer.ok_or_else(|| Error::NoSigner { place: storage.to_string() })?;
                Redirect::presigned(signer, Duration::from_secs(self.expiry))?
            }
        };
        Ok(crates.with_redirect(redirect))
    }
}

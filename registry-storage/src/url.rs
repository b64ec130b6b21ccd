//! Where crate files are kept, as a URL names it.

use std::{fmt, path::PathBuf, str::FromStr};

use object_store::path::Path as ObjectPath;
use registry_core::Echo;

/// Where crate files are.
///
/// ```
/// use registry_storage::StorageUrl;
///
/// let url: StorageUrl = "s3://bucket/registry/crates".parse()?;
/// assert_eq!(url.to_string(), "s3://bucket/registry/crates");
/// # Ok::<(), registry_storage::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageUrl {
    /// `file:DIR`: a folder. The path is relative or absolute; a `//` in front of it means nothing.
    Folder(PathBuf),
    /// `memory:`: nowhere but in this process.
    Memory,
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
    Bucket(BucketUrl),
}

impl FromStr for StorageUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let plain = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if plain(scheme) => (scheme, rest),
            // What is in front of a colon may be anything; without one there is no password.
            Some(_) => return Err(UrlError::NoScheme { text: "…".into() }),
            None => return Err(UrlError::NoScheme { text: text.into() }),
        };
        match scheme {
            "file" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() { Err(UrlError::NoPath) } else { Ok(Self::Folder(path.into())) }
            }
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(UrlError::Memory),
            _ => match Provider::of_scheme(scheme) {
                Some(provider) => Ok(Self::Bucket(BucketUrl::parse(provider, rest)?)),
                None => Err(UrlError::Scheme { scheme: scheme.into() }),
            },
        }
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

/// Who keeps a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Amazon S3, and whatever speaks as it does.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    /// The provider whose URLs begin so: `s3`, `gs` or `az`.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        let all = [Self::S3, Self::Google, Self::Azure];
        all.into_iter().find(|provider| provider.scheme() == scheme)
    }

    /// How the URLs of its buckets begin.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// A bucket, or a part of one. No credentials are in it: those come from options or the
/// environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    provider: Provider,
    bucket: String,
    prefix: ObjectPath,
}

impl BucketUrl {
    /// What lies below `prefix` in a bucket, which for Azure is a container. An empty prefix is all
    /// of it.
    ///
    /// # Errors
    /// [`UrlError`] if no bucket can have this name, or the prefix has an empty part.
    pub fn new(provider: Provider, bucket: &str, prefix: &str) -> Result<Self, UrlError> {
        let scheme = provider.scheme();
        if bucket.is_empty() {
            return Err(UrlError::NoBucket { scheme });
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !bucket.chars().all(plain) {
            return Err(UrlError::Bucket { scheme });
        }
        let prefix = ObjectPath::parse(prefix.trim_end_matches('/'));
        let prefix =
            prefix.map_err(|source| UrlError::Prefix { scheme, bucket: bucket.into(), source })?;
        Ok(Self { provider, bucket: bucket.into(), prefix })
    }

    /// Reads what follows the scheme and its colon: `//BUCKET` or `//BUCKET/PREFIX`.
    ///
    /// # Errors
    /// As [`BucketUrl::new`].
    pub fn parse(provider: Provider, rest: &str) -> Result<Self, UrlError> {
        let no_bucket = UrlError::NoBucket { scheme: provider.scheme() };
        let rest = rest.strip_prefix("//").ok_or(no_bucket)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Self::new(provider, bucket, prefix)
    }

    /// Who keeps the bucket.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The name of the bucket, or of the container.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The part of the bucket; empty for all of it.
    pub fn prefix(&self) -> &ObjectPath {
        &self.prefix
    }

    /// The part `name` of this.
    pub fn child(&self, name: &str) -> Self {
        Self { prefix: self.prefix.clone().join(name), ..self.clone() }
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.provider.scheme(), self.bucket)?;
        if !self.prefix.as_ref().is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

const ALLOWED: &str =
    "file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or memory:";

/// A text names no place for crate files. Shows nothing of it that could be a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Nothing, or something odd, stands in front of a colon.
    #[error("`{}` does not say what kind of place it is: use {ALLOWED}", Echo(text))]
    NoScheme {
        /// The text, if it has no colon.
        text: Box<str>,
    },
    /// It begins as no place for crate files does.
    #[error("`{}:` is not the scheme of a place for crate files: use {ALLOWED}", Echo(scheme))]
    Scheme {
        /// What stands in front of the colon.
        scheme: Box<str>,
    },
    /// `file:` alone.
    #[error("there is no path behind `file:`")]
    NoPath,
    /// `memory:` with something behind it.
    #[error("nothing may follow `memory:`")]
    Memory,
    /// A bucket is missing.
    #[error("there is no bucket in the URL: write {scheme}://BUCKET or {scheme}://BUCKET/PREFIX")]
    NoBucket {
        /// How the URL begins.
        scheme: &'static str,
    },
    /// No bucket has such a name.
    #[error(
        "the name of the bucket behind `{scheme}://` has other characters than letters, digits, \
         `-`, `_` and `.`: endpoint and credentials come from options or the environment"
    )]
    Bucket {
        /// How the URL begins.
        scheme: &'static str,
    },
    /// No key begins so.
    #[error("what follows `{scheme}://{bucket}/` cannot be a prefix: {source}")]
    Prefix {
        /// How the URL begins.
        scheme: &'static str,
        /// The bucket.
        bucket: Box<str>,
        /// What is wrong with it.
        source: object_store::path::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(provider: Provider, bucket: &str, prefix: &str) -> StorageUrl {
        let prefix = ObjectPath::from(prefix);
        StorageUrl::Bucket(BucketUrl { provider, bucket: bucket.into(), prefix })
    }

    #[test]
    fn a_url_names_its_place_and_reads_as_it_is_written() {
        for (text, expected, shown) in [
            ("file:crates", StorageUrl::Folder("crates".into()), "file:crates"),
            ("file:///var/crates", StorageUrl::Folder("/var/crates".into()), "file:/var/crates"),
            ("file://crates", StorageUrl::Folder("crates".into()), "file:crates"),
            ("memory:", StorageUrl::Memory, "memory:"),
            ("s3://b", bucket(Provider::S3, "b", ""), "s3://b"),
            ("gs://b.x/p/q/", bucket(Provider::Google, "b.x", "p/q"), "gs://b.x/p/q"),
            ("az://c/p", bucket(Provider::Azure, "c", "p"), "az://c/p"),
        ] {
            let url: StorageUrl = text.parse().unwrap();
            assert_eq!((&url, url.to_string().as_str()), (&expected, shown), "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_told_what_is_allowed_and_shows_no_password() {
        const ALL: &str = "use file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, \
                           az://CONTAINER/PREFIX or memory:";
        for (text, expected) in [
            ("./crates", format!("`./crates` does not say what kind of place it is: {ALL}")),
            ("", format!("`` does not say what kind of place it is: {ALL}")),
            ("u/p:x", format!("`…` does not say what kind of place it is: {ALL}")),
            (
                "postgres://u:p@h/d",
                format!("`postgres:` is not the scheme of a place for crate files: {ALL}"),
            ),
            ("file:", "there is no path behind `file:`".into()),
            ("file://", "there is no path behind `file:`".into()),
            ("memory:crates", "nothing may follow `memory:`".into()),
            (
                "s3:///p",
                "there is no bucket in the URL: write s3://BUCKET or s3://BUCKET/PREFIX".into(),
            ),
            (
                "gs:b",
                "there is no bucket in the URL: write gs://BUCKET or gs://BUCKET/PREFIX".into(),
            ),
            (
                "s3://key:secret@b/p",
                "the name of the bucket behind `s3://` has other characters than letters, digits, \
                 `-`, `_` and `.`: endpoint and credentials come from options or the environment"
                    .into(),
            ),
            (
                "s3://b/a//b",
                "what follows `s3://b/` cannot be a prefix: Path \"a//b\" contained empty path \
                 segment"
                    .into(),
            ),
        ] {
            let error = text.parse::<StorageUrl>().unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}

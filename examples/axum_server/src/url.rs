//! Where the registry is kept, as `--index` and `--storage` name it.

use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use object_store::path::Path as ObjectPath;
use registry_core::Echo;
use url::Url;

/// A URL as it was given. It may hold a password, so it is never printed: not by `Debug`, and not
/// by the parser of the command line, for which every text will do.
#[derive(Clone)]
pub(crate) struct UrlText(String);

impl FromStr for UrlText {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlText(…)")
    }
}

impl UrlText {
    /// Scheme and rest.
    fn split(&self, kind: Kind) -> Result<(&str, &str), UrlError> {
        let scheme = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        match self.0.split_once(':') {
            Some((name, rest)) if scheme(name) => Ok((name, rest)),
            // What is in front of a colon may be anything; without one there is no password.
            Some(_) => Err(UrlError::NoScheme { text: "…".into(), kind }),
            None => Err(UrlError::NoScheme { text: self.0.as_str().into(), kind }),
        }
    }
}

/// Where an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IndexUrl {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `file:DIR`
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX` and the like
    Bucket(BucketUrl),
    /// `postgres://USER@HOST/DATABASE`
    Postgres(PostgresUrl),
}

impl IndexUrl {
    pub(crate) fn parse(text: &UrlText) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split(Kind::Index)?;
        Ok(match scheme {
            "sqlite" => Self::Sqlite(path(scheme, rest)?),
            "file" => Self::Folder(path(scheme, rest)?),
            "postgres" | "postgresql" => Self::Postgres(PostgresUrl::parse(&text.0)?),
            _ => Self::Bucket(BucketUrl::parse(scheme, rest, Kind::Index)?),
        })
    }
}

impl fmt::Display for IndexUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Folder(path) => write!(f, "file:{}", path.display()),
            Self::Bucket(bucket) => bucket.fmt(f),
            Self::Postgres(database) => database.fmt(f),
        }
    }
}

/// Where crate files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorageUrl {
    /// `file:DIR`
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX` and the like
    Bucket(BucketUrl),
}

impl StorageUrl {
    pub(crate) fn parse(text: &UrlText) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split(Kind::Storage)?;
        Ok(match scheme {
            "file" => Self::Folder(path(scheme, rest)?),
            _ => Self::Bucket(BucketUrl::parse(scheme, rest, Kind::Storage)?),
        })
    }

    /// Where the crate files of an index are, if nothing is said of them.
    pub(crate) fn beside(index: &IndexUrl, data: &Path) -> Self {
        match index {
            IndexUrl::Bucket(bucket) => Self::Bucket(bucket.child("crates")),
            _ => Self::Folder(data.join("crates")),
        }
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file:{}", path.display()),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

/// A path, relative or absolute; a `//` in front of it means nothing.
fn path(scheme: &str, rest: &str) -> Result<PathBuf, UrlError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() {
        return Err(UrlError::NoPath { scheme: scheme.into() });
    }
    Ok(path.into())
}

/// Who keeps a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Amazon S3, and whatever speaks as it does.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// A bucket, or a part of one. Credentials are not in it: they come from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketUrl {
    pub(crate) provider: Provider,
    pub(crate) bucket: String,
    pub(crate) prefix: ObjectPath,
}

impl BucketUrl {
    fn parse(scheme: &str, rest: &str, kind: Kind) -> Result<Self, UrlError> {
        let provider = [Provider::S3, Provider::Google, Provider::Azure]
            .into_iter()
            .find(|provider| provider.scheme() == scheme)
            .ok_or_else(|| UrlError::Scheme { scheme: scheme.into(), kind })?;
        let scheme = provider.scheme();
        let rest = rest.strip_prefix("//").ok_or(UrlError::NoBucket { scheme })?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(UrlError::NoBucket { scheme });
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !bucket.chars().all(plain) {
            return Err(UrlError::Bucket { scheme });
        }
        let prefix = prefix.trim_end_matches('/');
        let prefix = ObjectPath::parse(prefix).map_err(|source| UrlError::Prefix {
            scheme,
            bucket: bucket.into(),
            source,
        })?;
        Ok(Self { provider, bucket: bucket.into(), prefix })
    }

    /// A part of this.
    fn child(&self, name: &str) -> Self {
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

/// A PostgreSQL database. Prints as user, host and database: options may be secrets, too, and so
/// may be whatever a URL holds that is not written as it should be.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl(Url);

impl PostgresUrl {
    fn parse(text: &str) -> Result<Self, UrlError> {
        Ok(Self(Url::parse(text).map_err(UrlError::Postgres)?))
    }

    /// The whole URL, to connect with.
    pub(crate) fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Without a host, and with a `/` in a password, a part of it is in the path.
        if url.set_password(None).is_err() || url.path().contains('@') {
            return write!(f, "{}:…", url.scheme());
        }
        url.fmt(f)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

/// What a URL is to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Index,
    Storage,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Index => "an index",
            Self::Storage => "a place for crate files",
        }
    }

    fn allowed(self) -> &'static str {
        match self {
            Self::Index => {
                "sqlite:PATH, file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, \
                 az://CONTAINER/PREFIX or postgres://USER@HOST/DATABASE"
            }
            Self::Storage => {
                "file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
            }
        }
    }
}

/// A text names no place to keep a registry in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("`{}` does not say what kind of place it is: use {}", Echo(text), kind.allowed())]
    NoScheme { text: Box<str>, kind: Kind },
    #[error("`{}:` is not the scheme of {}: use {}", Echo(scheme), kind.name(), kind.allowed())]
    Scheme { scheme: Box<str>, kind: Kind },
    #[error("there is no path behind `{scheme}:`")]
    NoPath { scheme: Box<str> },
    #[error("there is no bucket in the URL: write {scheme}://BUCKET or {scheme}://BUCKET/PREFIX")]
    NoBucket { scheme: &'static str },
    #[error(
        "the name of the bucket behind `{scheme}://` has other characters than letters, digits, \
         `-`, `_` and `.`: endpoint and credentials come from environment variables"
    )]
    Bucket { scheme: &'static str },
    #[error("what follows `{scheme}://{bucket}/` cannot be a prefix: {source}")]
    Prefix { scheme: &'static str, bucket: Box<str>, source: object_store::path::Error },
    #[error("the URL of the PostgreSQL database cannot be read: {0}")]
    Postgres(url::ParseError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Result<IndexUrl, UrlError> {
        IndexUrl::parse(&text.parse().unwrap())
    }

    fn storage(text: &str) -> Result<StorageUrl, UrlError> {
        StorageUrl::parse(&text.parse().unwrap())
    }

    fn bucket(provider: Provider, bucket: &str, prefix: &str) -> BucketUrl {
        BucketUrl { provider, bucket: bucket.into(), prefix: ObjectPath::from(prefix) }
    }

    #[test]
    fn a_url_names_its_place() {
        for (text, expected) in [
            ("sqlite:index.sqlite", IndexUrl::Sqlite("index.sqlite".into())),
            ("sqlite:///var/index.sqlite", IndexUrl::Sqlite("/var/index.sqlite".into())),
            ("file:/var/index", IndexUrl::Folder("/var/index".into())),
            ("file://index", IndexUrl::Folder("index".into())),
            ("s3://b", IndexUrl::Bucket(bucket(Provider::S3, "b", ""))),
            ("gs://b.x/p/q/", IndexUrl::Bucket(bucket(Provider::Google, "b.x", "p/q"))),
            ("az://c/p", IndexUrl::Bucket(bucket(Provider::Azure, "c", "p"))),
        ] {
            assert_eq!(index(text).unwrap(), expected, "{text}");
        }
        assert_eq!(storage("file:crates").unwrap(), StorageUrl::Folder("crates".into()));
        let place = bucket(Provider::S3, "b", "crates");
        assert_eq!(storage("s3://b/crates").unwrap(), StorageUrl::Bucket(place));
    }

    #[test]
    fn crate_files_are_beside_their_index() {
        let data = Path::new("data");
        for (text, expected) in [
            ("sqlite:x", "file:data/crates"),
            ("file:x", "file:data/crates"),
            ("postgres://h/d", "file:data/crates"),
            ("s3://b", "s3://b/crates"),
            ("gs://b/p", "gs://b/p/crates"),
        ] {
            let beside = StorageUrl::beside(&index(text).unwrap(), data);
            assert_eq!(beside.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_told_what_is_allowed() {
        const INDEX: &str = "sqlite:PATH, file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, \
                             az://CONTAINER/PREFIX or postgres://USER@HOST/DATABASE";
        for (text, expected) in [
            (
                "./registry",
                format!("`./registry` does not say what kind of place it is: use {INDEX}"),
            ),
            ("", format!("`` does not say what kind of place it is: use {INDEX}")),
            ("mysql://u:p@h/d", format!("`mysql:` is not the scheme of an index: use {INDEX}")),
            ("u/p:x", format!("`…` does not say what kind of place it is: use {INDEX}")),
            ("sqlite:", "there is no path behind `sqlite:`".into()),
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
                 `-`, `_` and `.`: endpoint and credentials come from environment variables"
                    .into(),
            ),
        ] {
            assert_eq!(index(text).unwrap_err().to_string(), expected, "{text}");
        }
        assert_eq!(
            storage("postgres://u:p@h/d").unwrap_err().to_string(),
            "`postgres:` is not the scheme of a place for crate files: use file:DIR, \
             s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
        );
        let error = index("s3://b/a//b").unwrap_err().to_string();
        assert!(error.starts_with("what follows `s3://b/` cannot be a prefix: "), "{error}");
    }

    #[test]
    fn no_password_is_printed() {
        let text: UrlText =
            "postgres://u:secret@h:5432/d?password=secret&sslmode=require".parse().unwrap();
        assert_eq!(format!("{text:?}"), "UrlText(…)");
        let url = IndexUrl::parse(&text).unwrap();
        assert_eq!(url.to_string(), "postgres://u@h:5432/d");
        assert_eq!(format!("{url:?}"), "Postgres(PostgresUrl(postgres://u@h:5432/d))");
        let IndexUrl::Postgres(url) = url else { panic!("{url}") };
        assert_eq!(url.expose(), text.0);
        for text in [
            "postgres:u:secret@h/d",
            "postgres:/u:secret@h/d",
            "postgres:///u:secret@h/d",
            "postgres://u:5/secret@h/d",
            "postgres://u:5/%40secret@h/d",
        ] {
            assert_eq!(index(text).unwrap().to_string(), "postgres:…", "{text}");
        }
        let error = index("postgres://u:secret@h:port/d").unwrap_err().to_string();
        assert_eq!(error, "the URL of the PostgreSQL database cannot be read: invalid port number");
    }
}

//! Where the registry is kept, as `--index` and `--storage` name it.

use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use registry_core::Echo;
use registry_storage::{BucketUrl, Provider, StorageUrl};
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
    /// The whole text, to read it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Scheme and rest.
    fn split(&self) -> Result<(&str, &str), UrlError> {
        let scheme = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        match self.0.split_once(':') {
            Some((name, rest)) if scheme(name) => Ok((name, rest)),
            // What is in front of a colon may be anything; without one there is no password.
            Some(_) => Err(UrlError::NoScheme { text: "…".into() }),
            None => Err(UrlError::NoScheme { text: self.0.as_str().into() }),
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
        let (scheme, rest) = text.split()?;
        Ok(match scheme {
            "sqlite" => Self::Sqlite(path(scheme, rest)?),
            "file" => Self::Folder(path(scheme, rest)?),
            "postgres" | "postgresql" => Self::Postgres(PostgresUrl::parse(&text.0)?),
            _ => match Provider::of_scheme(scheme) {
                Some(provider) => Self::Bucket(BucketUrl::parse(provider, rest)?),
                None => return Err(UrlError::Scheme { scheme: scheme.into() }),
            },
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

/// Where the crate files of an index are, if nothing is said of them.
pub(crate) fn storage_beside(index: &IndexUrl, data: &Path) -> StorageUrl {
    match index {
        IndexUrl::Bucket(bucket) => StorageUrl::Bucket(bucket.child("crates")),
        _ => StorageUrl::Folder(data.join("crates")),
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

const ALLOWED: &str = "sqlite:PATH, file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, \
                       az://CONTAINER/PREFIX or postgres://USER@HOST/DATABASE";

/// A text names no place to keep an index in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("`{}` does not say what kind of place it is: use {ALLOWED}", Echo(text))]
    NoScheme { text: Box<str> },
    #[error("`{}:` is not the scheme of an index: use {ALLOWED}", Echo(scheme))]
    Scheme { scheme: Box<str> },
    #[error("there is no path behind `{scheme}:`")]
    NoPath { scheme: Box<str> },
    #[error(transparent)]
    Bucket(#[from] registry_storage::UrlError),
    #[error("the URL of the PostgreSQL database cannot be read: {0}")]
    Postgres(url::ParseError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Result<IndexUrl, UrlError> {
        IndexUrl::parse(&text.parse().unwrap())
    }

    fn bucket(provider: Provider, bucket: &str, prefix: &str) -> BucketUrl {
        BucketUrl::new(provider, bucket, prefix).unwrap()
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
            let beside = storage_beside(&index(text).unwrap(), data);
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
                 `-`, `_` and `.`: endpoint and credentials come from options or the environment"
                    .into(),
            ),
        ] {
            assert_eq!(index(text).unwrap_err().to_string(), expected, "{text}");
        }
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

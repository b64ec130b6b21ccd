use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, UpdateVersion,
    path::Path,
};
use registry_core::{
    BoxError,
    index::{Lookup, Revision},
};

/// An object store as a place of values that are replaced if they are unchanged.
#[derive(Clone)]
pub(super) struct Bucket(pub(super) Arc<dyn ObjectStore>);

impl Bucket {
    /// The value at `path` with its revision; [`Lookup::Unchanged`] if that is `known`.
    pub(super) async fn read(
        &self,
        path: &Path,
        known: Option<&Revision>,
    ) -> Result<Lookup<(Bytes, Revision)>, Error> {
        let e_tag = known.and_then(|known| version_of(known).e_tag);
        let options = GetOptions { if_none_match: e_tag, ..GetOptions::default() };
        let found = match self.0.get_opts(path, options).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(Lookup::Absent),
            Err(Error::NotModified { .. }) => return Ok(Lookup::Unchanged),
            Err(error) => return Err(error),
        };
        let revision = revision_of(found.meta.e_tag.clone(), found.meta.version.clone());
        if Some(&revision) == known {
            return Ok(Lookup::Unchanged);
        }
        Ok(Lookup::Found((found.bytes().await?, revision)))
    }

    /// Replaces the value at `path`, if its revision is still `expected`; with `None`, creates it
    /// if there is none. No two writes to one path may be of the same bytes, unless it makes no
    /// difference whose they are.
    pub(super) async fn replace(
        &self,
        path: &Path,
        expected: Option<&Revision>,
        value: Bytes,
    ) -> Result<Revision, ReplaceError> {
        let mode = expected.map_or(PutMode::Create, |r| PutMode::Update(version_of(r)));
        let put = self.0.put_opts(path, value.clone().into(), PutOptions::from(mode)).await;
        let error = match put {
            Ok(put) => return Ok(revision_of(put.e_tag, put.version)),
            Err(error) => error,
        };
        let certain = !was_repeated(&error);
        let refusal = Refusal::of(&error, expected);
        if certain && matches!(refusal, Some(Refusal::OfAnyWrite)) {
            return Err(ReplaceError::Failed(error));
        }
        // A store that has taken the value, and whose answer got lost or said 500, refuses the same
        // write when the client repeats it. So nothing is believed before it is looked at.
        match self.read(path, None).await {
            Ok(Lookup::Found((found, revision))) if found == value => Ok(revision),
            Ok(_) if certain && matches!(refusal, Some(Refusal::OfThisState)) => {
                Err(ReplaceError::Conflict)
            }
            // Where the old value still is, a write that is under way may land after this look.
            // Where another one is, it may be built on ours: which only its reader can tell.
            _ => Err(ReplaceError::Unknown(error)),
        }
    }

    /// Writes a value, whatever is there.
    pub(super) async fn write(&self, path: &Path, value: Bytes) -> Result<(), Error> {
        self.0.put(path, value.into()).await.map(drop)
    }

    /// Removes what is at `path`, if anything is.
    pub(super) async fn remove(&self, path: &Path) -> Result<(), Error> {
        match self.0.delete(path).await {
            Err(Error::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    /// The names in `folder` behind `after`, in the order of their bytes. Objects in folders
    /// below are passed over.
    ///
    /// The interface promises no order; S3, GCS and Azure list keys in ascending order, and a
    /// listing that does not would pass over names: it ends in an error where that shows.
    pub(super) fn list(
        &self,
        folder: &Path,
        after: Option<&str>,
    ) -> BoxStream<'static, Result<String, BoxError>> {
        let objects = match after {
            Some(after) => self.0.list_with_offset(Some(folder), &folder.clone().join(after)),
            None => self.0.list(Some(folder)),
        };
        let folder = folder.clone();
        let mut last = after.map(|after| folder.clone().join(after));
        let in_order = objects.map(move |object| {
            let location = object?.location;
            if last.as_ref().is_some_and(|last| *last >= location) {
                return Err(BoxError::from(Unordered { path: location.to_string() }));
            }
            last = Some(location.clone());
            Ok(location)
        });
        in_order
            .try_filter_map(move |location| {
                let mut parts = location.prefix_match(&folder).into_iter().flatten();
                let name = parts.next().filter(|_| parts.next().is_none());
                let name = name.map(|name| name.as_ref().to_owned());
                std::future::ready(Ok(name))
            })
            .boxed()
    }
}

/// The name of the store: what it prints of itself may hold more than is good for a log.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.0)
    }
}

/// Why a value was not replaced, as far as is known.
#[derive(Debug)]
pub(super) enum ReplaceError {
    /// The revision is another one, or another write is under way; nothing was written.
    Conflict,
    /// It may have been written, or be written yet.
    Unknown(Error),
    /// Nothing was written, and nothing will be.
    Failed(Error),
}

/// An answer that says for certain that the request it is about has written nothing.
enum Refusal {
    /// Because of the revision.
    OfThisState,
    /// Because of anything else.
    OfAnyWrite,
}

impl Refusal {
    fn of(error: &Error, expected: Option<&Revision>) -> Option<Self> {
        match error {
            // S3 says 409 also of a write that merely met another one; that, too, is to be
            // decided again.
            Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. } => Some(Self::OfThisState),
            // What is to be replaced is not there; without a condition, the bucket is not.
            Error::NotFound { .. } if expected.is_some() => Some(Self::OfThisState),
            Error::NotFound { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotImplemented { .. }
            | Error::NotSupported { .. } => Some(Self::OfAnyWrite),
            _ => None,
        }
    }
}

/// Whether an object is not there, in a bucket that is.
///
/// A bucket that is gone has to be an error, and no answer about a crate or a token. The client takes
/// both for one; of what the store says besides it gives the text alone.
fn is_absent(error: &Error) -> bool {
    // S3 and GCS, Azure.
    const GONE: [&str; 2] = ["<Code>NoSuchBucket</Code>", "<Code>ContainerNotFound</Code>"];
    let Error::NotFound { source, .. } = error else { return false };
    let said = source.to_string();
    !GONE.iter().any(|code| said.contains(code))
}

/// Whether the client has sent the request more than once, so that the answer is about the last
/// time alone. It repeats after a 5xx, and where the connection ended without an answer: both may
/// come after the effect. It says so in words only; should they be misread, a refusal counts for
/// less than it could.
fn was_repeated(error: &Error) -> bool {
    error.to_string().contains(" retries")
}

/// Between the parts of a revision; in no header.
const SEPARATOR: char = '\n';

fn revision_of(e_tag: Option<String>, version: Option<String>) -> Revision {
    let (e_tag, version) = (e_tag.unwrap_or_default(), version.unwrap_or_default());
    Revision::from(format!("{e_tag}{SEPARATOR}{version}"))
}

fn version_of(revision: &Revision) -> UpdateVersion {
    let part = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    let (e_tag, version) =
        revision.as_str().split_once(SEPARATOR).unwrap_or((revision.as_str(), ""));
    UpdateVersion { e_tag: part(e_tag), version: part(version) }
}

/// A listing that cannot be paged through.
#[derive(Debug, thiserror::Error)]
#[error("the object store does not list keys in ascending order: `{path}` comes late")]
pub(super) struct Unordered {
    path: String,
}

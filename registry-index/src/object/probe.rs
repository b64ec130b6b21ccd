use std::fmt;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{Error, path::Path};
use registry_core::{
    BoxError,
    index::{Lookup, Revision},
};

use super::bucket::{Bucket, ReplaceError, Unordered};

/// Tries out whether a store keeps the promises that an index is built on, with scratch objects
/// that are removed again.
pub(super) async fn check(bucket: &Bucket) -> Result<(), ObjectOpenError> {
    let failed = |source| ObjectOpenError::Failed { store: bucket.0.to_string(), source };
    // A folder of one's own: several processes may start at once.
    let id = getrandom::u64().map_err(|error| failed(error.into()))?;
    let folder = Path::from_iter(["probe", &format!("{id:016x}")]);
    let probe = Probe { bucket, folder };
    let flaws = probe.flaws().await;
    let removed = probe.remove().await;
    match (flaws.map_err(failed)?, removed) {
        (flaws, _) if !flaws.is_empty() => {
            Err(ObjectOpenError::Unfit { store: bucket.0.to_string(), flaws })
        }
        (_, removed) => removed.map_err(|error| failed(error.into())),
    }
}

/// In the order in which a listing has to give them.
const NAMES: [&str; 5] = ["a", "a1", "a_", "aa", "b"];
const ABSENT: &str = "c";

struct Probe<'a> {
    bucket: &'a Bucket,
    folder: Path,
}

/// What became of a conditional write.
enum Outcome {
    Written(Revision),
    Refused,
    Unsupported,
}

impl Probe<'_> {
    async fn flaws(&self) -> Result<Vec<Flaw>, BoxError> {
        let mut flaws = Vec::new();
        let mut first = None;
        // Not in their order, which a listing may not owe to that of the writes; `a` last.
        for name in ["aa", "b", "a_", "a1", "a"] {
            match self.replace(name, None, "1").await? {
                Outcome::Written(revision) => first = Some(revision),
                Outcome::Refused => return Ok(vec![Flaw::RefusesCreate]),
                Outcome::Unsupported => return Ok(vec![Flaw::NoConditions]),
            }
        }
        // At once after the last of the writes: what is late is seen to be.
        flaws.extend(self.listing_flaw().await?);
        if let Outcome::Written(_) = self.replace("b", None, "2").await? {
            flaws.push(Flaw::IgnoresIfAbsent);
        }
        match self.replace("a", first.as_ref(), "2").await? {
            Outcome::Written(_) => {
                match self.bucket.read(&self.path("a"), None).await? {
                    Lookup::Found((found, _)) if found == self.value("a", "2") => {}
                    _ => flaws.push(Flaw::StaleRead),
                }
                if let Outcome::Written(_) = self.replace("a", first.as_ref(), "3").await? {
                    flaws.push(Flaw::IgnoresIfUnchanged);
                }
            }
            Outcome::Refused => flaws.push(Flaw::RefusesUpdate),
            Outcome::Unsupported => return Ok(vec![Flaw::NoConditions]),
        }
        if let Outcome::Written(_) = self.replace(ABSENT, first.as_ref(), "1").await? {
            flaws.push(Flaw::UpdatesAbsent);
        }
        Ok(flaws)
    }

    async fn listing_flaw(&self) -> Result<Option<Flaw>, BoxError> {
        // Behind a name that is not there, and then to the end.
        for (after, expected) in [(None, &NAMES[..]), (Some("a0"), &NAMES[1..])] {
            let listed = self.bucket.list(&self.folder, after).try_collect::<Vec<_>>().await;
            let listed = match listed {
                Err(error) if error.is::<Unordered>() => return Ok(Some(Flaw::Unordered)),
                listed => listed?,
            };
            if listed != expected {
                return Ok(Some(Flaw::StaleListing));
            }
        }
        Ok(None)
    }

    async fn replace(
        &self,
        name: &str,
        expected: Option<&Revision>,
        text: &str,
    ) -> Result<Outcome, BoxError> {
        let value = self.value(name, text);
        match self.bucket.replace(&self.path(name), expected, value).await {
            Ok(revision) => Ok(Outcome::Written(revision)),
            Err(ReplaceError::Conflict) => Ok(Outcome::Refused),
            Err(ReplaceError::Failed(
                Error::NotImplemented { .. } | Error::NotSupported { .. },
            )) => Ok(Outcome::Unsupported),
            Err(ReplaceError::Failed(error) | ReplaceError::Unknown(error)) => Err(error.into()),
        }
    }

    /// No two writes of one name are of the same bytes.
    fn value(&self, name: &str, text: &str) -> Bytes {
        format!("{} {text}\n", self.path(name)).into()
    }

    fn path(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }

    async fn remove(&self) -> Result<(), Error> {
        for name in NAMES.iter().chain([&ABSENT]) {
            self.bucket.remove(&self.path(name)).await?;
        }
        Ok(())
    }
}

/// Why an object store was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectOpenError {
    /// An index in this store would lose writes, or could not be written at all.
    #[error("{store} cannot keep an index: {}", Listed(flaws))]
    Unfit {
        /// What the store calls itself.
        store: String,
        /// What is wrong with it.
        flaws: Vec<Flaw>,
    },
    /// The store could not be tried out.
    #[error("{store} cannot be read and written")]
    Failed {
        /// What the store calls itself.
        store: String,
        /// What it said.
        #[source]
        source: BoxError,
    },
}

/// What an object store does that an index cannot live with. Printed, it says what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// It says itself that it has no conditional writes.
    NoConditions,
    /// It refuses to create an object where there is none.
    RefusesCreate,
    /// It replaces an object that was only to be created.
    IgnoresIfAbsent,
    /// It replaces an object that has changed.
    IgnoresIfUnchanged,
    /// It creates an object that was only to be replaced.
    UpdatesAbsent,
    /// It refuses to replace an object that has not changed.
    RefusesUpdate,
    /// A read does not show the write before it.
    StaleRead,
    /// A listing does not show the writes before it, or shows others than were asked for.
    StaleListing,
    /// A listing is not in the order of the keys.
    Unordered,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConditions => {
                "it has no conditional writes, or they are switched off; a folder is kept by the \
                 `fs` backend"
            }
            Self::RefusesCreate => {
                "it refuses to create an object that is not there (`If-None-Match: *`); use a \
                 store, or a version of this one, that has conditional writes"
            }
            Self::IgnoresIfAbsent => {
                "it replaces an object that was only to be created (it ignores `If-None-Match: *`), \
                 so that a crate could be taken twice; use a store, or a version of this one, that \
                 heeds it"
            }
            Self::IgnoresIfUnchanged => {
                "it replaces an object that has changed (it ignores `If-Match`), so that releases \
                 would be lost; use a store, or a version of this one, that heeds it"
            }
            Self::UpdatesAbsent => {
                "it creates an object that was only to be replaced (it ignores `If-Match` where \
                 nothing is), so that what was removed could return; use a store, or a version of \
                 this one, that heeds it"
            }
            Self::RefusesUpdate => {
                "it refuses to replace an object that has not changed (`If-Match` with the ETag \
                 that it gave itself), so that no crate could have a second release; use a store, \
                 or a version of this one, that takes its own ETags"
            }
            Self::StaleRead => {
                "a read does not show the write before it; turn off the cache in front of it"
            }
            Self::StaleListing => {
                "a listing does not show the writes before it; use a store whose listings are \
                 consistent"
            }
            Self::Unordered => {
                "a listing is not in the order of the keys (as with S3 directory buckets); use a \
                 general purpose bucket"
            }
        })
    }
}

struct Listed<'a>(&'a [Flaw]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(number, flaw)| {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{flaw}")
        })
    }
}

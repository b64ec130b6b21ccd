use std::num::NonZeroUsize;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use registry_core::{
    CanonicalName, IndexError, RecordStore,
    index::{Lookup, Revision},
};

use super::{
    bucket::{Bucket, ReplaceError},
    failed,
};

/// Names are canonical, so no two of them fall together in any store, and the order of the keys is
/// that of the names.
const FOLDER: &str = "records";

/// Written and read by `ready`.
const READY: &str = "probe/ready";

/// One object per crate, of its canonical name.
#[derive(Clone, Debug)]
pub(super) struct ObjectRecords(Bucket);

impl ObjectRecords {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }

    /// As [`RecordStore::get`], but answered [`Lookup::Unchanged`] without the bytes, if the
    /// revision is `known`.
    pub(super) async fn read(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<(Bytes, Revision)>, IndexError> {
        self.0.read(&path_of(name), known).await.map_err(|error| failed(error.into()))
    }
}

fn path_of(name: &CanonicalName) -> Path {
    Path::from_iter([FOLDER, name.as_str()])
}

#[async_trait]
impl RecordStore for ObjectRecords {
    async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
        Ok(self.read(name, None).await?.found())
    }

    async fn put(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        record: Bytes,
    ) -> Result<Revision, IndexError> {
        self.0.replace(&path_of(name), expected, record).await.map_err(|error| match error {
            ReplaceError::Conflict => IndexError::Conflict { name: name.clone() },
            ReplaceError::Unknown(source) => {
                IndexError::OutcomeUnknown { name: name.clone(), source: source.into() }
            }
            ReplaceError::Failed(source) => failed(source.into()),
        })
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let keys = self.0.list(&Path::from(FOLDER), after.map(CanonicalName::as_str));
        // What is not the name of a crate, in its canonical form, somebody else has put there.
        let names = keys.try_filter_map(|key| {
            let name = CanonicalName::new(&key).ok().filter(|name| name.as_str() == key);
            std::future::ready(Ok(name))
        });
        names.take(limit.get()).try_collect().await.map_err(failed)
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let path = Path::from(READY);
        let check = async {
            self.0.write(&path, Bytes::from_static(b"ready\n")).await?;
            self.0.read(&path, None).await
        };
        match check.await {
            Ok(Lookup::Found(_)) => Ok(()),
            Ok(_) => Err(failed(format!("`{READY}` is not there after it was written").into())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

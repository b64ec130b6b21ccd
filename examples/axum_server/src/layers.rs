//! What is put around the place of the crate files: a second place, and a cache on a disk nearby.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use registry_core::{CrateStore, telemetry::cache_meter};
use registry_storage::{
    StorageUrl,
    layer::{CacheError, CachedCrateStore, MirroredCrateStore, ObservedCrateStore},
};

use crate::{
    backends::{open_storage, same_storage, storage_options, storage_url},
    cli::{IndexArgs, StorageArgs},
    error::{Error, causes},
    size::Size,
    url::UrlText,
};

#[derive(Debug, Args)]
pub(crate) struct MirrorArgs {
    /// A second place for every crate file, which is read from while --storage fails.
    ///
    /// A publish succeeds when both have its file: while one of them is out, only reads go on. Fill a
    /// new one, or one that was out, by `storage migrate`. The commands that look after crate files
    /// are for one place: name each by its --storage.
    #[arg(long, value_name = "URL")]
    #[arg(env = "REGISTRY_STORAGE_MIRROR", hide_env_values = true)]
    storage_mirror: Option<UrlText>,
    /// A setting of the bucket that --storage-mirror names, as --storage-option is of --storage.
    #[arg(long = "storage-mirror-option", value_name = "KEY=VALUE", requires = "storage_mirror")]
    #[arg(env = "REGISTRY_STORAGE_MIRROR_OPTIONS", hide_env_values = true)]
    storage_mirror_options: Vec<UrlText>,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// Folder for a cache of crate files; for a --storage that is far away or paid for by the read.
    ///
    /// Made if it is not there. Each server needs one of its own. It may be lost at any time.
    #[arg(long, value_name = "DIR", env = "REGISTRY_STORAGE_CACHE")]
    storage_cache: Option<PathBuf>,
    /// The most that the cache takes of its disk, as in 500M or 10G.
    #[arg(long, value_name = "SIZE", env = "REGISTRY_STORAGE_CACHE_SIZE", default_value = "10G")]
    storage_cache_size: Size,
}

impl MirrorArgs {
    /// Says what is wrong with the flags, before anything is made.
    pub(crate) fn check(&self, storage: &StorageArgs, index: &IndexArgs) -> Result<(), Error> {
        if let Some(url) = &self.storage_mirror {
            let mirror = storage_url("--storage-mirror", url)?;
            if same_storage(&mirror, &storage.url(index)?) {
                return Err(Error::MirrorOfItself { place: mirror.to_string() });
            }
        }
        storage_options("--storage-mirror-option", &self.storage_mirror_options).map(drop)
    }

    /// Opens the mirror of a store, if there is to be one.
    pub(crate) fn around(&self, first: impl CrateStore) -> Result<Arc<dyn CrateStore>, Error> {
        let Some(url) = &self.storage_mirror else { return Ok(Arc::new(first)) };
        let options = storage_options("--storage-mirror-option", &self.storage_mirror_options)?;
        let second = open_storage(&storage_url("--storage-mirror", url)?, &options)?;
        Ok(Arc::new(MirroredCrateStore::new(first, ObservedCrateStore::new(second, "mirror"))))
    }
}

impl CacheArgs {
    /// Says what is wrong with the flags, before anything is made.
    pub(crate) fn check(&self, storage: &StorageUrl) -> Result<(), Error> {
        match &self.storage_cache {
            Some(folder) if same_storage(&StorageUrl::Folder(folder.clone()), storage) => {
                Err(Error::CacheOfItself { place: storage.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Puts the cache in front of a store, if there is to be one.
    pub(crate) fn around(&self, crates: Arc<dyn CrateStore>) -> Result<Arc<dyn CrateStore>, Error> {
        let Some(folder) = &self.storage_cache else { return Ok(crates) };
        let cached = CachedCrateStore::open(crates, folder, self.storage_cache_size.bytes, warn);
        let cannot = |error| Error::Cache { folder: folder.clone(), source: Box::new(error) };
        Ok(Arc::new(cached.map_err(cannot)?.with_meter(cache_meter("crates"))))
    }
}

fn warn(error: &CacheError) {
    tracing::warn!(error = causes(error), "the cache is passed by");
}

//! What is put around the place of the crate files: a second place, and a cache on a disk nearby.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use registry_core::CrateStore;
use registry_storage::{
    StorageUrl,
    layer::{CacheError, CachedCrateStore, MirroredCrateStore},
};

use crate::{
    backends::{open_storage, same_storage, storage_options, storage_url},
    cli::{IndexArgs, StorageArgs},
    error::{Error, causes},
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
    /// The most that the cache takes of its disk, such as 500M or 10G.
    #[arg(long, value_name = "BYTES", default_value = "10G")]
    #[arg(env = "REGISTRY_STORAGE_CACHE_SIZE", value_parser = bytes)]
    storage_cache_size: u64,
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
        Ok(Arc::new(MirroredCrateStore::new(first, second)))
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
        let cached = CachedCrateStore::open(crates, folder, self.storage_cache_size, warn);
        let cannot = |error| Error::Cache { folder: folder.clone(), source: Box::new(error) };
        Ok(Arc::new(cached.map_err(cannot)?))
    }
}

fn warn(error: &CacheError) {
    tracing::warn!(error = causes(error), "the cache is passed by");
}

/// Reads a number of bytes, which may end with K, M, G or T for powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, power) = match text.strip_suffix(['K', 'M', 'G', 'T']) {
        Some(digits) => (digits, "KMGT".find(&text[digits.len()..]).map_or(0, |at| at as u32 + 1)),
        None => (text, 0),
    };
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
    let bytes = number.flatten().and_then(|number: u64| number.checked_mul(1024_u64.pow(power)));
    bytes.ok_or_else(|| "a number of bytes, or one with K, M, G or T behind it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_its_unit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("1K", Some(1024)),
            ("500M", Some(500 << 20)),
            ("10G", Some(10 << 30)),
            ("16777215T", Some(16_777_215 << 40)),
            ("16777216T", None),
            ("18446744073709551616", None),
            ("", None),
            ("G", None),
            ("10g", None),
            ("10GB", None),
            ("1.5G", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text:?}");
        }
    }
}

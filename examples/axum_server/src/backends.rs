//! The backends that the command line chooses: where index, tokens and crate files are.

use std::{
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use registry_core::{
    Index, RegistryName,
    audit::AuditLog,
    auth::{
        AccountStore, ApprovedNames, SingleUse, TokenKey, TokenTransfer,
        trusted::TrustedPublisherStore,
    },
    registries::RegistryStore,
    search::{NameSearch, Search},
    store::SpoolFolder,
    telemetry::cache_meter,
};
use registry_index::{
    fs::{Difference, FolderIndex},
    layer::{CachedIndex, ObservedIndex},
    object::{ObjectIndex, ObjectOpenError, ObjectTokens},
    postgres::{Listener, PostgresDatabase},
    sqlite::{SqliteDatabase, SqliteOpenError},
};
use registry_storage::{Bucket, ObjectCrateStore, OpenError, StorageOptions, StorageUrl};

use crate::{
    cli::{IndexArgs, RegistryArgs, StorageArgs},
    error::{Error, causes},
    routes::REGISTRY,
    url::{IndexUrl, UrlText, storage_beside},
};

/// The database in the data folder: the index, unless it is said to be elsewhere, and its tokens.
const DATABASE: &str = "index.sqlite";

/// What a server keeps of the index of `main` in memory: every index file fits, even the longest.
pub(crate) const CACHE_BYTES: u64 = 64 << 20;

impl IndexArgs {
    /// Where the index is.
    pub(crate) fn url(&self) -> Result<IndexUrl, Error> {
        match &self.index {
            Some(text) => {
                IndexUrl::parse(text).map_err(|source| Error::Url { flag: "--index", source })
            }
            None => Ok(IndexUrl::Sqlite(self.data.folder.join(DATABASE))),
        }
    }

    /// Whether there is something already; unknown of what is not on this machine.
    pub(crate) fn is_there(&self) -> Result<Option<bool>, Error> {
        Ok(match self.url()? {
            IndexUrl::Sqlite(path) => Some(path.exists()),
            IndexUrl::Folder(_) => Some(self.data.folder.join(DATABASE).exists()),
            IndexUrl::Bucket(_) | IndexUrl::Postgres(_) => None,
        })
    }

    /// Opens the index, with its tokens; makes what is on this machine if it is not there, so that
    /// nobody else on it looks in.
    pub(crate) async fn open(&self) -> Result<OpenIndex, Error> {
        open_index(&self.url()?, &self.data.folder).await
    }

    /// Opens the index; one that is not there, as by a slip in the path, is not made.
    pub(crate) async fn open_there(&self) -> Result<OpenIndex, Error> {
        self.url()?.must_be_there()?;
        self.open().await
    }

    /// Opens the index, and says so if it makes a new one: that may be on purpose, before the first
    /// start of a server, or by a slip in the path.
    pub(crate) async fn open_or_make(&self) -> Result<OpenIndex, Error> {
        if self.is_there()? == Some(false) {
            let place = self.url()?;
            // Nobody may be listening, which is no reason to make none.
            let _ = writeln!(std::io::stderr(), "no registry at `{place}`: a new one is made");
        }
        self.open().await
    }

    /// Opens the indexes of all registries over the same crate files, each of all in its database; one
    /// that is not there is not
    /// made, for it would name none of them.
    pub(crate) async fn open_all(&self, also: &[UrlText]) -> Result<Vec<Arc<dyn Index>>, Error> {
        let mut urls = vec![self.url()?];
        for text in also {
            let flag = "--also-index";
            urls.push(IndexUrl::parse(text).map_err(|source| Error::Url { flag, source })?);
        }
        let mut indexes = Vec::new();
        for url in &urls {
            url.must_be_there()?;
            indexes.extend(open_index(url, &self.data.folder).await?.all().await?);
        }
        Ok(indexes)
    }
}

impl RegistryArgs {
    pub(crate) fn url(&self) -> Result<IndexUrl, Error> {
        self.index.url()
    }

    pub(crate) fn is_there(&self) -> Result<Option<bool>, Error> {
        self.index.is_there()
    }

    /// As [`IndexArgs::open`].
    pub(crate) async fn open(&self) -> Result<OpenIndex, Error> {
        self.index.open().await?.registry(&self.registry).await
    }

    /// As [`IndexArgs::open_there`].
    pub(crate) async fn open_there(&self) -> Result<OpenIndex, Error> {
        self.index.open_there().await?.registry(&self.registry).await
    }
}

impl IndexUrl {
    /// Fails if there is nothing to read: opening would make a new one, of a slip in a path.
    pub(crate) fn must_be_there(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(path) if path.exists() => Ok(()),
            Self::Folder(path) if path.join(".records").exists() => Ok(()),
            Self::Sqlite(_) | Self::Folder(_) => Err(Error::NotThere { place: self.to_string() }),
            Self::Bucket(_) | Self::Postgres(_) => Ok(()),
        }
    }
}

/// Whether two URLs lead to one index, as far as they tell.
pub(crate) fn same_place(one: &IndexUrl, other: &IndexUrl) -> bool {
    let resolved = |url: &IndexUrl| match url {
        IndexUrl::Sqlite(path) | IndexUrl::Folder(path) => path.canonicalize().ok(),
        IndexUrl::Bucket(_) | IndexUrl::Postgres(_) => None,
    };
    one == other || resolved(one).is_some_and(|path| Some(path) == resolved(other))
}

impl StorageArgs {
    /// Where the crate files that belong to `index` are.
    pub(crate) fn url(&self, index: &IndexArgs) -> Result<StorageUrl, Error> {
        match &self.storage {
            Some(text) => storage_url("--storage", text),
            None => Ok(storage_beside(&index.url()?, &index.data.folder)),
        }
    }

    /// What is said of that place besides.
    pub(crate) fn options(&self) -> Result<StorageOptions, Error> {
        storage_options("--storage-option", &self.storage_options)
    }

    /// Opens the crate files that belong to `index`.
    pub(crate) fn open(&self, index: &IndexArgs) -> Result<ObjectCrateStore, Error> {
        open_storage(&self.url(index)?, &self.options()?)
    }
}

/// The place that a flag names.
pub(crate) fn storage_url(flag: &'static str, text: &UrlText) -> Result<StorageUrl, Error> {
    text.expose().parse().map_err(|source| Error::StorageUrl { flag, source })
}

/// The settings that the uses of a flag give.
pub(crate) fn storage_options(
    flag: &'static str,
    texts: &[UrlText],
) -> Result<StorageOptions, Error> {
    let options = texts.iter().map(|text| text.expose().parse::<StorageOptions>());
    let options = options.collect::<Result<Vec<_>, _>>();
    let options = options.map_err(|source| Error::StorageOption { flag, source })?;
    Ok(options.into_iter().flatten().collect())
}

/// Where crate files are collected on their way to `url`: if that is a folder, in the same file
/// system, so that they need not be copied.
pub(crate) fn spool(url: &StorageUrl, data: &Path) -> Result<SpoolFolder, Error> {
    let path = match url {
        StorageUrl::Folder(path) => path.join(".spool"),
        _ => data.join("spool"),
    };
    let place = path.display().to_string();
    SpoolFolder::open(path).map_err(|source| Error::Open { place, source: source.into() })
}

/// Fails if there is nothing to read: opening would make a new one, of a slip in a path.
pub(crate) fn storage_must_be_there(url: &StorageUrl) -> Result<(), Error> {
    match url {
        StorageUrl::Folder(path) if !path.is_dir() => {
            Err(Error::NoFolder { place: url.to_string() })
        }
        _ => Ok(()),
    }
}

/// Whether two URLs lead to one place for crate files, as far as they tell.
pub(crate) fn same_storage(one: &StorageUrl, other: &StorageUrl) -> bool {
    let resolved = |url: &StorageUrl| match url {
        StorageUrl::Folder(path) => path.canonicalize().ok(),
        _ => None,
    };
    one == other || resolved(one).is_some_and(|path| Some(path) == resolved(other))
}

/// Opens a place for crate files.
pub(crate) fn open_storage(
    url: &StorageUrl,
    options: &StorageOptions,
) -> Result<ObjectCrateStore, Error> {
    ObjectCrateStore::open(url, options).map_err(|error| cannot_open(url, error))
}

fn cannot_open(url: &impl fmt::Display, error: OpenError) -> Error {
    match error {
        OpenError::Settings { source } => Error::Bucket { place: url.to_string(), source },
        error => Error::Open { place: url.to_string(), source: error.into() },
    }
}

/// An index to serve from, and what keeps it current while this is there.
pub(crate) struct ServedIndex {
    pub(crate) index: Arc<dyn Index>,
    _listener: Option<Listener>,
}

/// What a registry's own data are kept under in a database: `main`, or the key of one in its list.
type Key = Arc<str>;

/// An opened index, with its search and its tokens.
#[derive(Clone)]
pub(crate) enum OpenIndex {
    Sqlite(SqliteDatabase, Key),
    /// With a database for the tokens.
    Folder(FolderIndex, SqliteDatabase),
    Bucket(ObjectIndex, ObjectTokens),
    Postgres(PostgresDatabase, Key),
}

impl OpenIndex {
    pub(crate) fn index(&self) -> Arc<dyn Index> {
        match self {
            Self::Sqlite(database, key) => Arc::new(database.index(key)),
            Self::Folder(index, _) => Arc::new(index.clone()),
            Self::Bucket(index, _) => Arc::new(index.clone()),
            Self::Postgres(database, key) => Arc::new(database.index(key)),
        }
    }

    /// The database of accounts and tokens, if it is not that of the index.
    pub(crate) fn accounts_apart(&self) -> Option<Arc<dyn Index>> {
        match self {
            Self::Folder(_, database) => Some(Arc::new(database.index(REGISTRY))),
            Self::Sqlite(..) | Self::Bucket(..) | Self::Postgres(..) => None,
        }
    }

    /// The index with a cache in front, of so many bytes. What another process writes is seen at once,
    /// or after `max_staleness` at the latest; a database in a file tells of it by itself.
    fn cached(
        &self,
        max_staleness: Duration,
        bytes: u64,
    ) -> CachedIndex<ObservedIndex<Arc<dyn Index>>> {
        let observed = ObservedIndex::new(self.index(), "index");
        let cached = CachedIndex::new(observed, bytes).with_meter(cache_meter("index"));
        match self {
            Self::Sqlite(database, _) => {
                let database = database.clone();
                cached.with_generation(move || database.generation())
            }
            Self::Folder(..) | Self::Bucket(..) | Self::Postgres(..) => {
                cached.with_staleness(max_staleness)
            }
        }
    }

    /// The same, and what tells it of other processes' writes sooner, where that takes a connection,
    /// of which a server has one for all its registries.
    pub(crate) fn served(&self, max_staleness: Duration, bytes: u64) -> ServedIndex {
        let cached = self.cached(max_staleness, bytes);
        let listener = match self {
            // Who asks at each read has nothing to be told.
            Self::Postgres(database, key) if !max_staleness.is_zero() => {
                let invalidations = cached.invalidations();
                Some(database.listen(key, move |name| match name {
                    Some(name) => invalidations.forget(name),
                    None => invalidations.forget_all(),
                }))
            }
            _ => None,
        };
        ServedIndex { index: Arc::new(cached), _listener: listener }
    }

    /// The list of the registries beside `main`; only a database has one.
    pub(crate) fn registries(&self) -> Option<Arc<dyn RegistryStore>> {
        match self {
            Self::Sqlite(database, _) => Some(Arc::new(database.registries())),
            Self::Folder(..) | Self::Bucket(..) => None,
            Self::Postgres(database, _) => Some(Arc::new(database.registries())),
        }
    }

    /// The same database, with what is kept under this key.
    pub(crate) fn with_key(&self, key: &Arc<str>) -> Self {
        match self {
            Self::Sqlite(database, _) => Self::Sqlite(database.clone(), key.clone()),
            Self::Postgres(database, _) => Self::Postgres(database.clone(), key.clone()),
            Self::Folder(..) | Self::Bucket(..) => self.clone(),
        }
    }

    /// The registry of this name.
    pub(crate) async fn registry(self, name: &RegistryName) -> Result<Self, Error> {
        if name.as_str() == REGISTRY {
            return Ok(self);
        }
        let store = self.registries().ok_or(Error::OneRegistry)?;
        let record = store.find(name).await?;
        let record = record.ok_or_else(|| Error::NoRegistry { name: name.clone() })?;
        Ok(self.with_key(&record.key))
    }

    /// The indexes of all registries, whether they are in the list or not.
    async fn all(&self) -> Result<Vec<Arc<dyn Index>>, Error> {
        let Some(store) = self.registries() else { return Ok(vec![self.index()]) };
        let mut keys: Vec<Arc<str>> = store.keys().await?;
        keys.push(REGISTRY.into());
        keys.sort();
        keys.dedup();
        Ok(keys.iter().map(|key| self.with_key(key).index()).collect())
    }

    /// Searches by itself, or by the names in `index`, which is this one with a cache in front.
    pub(crate) fn search(&self, index: Arc<dyn Index>) -> Arc<dyn Search> {
        match self {
            Self::Sqlite(database, key) => Arc::new(database.index(key)),
            Self::Folder(..) | Self::Bucket(..) => Arc::new(NameSearch::new(index)),
            Self::Postgres(database, key) => Arc::new(database.index(key)),
        }
    }

    /// Looks for damage that is no matter of single crates.
    pub(crate) async fn check(&self) -> Result<Vec<String>, Error> {
        match self {
            Self::Sqlite(database, _) => {
                Ok(database.check().await.err().iter().map(|error| causes(error)).collect())
            }
            Self::Folder(index, _) => {
                let differences = index.check().await.map_err(Error::Check)?;
                Ok(differences.iter().map(Difference::to_string).collect())
            }
            Self::Bucket(..) | Self::Postgres(..) => Ok(Vec::new()),
        }
    }

    /// The accounts, where the tokens are; a bucket has none.
    pub(crate) fn accounts(&self) -> Option<Arc<dyn AccountStore>> {
        match self {
            Self::Sqlite(database, _) | Self::Folder(_, database) => {
                Some(Arc::new(database.accounts()))
            }
            Self::Bucket(..) => None,
            Self::Postgres(database, _) => Some(Arc::new(database.accounts())),
        }
    }

    /// The new names that were agreed to, where they can be kept.
    pub(crate) fn approved_names(&self) -> Option<Arc<dyn ApprovedNames>> {
        match self {
            Self::Sqlite(database, key) => Some(Arc::new(database.approved_names(key))),
            Self::Folder(_, database) => Some(Arc::new(database.approved_names(REGISTRY))),
            Self::Bucket(..) => None,
            Self::Postgres(database, key) => Some(Arc::new(database.approved_names(key))),
        }
    }

    /// The audit trail, where the index itself writes to it.
    pub(crate) fn audit(&self) -> Option<Arc<dyn AuditLog>> {
        match self {
            Self::Sqlite(database, key) => Some(Arc::new(database.audit(key))),
            Self::Folder(..) | Self::Bucket(..) => None,
            Self::Postgres(database, key) => Some(Arc::new(database.audit(key))),
        }
    }

    /// The trusted publishers of the registry.
    pub(crate) fn trusted_publishers(&self) -> Result<Arc<dyn TrustedPublisherStore>, Error> {
        match self {
            Self::Sqlite(database, key) => Ok(Arc::new(database.trusted_publishers(key))),
            Self::Folder(_, database) => Ok(Arc::new(database.trusted_publishers(REGISTRY))),
            Self::Bucket(..) => Err(Error::NoDatabase { place: "an index in a bucket" }),
            Self::Postgres(database, key) => Ok(Arc::new(database.trusted_publishers(key))),
        }
    }

    /// What counts only once.
    pub(crate) fn single_use(&self) -> Result<Arc<dyn SingleUse>, Error> {
        match self {
            Self::Sqlite(database, _) | Self::Folder(_, database) => {
                Ok(Arc::new(database.single_use()))
            }
            Self::Bucket(..) => Err(Error::NoDatabase { place: "an index in a bucket" }),
            Self::Postgres(database, _) => Ok(Arc::new(database.single_use())),
        }
    }

    /// Users and tokens. Those made under a key from outside are only found with it.
    pub(crate) fn tokens(&self, key: Option<&TokenKey>) -> Arc<dyn TokenTransfer> {
        let key = key.cloned();
        match self {
            Self::Sqlite(database, _) | Self::Folder(_, database) => {
                Arc::new(database.tokens().with_key(key))
            }
            Self::Bucket(_, tokens) => Arc::new(tokens.clone().with_key(key)),
            Self::Postgres(database, _) => Arc::new(database.tokens().with_key(key)),
        }
    }
}

/// Opens an index. One that has no place for tokens has them in the data folder `data`.
pub(crate) async fn open_index(url: &IndexUrl, data: &Path) -> Result<OpenIndex, Error> {
    let failed = |source| Error::Open { place: url.to_string(), source };
    match url {
        IndexUrl::Sqlite(path) => {
            Ok(OpenIndex::Sqlite(open_sqlite(path.clone())?, REGISTRY.into()))
        }
        IndexUrl::Bucket(bucket) => {
            let opened = Bucket::open(bucket, &StorageOptions::new());
            let store = opened.map_err(|error| cannot_open(url, error))?.store();
            let failed = |error| match error {
                ObjectOpenError::Failed { source, .. } => {
                    Error::Bucket { place: url.to_string(), source }
                }
                error => failed(error.into()),
            };
            let index = ObjectIndex::open(store.clone()).await.map_err(failed)?;
            Ok(OpenIndex::Bucket(index, ObjectTokens::open(store).await.map_err(failed)?))
        }
        IndexUrl::Folder(path) => {
            let index = FolderIndex::open(path).map_err(|error| failed(error.into()))?;
            Ok(OpenIndex::Folder(index, open_sqlite(data.join(DATABASE))?))
        }
        IndexUrl::Postgres(database) => {
            let database = PostgresDatabase::connect(database.expose()).await;
            let database = database.map_err(|error| failed(error.into()))?;
            Ok(OpenIndex::Postgres(database, REGISTRY.into()))
        }
    }
}

fn open_sqlite(path: PathBuf) -> Result<SqliteDatabase, Error> {
    SqliteDatabase::open(&path).map_err(|error| match (error, path.parent()) {
        (SqliteOpenError::Create { source, .. }, Some(folder)) if !folder.is_dir() => {
            Error::DataFolder { folder: folder.into(), source }
        }
        (error, _) => Error::Open { place: path.display().to_string(), source: error.into() },
    })
}

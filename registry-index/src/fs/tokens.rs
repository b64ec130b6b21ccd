//! Users and tokens in a file, for hosts without a database.

use std::{
    fmt,
    fs::{self, File, Metadata},
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use registry_core::{
    BoxError, Login, Owner,
    auth::{
        AuthStoreError, NewToken, Revocation, TokenDigest, TokenId, TokenKey, TokenRecord,
        TokenStore, TokenTable, TokenTransfer, UserTokens,
    },
    record::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    disk::{self, For},
    error::FolderError,
};

const BACKEND: &str = "token file";

/// The only version of the file there has been.
const FORMAT: u32 = 1;

/// Users and what is known of their tokens in one JSON file. Clones are handles on the same one.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.json");
/// use registry_core::auth::{TokenCaller, TokenRequest, Tokens};
/// use registry_index::fs::FileTokens;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let tokens = Tokens::new(FileTokens::open(path)?);
/// let issued = tokens.issue(TokenCaller::Operator, &TokenRequest::new(&"alice".parse()?)).await?;
/// println!("{}", issued.token.expose());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For hosts without a database, and some hundreds of tokens: each change writes the file anew, and
/// each search goes through all of them. A change is durable when it is answered, and there as a
/// whole or not at all, for the file is replaced by one that has been flushed. Several processes on
/// one host may use one file, and each sees what the others have changed at once; locks are those of
/// the operating system ([`std::fs::File::lock`]), which a network file system may not keep.
///
/// Beside the file lie `.lock`, which stays, and while it is being written, `.new`, with its name in
/// front. All are for their owner alone: the file holds the key under which tokens are kept, but no
/// token.
///
/// A file that is moved or removed is not made anew: everything fails until it is back. Works by
/// [`tokio::task::spawn_blocking`], so it needs a tokio runtime around it.
#[derive(Clone)]
pub struct FileTokens {
    file: Arc<TokenFile>,
    outside: Option<TokenKey>,
}

impl FileTokens {
    /// Opens the file at `path`, and makes it if it is not there; its folder has to be.
    ///
    /// Blocks for as long as the disk takes, and while another process writes.
    ///
    /// # Errors
    /// [`AuthStoreError`] if the file is not one of tokens, or cannot be read or made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, AuthStoreError> {
        let file = TokenFile::open(path.into()).map_err(failed)?;
        Ok(Self { file: Arc::new(file), outside: None })
    }

    /// With a key that is not in the file, for new tokens. Those under a key in the file are found
    /// as well.
    #[must_use]
    pub fn with_key(self, key: impl Into<Option<TokenKey>>) -> Self {
        Self { outside: key.into(), ..self }
    }

    /// Looks at the table, on a thread that may wait for a disk.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&TokenTable, Option<&TokenKey>) -> T + Send + 'static,
    ) -> Result<T, AuthStoreError> {
        let Self { file, outside } = self.clone();
        run(move || Ok(look(&*file.table()?, outside.as_ref()))).await
    }

    /// Changes the table, on a thread that may wait for a disk and for others who write.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut TokenTable, Option<&TokenKey>) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, AuthStoreError> {
        let Self { file, outside } = self.clone();
        run(move || file.change(|table| change(table, outside.as_ref()))).await
    }
}

impl fmt::Debug for FileTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileTokens").field(&self.file.path).finish()
    }
}

#[async_trait]
impl TokenStore for FileTokens {
    async fn create(&self, token: &NewToken) -> Result<TokenRecord, AuthStoreError> {
        let token = token.clone();
        self.change(move |table, outside| table.create(&token, outside)).await
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError> {
        let digest = *digest;
        self.read(move |table, outside| table.find(&digest, outside)).await
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let login = login.cloned();
        self.read(move |table, _| table.list(login.as_ref())).await
    }

    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let revocation = revocation.clone();
        self.change(move |table, _| Ok(table.revoke(&revocation, at))).await
    }

    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError> {
        let uses = uses.to_vec();
        self.change(move |table, _| {
            table.used(&uses);
            Ok(())
        })
        .await
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        let login = login.clone();
        self.read(move |table, _| table.user(&login).cloned()).await
    }
}

#[async_trait]
impl TokenTransfer for FileTokens {
    async fn keys(&self) -> Result<Vec<TokenKey>, AuthStoreError> {
        self.read(|table, _| table.keys().to_vec()).await
    }

    async fn add_keys(&self, keys: &[TokenKey]) -> Result<(), AuthStoreError> {
        let keys = keys.to_vec();
        self.change(move |table, _| {
            table.add_keys(&keys);
            Ok(())
        })
        .await
    }

    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError> {
        self.read(|table, _| table.export()).await
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError> {
        let user = user.clone();
        self.change(move |table, _| Ok(table.adopt(&user)?)).await
    }
}

async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
) -> Result<T, AuthStoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(panic) => Err(failed(panic.into())),
    }
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

/// What is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents<T> {
    format: u32,
    table: T,
}

/// The file, and what it held when it was last looked at.
struct TokenFile {
    path: PathBuf,
    read: Mutex<Option<ReadTable>>,
    /// Whether a change may be in place that is not durable: then even one that changes nothing is
    /// written before it is answered.
    is_unflushed: AtomicBool,
}

/// A file with what is in it. As long as it is open, no other file has its number.
struct ReadTable {
    file: File,
    table: Arc<TokenTable>,
}

impl TokenFile {
    fn open(path: PathBuf) -> Result<Self, BoxError> {
        let file = Self { path, read: Mutex::default(), is_unflushed: AtomicBool::new(false) };
        let _lock = disk::lock(&file.beside("lock"))?;
        match disk::exists(&file.path)? {
            true => drop(file.table()?),
            false => file.write(&TokenTable::default())?,
        }
        Ok(file)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(ending);
        path.into()
    }

    /// What is in the file now. Takes no lock: each file that was ever in place is whole.
    fn table(&self) -> Result<Arc<TokenTable>, BoxError> {
        let there = fs::metadata(&self.path).map_err(|source| self.cannot("look at", source))?;
        let mut read = self.read();
        if let Some(read) = &*read
            && read.file.metadata().is_ok_and(|known| is_same(&known, &there))
        {
            return Ok(read.table.clone());
        }
        let (mut file, length) = disk::open(&self.path)?
            .ok_or_else(|| self.cannot("open", std::io::ErrorKind::NotFound.into()))?;
        let mut json = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.read_to_end(&mut json).map_err(|source| self.cannot("read", source))?;
        let table = Arc::new(self.parse(&json)?);
        *read = Some(ReadTable { file, table: table.clone() });
        Ok(table)
    }

    fn parse(&self, json: &[u8]) -> Result<TokenTable, BoxError> {
        let path = self.path.display();
        let contents: Contents<TokenTable> = serde_json::from_slice(json)
            // What it says of the place is enough, and what is there may be secret.
            .map_err(|error| {
                let (line, column) = (error.line(), error.column());
                format!("`{path}` is no file of tokens, at line {line}, column {column}")
            })?;
        match contents.format {
            FORMAT => Ok(contents.table),
            other => Err(format!("`{path}` has the format {other}, and not {FORMAT}").into()),
        }
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut TokenTable) -> Result<T, BoxError>,
    ) -> Result<T, BoxError> {
        let _lock = disk::lock(&self.beside("lock"))?;
        let before = self.table()?;
        let mut after = TokenTable::clone(&before);
        let done = change(&mut after)?;
        if after != *before || self.is_unflushed.load(Ordering::Relaxed) {
            self.write(&after)?;
        }
        Ok(done)
    }

    /// Puts a table in place. The caller has the lock.
    fn write(&self, table: &TokenTable) -> Result<(), BoxError> {
        let json = serde_json::to_vec_pretty(&Contents { format: FORMAT, table })?;
        let staged = self.beside("new");
        disk::stage(&staged, &json, For::Owner)?;
        disk::rename(&staged, &self.path)?;
        self.is_unflushed.store(true, Ordering::Relaxed);
        disk::sync_folder(self.path.parent().unwrap_or(Path::new("")))?;
        self.is_unflushed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn read(&self) -> MutexGuard<'_, Option<ReadTable>> {
        // What is in it is replaced as a whole.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cannot(&self, action: &'static str, source: std::io::Error) -> FolderError {
        FolderError::Io { action, path: self.path.clone(), source }
    }
}

/// Whether it is one file, and nobody has written in it.
#[cfg(unix)]
fn is_same(known: &Metadata, there: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |of: &Metadata| (of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec());
    identity(known) == identity(there)
}

/// Files have no numbers here: each is read.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    false
}

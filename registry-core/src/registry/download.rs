use super::{ReadError, Registry};
use crate::{
    auth::{Action, Caller},
    store::{ByteRange, CrateFile, CrateKey, CrateStore, StoredCrate},
};

impl Registry {
    /// The file under a key, for a caller who may read it. The key says which bytes, so the index
    /// is not asked; nor is the store, yet.
    ///
    /// # Errors
    /// [`ReadError::Auth`] or [`ReadError::UnknownCrate`] if the caller may not.
    pub async fn download<'a>(
        &'a self,
        caller: &Caller,
        key: &'a CrateKey,
    ) -> Result<Download<'a>, ReadError> {
        let name = key.name.canonical();
        self.may_read(caller, &Action::Read(&name), &name).await?;
        Ok(Download { crates: &*self.parts.crates, key })
    }
}

/// A crate file that its caller may read, one way or another.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    crates: &'a dyn CrateStore,
    key: &'a CrateKey,
}

impl Download<'_> {
    /// Opens the file, or a part of it.
    ///
    /// # Errors
    /// [`ReadError::UnknownVersion`] if there is no such file, [`ReadError::Store`] if the store
    /// failed.
    pub async fn open(&self, range: Option<ByteRange>) -> Result<CrateFile, ReadError> {
        let file = self.crates.get(self.key, range).await?;
        file.ok_or_else(|| self.missing())
    }

    /// What there is to read, without opening it.
    ///
    /// # Errors
    /// As [`Download::open`].
    pub async fn head(&self) -> Result<StoredCrate, ReadError> {
        let stored = self.crates.head(self.key).await?;
        stored.ok_or_else(|| self.missing())
    }

    /// A URL under which the caller reads the file past the registry, if the store has them. It
    /// may lead to nothing, if there is no such file.
    ///
    /// # Errors
    /// [`ReadError::Store`] if the store failed.
    pub async fn location(&self) -> Result<Option<String>, ReadError> {
        Ok(self.crates.location(self.key).await?)
    }

    fn missing(&self) -> ReadError {
        ReadError::unknown_version(&self.key.name.canonical(), &self.key.version)
    }
}

use std::borrow::Cow;

use super::{ReadError, Registry};
use crate::{
    auth::{Action, Caller},
    name::CrateName,
    store::{ByteRange, CrateFile, CrateKey, CrateStore, StoredCrate},
};

impl Registry {
    /// The file under a key, for a caller who may read it. The key says which bytes, so the index
    /// is not asked; nor is the store, yet. A caller who may not is given one that finds no file.
    ///
    /// # Errors
    /// [`ReadError::Auth`] if the caller may not read here.
    pub async fn download<'a>(
        &'a self,
        caller: &Caller,
        key: &'a CrateKey,
    ) -> Result<Download<'a>, ReadError> {
        let name = key.name.canonical();
        let place = match self.place(caller, &Action::Read(&name), &name).await? {
            Cow::Borrowed(_) => Cow::Borrowed(key),
            Cow::Owned(decoy) => Cow::Owned(CrateKey {
                name: CrateName::new(decoy.as_str()).expect("a canonical name is one"),
                ..key.clone()
            }),
        };
        Ok(Download { crates: &*self.parts.crates, key, place, hides: self.hides_crates() })
    }
}

/// A crate file that its caller may read, one way or another.
#[derive(Clone, Debug)]
pub struct Download<'a> {
    crates: &'a dyn CrateStore,
    /// What was asked for.
    key: &'a CrateKey,
    /// What is looked for.
    place: Cow<'a, CrateKey>,
    hides: bool,
}

impl Download<'_> {
    /// Opens the file, or a part of it.
    ///
    /// # Errors
    /// [`ReadError::UnknownVersion`] if there is no such file, [`ReadError::Store`] if the store
    /// failed.
    pub async fn open(&self, range: Option<ByteRange>) -> Result<CrateFile, ReadError> {
        let file = self.crates.get(&self.place, range).await?;
        file.ok_or_else(|| self.missing())
    }

    /// What there is to read, without opening it.
    ///
    /// # Errors
    /// As [`Download::open`].
    pub async fn head(&self) -> Result<StoredCrate, ReadError> {
        let stored = self.crates.head(&self.place).await?;
        stored.ok_or_else(|| self.missing())
    }

    /// A URL under which the caller reads the file past the registry, if the store has them. It
    /// may lead to nothing, if there is no such file; but where crates are hidden, what is hidden
    /// is not told from what is not there.
    ///
    /// # Errors
    /// [`ReadError::Store`] if the store failed, [`ReadError::UnknownVersion`] if crates are hidden
    /// and there is no such file.
    pub async fn location(&self) -> Result<Option<String>, ReadError> {
        let location = self.crates.location(&self.place).await?;
        if location.is_some() && self.hides {
            self.head().await?;
        }
        Ok(location)
    }

    fn missing(&self) -> ReadError {
        ReadError::unknown_version(&self.key.name.canonical(), &self.key.version)
    }
}

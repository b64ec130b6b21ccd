use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr, memmem, memrchr};

use super::{ReadError, Registry};
use crate::{
    auth::{Action, Caller},
    entry::IndexLine,
    index::Lookup,
    name::{CanonicalName, CrateName},
    store::{ByteRange, CrateFile, CrateKey, CrateStore, StoredCrate},
};

impl Registry {
    /// The file under a key, for a caller who may read it. The key says which bytes, so the index
    /// is not asked, unless other registries may have files in [the same
    /// store](super::RegistryBuilder::shares_crates): then it is, for the crate's index file. The store
    /// is not, yet. A caller who may not is
    /// given one that finds no file.
    ///
    /// # Errors
    /// [`ReadError::Auth`] if the caller may not read here, [`ReadError::UnknownVersion`] if the file
    /// is another registry's.
    pub async fn download<'a>(
        &'a self,
        caller: &Caller,
        key: &'a CrateKey,
    ) -> Result<Download<'a>, ReadError> {
        let name = key.name.canonical();
        let place = match self.place(caller, &Action::Read(&name), &name).await? {
            Cow::Borrowed(_)
                if self.parts.shares_crates && !self.names_file(&name, key).await? =>
            {
                return Err(ReadError::unknown_version(&name, &key.version));
            }
            Cow::Borrowed(_) => Cow::Borrowed(key),
            Cow::Owned(decoy) => Cow::Owned(CrateKey {
                name: CrateName::new(decoy.as_str()).expect("a canonical name is one"),
                ..key.clone()
            }),
        };
        Ok(Download { crates: &*self.parts.crates, key, place, hides: self.hides_crates() })
    }

    /// Whether a release of this registry, and not only of another over the same crate store, has the
    /// file.
    async fn names_file(&self, name: &CanonicalName, key: &CrateKey) -> Result<bool, ReadError> {
        let Lookup::Found(file) = self.parts.index.index_file(name, None).await? else {
            return Ok(false);
        };
        if lists_file(&file.body, key) {
            return Ok(true);
        }
        // What is not listed may have kept its file.
        let Some(stored) = self.parts.index.load(name, None).await?.found() else {
            return Ok(false);
        };
        let mut kept = stored.record.releases().iter().filter(|it| it.state.keeps_file());
        Ok(kept.any(|release| release.line.checksum() == key.checksum))
    }
}

/// Whether one of the lines of an index file names the file.
///
/// Anybody asks, as often as they like, so that a large file is not taken apart: only a line with the
/// checksum in it is read.
fn lists_file(lines: &Bytes, key: &CrateKey) -> bool {
    let checksum = key.checksum.to_string();
    let finder = memmem::Finder::new(&checksum);
    let mut from = 0;
    while let Some(place) = finder.find(&lines[from..]).map(|place| from + place) {
        let start = memrchr(b'\n', &lines[..place]).map_or(0, |end| end + 1);
        let end = memchr(b'\n', &lines[place..]).map_or(lines.len(), |length| place + length);
        // Anybody may write it into a line of theirs, say as the name of a feature.
        let line = IndexLine::parse(lines.slice(start..end));
        if line.is_ok_and(|line| line.checksum() == key.checksum) {
            return true;
        }
        from = end;
    }
    false
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

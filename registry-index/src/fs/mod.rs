//! An index in a folder, which any web server can serve as it is, and tokens in a file.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("index");
//! use registry_core::RegistryConfig;
//! use registry_index::fs::FolderIndex;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let index = FolderIndex::open(path)?;
//! index.write_config(&RegistryConfig::new("https://crates.example.com/main")?).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What lies where
//!
//! ```text
//! config.json                 what cargo reads first, by `write_config`
//! se/rd/serde-json            what cargo reads of a crate: its lines, at its sparse path
//! .records/se/serde_json      the whole record: the truth, as `registry_core::codec` writes it
//! .records/format             the version of this layout
//! .records/locks/00 … ff      locks, shared by processes, each for one crate in 256
//! .records/staged/            files that are being written
//! ```
//!
//! The lines of a crate are on the disk twice, in the record and beside it. Replacing one file is
//! atomic and replacing two is not: what [`Index`](registry_core::Index) answers, also with the
//! lines, comes from the one record, which has changed as a whole or not at all. The file for web
//! servers follows it before the commit is answered, and is always one whole state of the crate;
//! if that is an older one, because a process was killed, the next commit of the crate or the next
//! [`FolderIndex::open`] brings it up to date.
//!
//! Files and folders for web servers have the permissions that the umask leaves; `.records` is for
//! its owner alone, so have the server leave out what begins with a dot if it runs as the same user.
//!
//! # Processes
//!
//! Several processes on one host may use one folder. Their locks are those of the operating system
//! ([`std::fs::File::lock`]), which a network file system may not keep. Readers take none.
//!
//! Every acknowledged write has reached the disk, and its folders have, too. A write that has begun
//! goes on when its future is dropped. A commit writes the record and the lines anew, so it takes
//! longer the more versions a crate has.
//!
//! Works by [`tokio::task::spawn_blocking`], so it needs a tokio runtime around it.
//!
//! Users and tokens are none of the folder's, which is public: [`FileTokens`] keeps them in a file of
//! its own, as any other store may.
//!
//! If the folder is moved or removed, or its disk is not mounted, everything fails until it is back;
//! an empty index is never made in its place but by [`FolderIndex::open`].

mod check;
mod disk;
mod error;
mod folder;
mod index;
mod layout;
mod open;
mod record_file;
mod tokens;
mod write;

use std::{fmt, path::PathBuf, sync::Arc};

use tokio::sync::Mutex;

pub use self::{check::Difference, open::FolderOpenError, tokens::FileTokens};
use self::{folder::Folder, layout::STRIPES};

const BACKEND: &str = "folder";

/// An index in a folder. Clones are handles on the same one.
#[derive(Clone)]
pub struct FolderIndex(Arc<Shared>);

struct Shared {
    folder: Folder,
    /// Who of this process may wait for each of the locks.
    turns: [Arc<Mutex<()>>; STRIPES],
}

impl FolderIndex {
    /// Opens the folder at `path`, and makes it, with those above it, if it is not there. Settles
    /// what writes have left that were interrupted, however large the index is.
    ///
    /// Blocks for as long as the disk takes, and while another process writes.
    ///
    /// # Errors
    /// [`FolderOpenError`] if the folder is an index of something else, or of another version of
    /// this layout, or cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FolderOpenError> {
        let folder = open::open(&path.into())?;
        let turns = std::array::from_fn(|_| Arc::default());
        Ok(Self(Arc::new(Shared { folder, turns })))
    }
}

impl fmt::Debug for FolderIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FolderIndex").field(&self.0.folder.layout.root()).finish()
    }
}

//! A crate file on its way into a store.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::{Buf, Bytes};

/// The bytes of a crate file on its way into a store. Clones share them.
#[derive(Clone)]
pub struct CrateBody {
    place: BodyPlace,
    len: u64,
}

/// Where the bytes of a [`CrateBody`] are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BodyPlace {
    /// In memory, in pieces as they came.
    Memory(Arc<[Bytes]>),
    /// In a temporary file.
    Spool(Arc<SpooledFile>),
}

impl CrateBody {
    /// A body in a temporary file, which is as long as the body.
    ///
    /// # Errors
    /// [`io::Error`] if its length cannot be read.
    pub fn spooled(file: SpooledFile) -> io::Result<Self> {
        let len = file.file.metadata()?.len();
        Ok(Self { place: BodyPlace::Spool(Arc::new(file)), len })
    }

    /// Where the bytes are, for a store that makes a difference of it.
    pub fn place(&self) -> &BodyPlace {
        &self.place
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All the bytes in memory, in one piece. Blocks if they are in a file.
    ///
    /// # Errors
    /// [`io::Error`] if the file cannot be read.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        if let BodyPlace::Memory(chunks) = &self.place
            && let [chunk] = &**chunks
        {
            return Ok(chunk.clone());
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.reader(), &mut bytes)?;
        Ok(bytes.into())
    }

    /// Reads the bytes from the first to the last. Blocks if they are in a file.
    pub fn reader(&self) -> impl io::Read + Send + use<> {
        BodyReader { place: self.place.clone(), piece: 0, current: Bytes::new(), offset: 0 }
    }
}

impl Default for CrateBody {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<Bytes>> for CrateBody {
    fn from(chunks: Vec<Bytes>) -> Self {
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { place: BodyPlace::Memory(chunks.into()), len }
    }
}

impl From<Bytes> for CrateBody {
    fn from(bytes: Bytes) -> Self {
        vec![bytes].into()
    }
}

impl fmt::Debug for CrateBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateBody").field("len", &self.len).finish_non_exhaustive()
    }
}

/// A temporary file, removed when the last body in it is gone.
///
/// A store in the same file system may rename it to its final place instead of copying it: what is
/// read through [`SpooledFile::read_at`] stays the same.
#[derive(Debug)]
pub struct SpooledFile {
    file: File,
    path: PathBuf,
    /// What came of bringing it to disk, once somebody has asked for it.
    synced: Mutex<Option<Result<(), io::ErrorKind>>>,
}

impl SpooledFile {
    /// Takes over the file that lies at `path`, opened for reading and completely written.
    pub fn new(file: File, path: PathBuf) -> Self {
        Self { file, path, synced: Mutex::new(None) }
    }

    /// Where the file lies, unless a store has renamed it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file. Its cursor belongs to nobody: read by [`SpooledFile::read_at`].
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Brings the file to disk, if that has not been done. Blocks.
    ///
    /// # Errors
    /// [`io::Error`] if the operating system says so, now or when it was first asked: it tells of
    /// lost bytes only once, and another try would find nothing wrong.
    pub fn sync(&self) -> io::Result<()> {
        let mut synced = self.synced.lock().expect("nobody panics while holding it");
        match *synced {
            Some(Ok(())) => Ok(()),
            Some(Err(kind)) => Err(kind.into()),
            None => {
                let done = self.file.sync_all();
                *synced = Some(done.as_ref().copied().map_err(io::Error::kind));
                done
            }
        }
    }

    /// Reads from `offset` on; how many bytes, 0 at the end. Blocks.
    ///
    /// # Errors
    /// [`io::Error`] if the operating system says so.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(&self.file, buffer, offset)
    }
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        // It is gone already if a store has renamed it; if it cannot be removed, the next start of
        // whoever made it will.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

struct BodyReader {
    place: BodyPlace,
    piece: usize,
    current: Bytes,
    offset: u64,
}

impl io::Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.place {
            BodyPlace::Memory(chunks) => {
                while self.current.is_empty() {
                    let Some(chunk) = chunks.get(self.piece) else { return Ok(0) };
                    self.current = chunk.clone();
                    self.piece += 1;
                }
                let count = buffer.len().min(self.current.len());
                self.current.copy_to_slice(&mut buffer[..count]);
                Ok(count)
            }
            BodyPlace::Spool(file) => {
                let count = file.read_at(buffer, self.offset)?;
                self.offset += count as u64;
                Ok(count)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn text(body: &CrateBody) -> String {
        let mut text = String::new();
        body.reader().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_body_reads_as_its_pieces_joined() {
        let body: CrateBody = vec![Bytes::from("ab"), Bytes::new(), Bytes::from("cde")].into();
        assert_eq!((body.len(), body.is_empty()), (5, false));
        assert_eq!(text(&body), "abcde");
        assert!(CrateBody::default().is_empty());
    }

    #[test]
    fn a_body_in_a_file_reads_the_same_again_and_again_and_the_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
        file.write_all(b"abcde").unwrap();
        let body = CrateBody::spooled(SpooledFile::new(file, path.clone())).unwrap();
        assert_eq!((body.len(), text(&body), text(&body)), (5, "abcde".into(), "abcde".into()));
        let (clone, moved) = (body.clone(), folder.path().join("moved"));
        drop(body);
        assert_eq!(text(&clone), "abcde");
        assert!(path.exists());
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(text(&clone), "abcde");
        drop(clone);
        assert!(moved.exists());
    }
}

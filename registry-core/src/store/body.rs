//! A crate file on its way into a store.

use std::{fmt, io, sync::Arc};

use bytes::{Buf, Bytes};

use super::SpooledFile;

/// The bytes of a crate file on its way into a store. Clones share them.
#[derive(Clone)]
pub struct CrateBody {
    place: BodyPlace,
    len: u64,
}

/// Bytes that are read at a time to be written elsewhere.
const COPY_BYTES: usize = 256 * 1024;

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
    /// A body in a temporary file, which is completely written and as long as the body.
    ///
    /// # Errors
    /// [`io::Error`] if its length cannot be read.
    pub fn spooled(file: SpooledFile) -> io::Result<Self> {
        let len = file.file().metadata()?.len();
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

    /// Writes the bytes from the first to the last. Blocks if they are in a file.
    ///
    /// # Errors
    /// [`io::Error`] if they cannot be read or written.
    pub fn write_to(&self, out: &mut impl io::Write) -> io::Result<()> {
        if let BodyPlace::Memory(chunks) = &self.place {
            return chunks.iter().try_for_each(|chunk| out.write_all(chunk));
        }
        let (mut reader, mut buffer) = (self.reader(), vec![0; COPY_BYTES]);
        loop {
            match io::Read::read(&mut reader, &mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => out.write_all(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the bytes from the first to the last, or fails. Blocks if they are in a file.
    pub fn reader(&self) -> impl io::Read + Send + use<> {
        let (place, len) = (self.place.clone(), self.len);
        BodyReader { place, len, piece: 0, current: Bytes::new(), offset: 0 }
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

struct BodyReader {
    place: BodyPlace,
    len: u64,
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
                let missing = usize::try_from(self.len - self.offset).unwrap_or(usize::MAX);
                let wanted = buffer.len().min(missing);
                let count = file.read_at(&mut buffer[..wanted], self.offset)?;
                if count == 0 && wanted > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.offset += count as u64;
                Ok(count)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Write as _},
    };

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
        let mut written = Vec::new();
        body.write_to(&mut written).unwrap();
        assert_eq!(written, b"abcde");
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
        let mut written = Vec::new();
        body.write_to(&mut written).unwrap();
        assert_eq!(written, b"abcde");
        let (clone, moved) = (body.clone(), folder.path().join("moved"));
        drop(body);
        assert_eq!(text(&clone), "abcde");
        assert!(path.exists());
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(text(&clone), "abcde");
        File::options().write(true).open(&moved).unwrap().set_len(4).unwrap();
        let cut = clone.to_bytes().unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        drop(clone);
        assert!(moved.exists());
    }
}

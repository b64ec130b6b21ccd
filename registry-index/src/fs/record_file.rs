use std::{fs::File, io::Read as _, path::PathBuf};

use bytes::Bytes;
use registry_core::{
    CanonicalName, CrateRecord, IndexFile,
    codec::{self, CodecError, MAX_HEADER_BYTES, RecordHeader},
};

use super::{
    disk,
    error::{At, FolderError},
    layout::Layout,
};

/// A stored record, opened, of which nothing but the header has been read.
///
/// A record is replaced and never written into, so what is open stays one state to its last byte.
#[derive(Debug)]
pub(super) struct RecordFile {
    pub(super) header: RecordHeader,
    path: PathBuf,
    file: File,
    start: Vec<u8>,
}

impl RecordFile {
    /// Opens the record of a crate; `None` if there is none.
    pub(super) fn open(layout: &Layout, name: &CanonicalName) -> Result<Option<Self>, FolderError> {
        if disk::is_folder(&layout.shard(name))?
            && let Some(found) = Self::open_at(layout.record(name), name)?
        {
            return Ok(Some(found));
        }
        // Of a folder that is not there, nothing is.
        match disk::exists(&layout.format())? {
            true => Ok(None),
            false => Err(FolderError::Gone { path: layout.root().into() }),
        }
    }

    /// Opens what is to be the record of this crate at any path.
    pub(super) fn open_at(
        path: PathBuf,
        name: &CanonicalName,
    ) -> Result<Option<Self>, FolderError> {
        let Some((file, length)) = disk::open(&path)? else { return Ok(None) };
        let mut start = Vec::with_capacity(MAX_HEADER_BYTES);
        (&file).take(MAX_HEADER_BYTES as u64).read_to_end(&mut start).at("read", &path)?;
        let header = match codec::header(&start) {
            Ok(header) if header.length as u64 == length => header,
            Ok(header) => return Err(damaged(path, wrong_length(&header, length))),
            Err(source) => return Err(damaged(path, source)),
        };
        if header.name.canonical() != *name {
            return Err(FolderError::OtherCrate { path });
        }
        Ok(Some(Self { header, path, file, start }))
    }

    /// The first `end` bytes. The file has them all, so that a length that lies allocates nothing.
    fn read_to(mut self, end: usize) -> Result<(Bytes, RecordHeader, PathBuf), FolderError> {
        let mut bytes = self.start;
        let read = bytes.len();
        if read < end {
            bytes.resize(end, 0);
            self.file.read_exact(&mut bytes[read..]).at("read", &self.path)?;
        }
        Ok((bytes.into(), self.header, self.path))
    }

    /// The index file: nothing behind it is read.
    pub(super) fn index_file(self) -> Result<IndexFile, FolderError> {
        let end = self.header.lines.end;
        let (bytes, RecordHeader { name, etag, lines, .. }, _) = self.read_to(end)?;
        Ok(IndexFile { name, etag, body: bytes.slice(lines) })
    }

    /// The whole record as it is stored.
    pub(super) fn bytes(self) -> Result<Bytes, FolderError> {
        let end = self.header.length;
        Ok(self.read_to(end)?.0)
    }

    pub(super) fn record(self) -> Result<CrateRecord, FolderError> {
        let end = self.header.length;
        let (bytes, _, path) = self.read_to(end)?;
        codec::decode(bytes).map_err(|source| damaged(path, source))
    }
}

fn damaged(path: PathBuf, source: CodecError) -> FolderError {
    FolderError::Damaged { path, source }
}

fn wrong_length(header: &RecordHeader, length: u64) -> CodecError {
    CodecError::Length {
        index: header.lines.len(),
        rest: header.length - header.lines.end,
        found: usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(header.lines.start),
    }
}

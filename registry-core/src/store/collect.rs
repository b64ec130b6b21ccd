//! A crate file on its way from one store into another.

use std::{io, mem, sync::Arc};

use bytes::Bytes;

use super::{CrateBody, CrateFile, SpoolFolder, SpooledFile, StoreError, check::Digest};
use crate::{
    checksum::ChecksumHasher,
    registry::{Runtime, runtime},
};

/// Longest file that is collected in memory if there is a spool, in bytes.
const MEMORY_BYTES: u64 = 1 << 20;
/// Bytes that are written to a spool at a time: a trip to a blocking thread for each.
const WRITE_BYTES: usize = 1 << 20;

/// Takes whole files out of a store: into memory, or into a spool what is large.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collector(Option<Spool>);

#[derive(Clone, Debug)]
struct Spool {
    folder: SpoolFolder,
    runtime: Arc<dyn Runtime>,
}

/// Why a file was not collected.
#[derive(Debug)]
pub(crate) enum CollectError {
    /// It cannot be read.
    Read(StoreError),
    /// It cannot be written to the spool.
    Spool(StoreError),
}

impl Collector {
    /// Has files of more than 1 MiB written to a folder, by the blocking threads of `runtime`.
    pub(crate) fn with_spool(folder: SpoolFolder, runtime: Arc<dyn Runtime>) -> Self {
        Self(Some(Spool { folder, runtime }))
    }

    /// Reads a file to its end, and says what it is. It is for the caller to compare.
    pub(crate) async fn collect(
        &self,
        mut file: CrateFile,
    ) -> Result<(CrateBody, Digest), CollectError> {
        let spool = self.0.as_ref().filter(|_| file.size > MEMORY_BYTES);
        let (mut hasher, mut size) = (ChecksumHasher::new(), 0);
        let (mut pieces, mut held, mut spooled) = (Vec::new(), 0, None);
        while let Some(chunk) = file.next_chunk().await {
            let chunk = chunk.map_err(CollectError::Read)?;
            hasher.update(&chunk);
            size += chunk.len() as u64;
            held += chunk.len();
            pieces.push(chunk);
            if let Some(spool) = spool
                && held >= WRITE_BYTES
            {
                spooled = Some(spool.append(spooled, mem::take(&mut pieces)).await?);
                held = 0;
            }
        }
        let body = match spool {
            None => pieces.into(),
            Some(spool) => {
                let spooled = spool.append(spooled, pieces).await?;
                CrateBody::spooled(spooled).map_err(failed)?
            }
        };
        Ok((body, Digest { checksum: hasher.finish(), size }))
    }
}

impl Spool {
    /// Writes the next bytes to a file, which is made for the first of them.
    async fn append(
        &self,
        file: Option<SpooledFile>,
        pieces: Vec<Bytes>,
    ) -> Result<SpooledFile, CollectError> {
        let folder = self.folder.clone();
        // The file goes with the work: if nobody waits any more, it is removed with its result.
        let write = move || -> io::Result<_> {
            let file = file.map_or_else(|| folder.create(), Ok)?;
            CrateBody::from(pieces).write_to(&mut file.file())?;
            Ok(file)
        };
        let written = runtime::run(&*self.runtime, write).await;
        written
            .unwrap_or_else(|| Err(io::Error::other("the write was interrupted")))
            .map_err(failed)
    }
}

fn failed(error: io::Error) -> CollectError {
    CollectError::Spool(StoreError::failed("spool", error))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use futures_util::{FutureExt as _, stream};

    use super::*;
    use crate::{Checksum, registry::Inline, store::BodyPlace};

    /// A file of so many bytes that comes in pieces of so many.
    fn file(size: usize, piece: usize) -> (Vec<u8>, CrateFile) {
        let content: Vec<u8> = (0..=250).cycle().take(size).collect();
        let pieces: Vec<_> =
            content.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let body = Box::pin(stream::iter(pieces));
        let size = size as u64;
        (content, CrateFile { size, range: 0..size, modified: SystemTime::UNIX_EPOCH, body })
    }

    #[test]
    fn a_large_file_goes_to_the_spool_and_a_small_one_does_not() {
        const MIB: usize = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let spool = SpoolFolder::open(folder.path()).unwrap();
        let spooling = Collector::with_spool(spool, Arc::new(Inline));
        let in_memory = Collector::default();
        for (size, piece, is_large) in [
            (0, 1, false),
            (5, 2, false),
            (MIB, 300_000, false),
            (MIB + 1, 300_000, true),
            (2 * MIB, MIB, true),
            (3 * MIB + 5, 700_000, true),
            (3 * MIB + 5, 4 * MIB, true),
        ] {
            for (collector, is_spooled) in [(&spooling, is_large), (&in_memory, false)] {
                let (content, file) = file(size, piece);
                let collected = collector.collect(file).now_or_never().unwrap();
                let Ok((body, digest)) = collected else {
                    panic!("{size} bytes are not collected")
                };
                assert_eq!(matches!(body.place(), BodyPlace::Spool(_)), is_spooled, "{size}");
                assert!(body.to_bytes().unwrap() == content, "{size}");
                let checksum = Checksum::of(&content);
                assert_eq!(digest, Digest { checksum, size: size as u64 });
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_fails_is_told_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = SpoolFolder::open(folder.path().join("spool")).unwrap();
        let collector = Collector::with_spool(spool.clone(), Arc::new(Inline));
        let (_, mut broken) = file(3 << 20, 1 << 20);
        let error = StoreError::failed("broken", "as it is told to");
        broken.body = Box::pin(stream::StreamExt::chain(
            stream::StreamExt::take(broken.body, 2),
            stream::iter([Err(error)]),
        ));
        let end = collector.collect(broken).now_or_never().unwrap();
        assert!(matches!(end, Err(CollectError::Read(StoreError::Backend { .. }))), "{end:?}");
        assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);

        std::fs::remove_dir(spool.path()).unwrap();
        std::fs::write(spool.path(), "in the way").unwrap();
        let end = collector.collect(file(3 << 20, 1 << 20).1).now_or_never().unwrap();
        assert!(matches!(end, Err(CollectError::Spool(_))), "{end:?}");
    }
}

//! How a spooled file gets into an object store: at once if it is small, else in parts.

use std::{io, sync::Arc};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use registry_core::{
    BoxError,
    store::{BodyPlace, CrateBody, SpooledFile},
};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet};

/// Bytes of each part but the last. S3 wants 5 MiB at least and takes 10,000 parts: 48 GiB.
const PART_BYTES: u64 = 5 << 20;
/// Bytes of a part that are held in one piece. A larger one would be given back to the system and
/// be taken from it anew each time, or be kept by the allocator where nothing else fits in.
const PIECE_BYTES: u64 = 256 << 10;
/// Parts of one file that are under way at a time.
const PARTS_OF_A_FILE: usize = 2;
/// Parts of all files together that are under way at a time: each is held in memory.
const PARTS: usize = 3;

/// Puts spooled files; clones share the bound on their memory.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    slots: Arc<Semaphore>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(PARTS)) }
    }
}

impl Parts {
    /// Puts a file: the whole of it, or after an error or a drop perhaps none of it.
    pub(crate) async fn put(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
        body: CrateBody,
    ) -> Result<(), BoxError> {
        if body.len() <= PART_BYTES {
            let _slot = self.slots.acquire().await?;
            let whole = read(body.clone(), 0, body.len()).await?;
            store.put(path, whole).await?;
            return Ok(());
        }
        let mut upload = Unfinished(Some(store.put_multipart(path).await?));
        let sent = self.send(upload.open(), &body).await;
        let done = match sent {
            Ok(()) => upload.open().complete().await.map(drop).map_err(BoxError::from),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // What fails now is left to the rules of the bucket.
            let _ = upload.open().abort().await;
        }
        upload.0 = None;
        done
    }

    async fn send(
        &self,
        upload: &mut dyn MultipartUpload,
        body: &CrateBody,
    ) -> Result<(), BoxError> {
        let mut under_way = JoinSet::new();
        let mut offset = 0;
        let sent = async {
            while offset < body.len() {
                if under_way.len() == PARTS_OF_A_FILE {
                    let done: Option<Result<object_store::Result<()>, _>> =
                        under_way.join_next().await;
                    done.expect("there are some")??;
                }
                let slot = Arc::clone(&self.slots).acquire_owned().await?;
                let size = PART_BYTES.min(body.len() - offset);
                let part = upload.put_part(read(body.clone(), offset, size).await?);
                offset += size;
                // As a task, it goes on while this waits for others to give up their slots.
                under_way.spawn(async move {
                    let _slot = slot;
                    part.await
                });
            }
            while let Some(done) = under_way.join_next().await {
                done??;
            }
            Ok(())
        }
        .await;
        // None may arrive after the upload has been aborted.
        under_way.shutdown().await;
        sent
    }
}

/// Reads a part of a spooled file on a blocking thread.
async fn read(body: CrateBody, offset: u64, size: u64) -> Result<PutPayload, BoxError> {
    let read = move || {
        let BodyPlace::Spool(file) = body.place() else { return Ok(body.to_bytes()?.into()) };
        let end = offset + size;
        let starts = (offset..end).step_by(PIECE_BYTES as usize);
        starts.map(|start| read_piece(file, start, PIECE_BYTES.min(end - start))).collect()
    };
    tokio::task::spawn_blocking(read).await?
}

fn read_piece(file: &SpooledFile, offset: u64, size: u64) -> Result<Bytes, BoxError> {
    let mut piece = vec![0; usize::try_from(size)?];
    let mut filled = 0;
    while filled < piece.len() {
        match file.read_at(&mut piece[filled..], offset + filled as u64) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(piece.into())
}

/// An upload that is aborted if nobody sees it to its end. The parts of one that is not are kept,
/// and paid for, until a rule of the bucket removes them.
struct Unfinished(Option<Box<dyn MultipartUpload>>);

impl Unfinished {
    fn open(&mut self) -> &mut dyn MultipartUpload {
        self.0.as_deref_mut().expect("it is there until it is done")
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(mut upload) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { upload.abort().await });
        }
    }
}

#[cfg(test)]
mod tests;

//! Reading a file while it is written into a cache.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    sync::Arc,
};

use bytes::Bytes;
use registry_core::{
    CrateStore, StoreError,
    checksum::ChecksumHasher,
    store::{ByteRange, CrateFile, CrateKey},
};
use tokio::sync::watch;

use super::{
    BACKEND,
    disk::Staged,
    fill::blocking,
    flight::{Failure, Growing, Progress},
};

/// Most bytes that are read at a time.
const CHUNK_BYTES: u64 = 256 * 1024;

/// What a flight has found out.
pub(super) enum Answer {
    Growing(Growing),
    Absent,
    Failed(Failure),
    Uncached,
    /// There is none: whoever led it is gone.
    None,
}

/// Waits for what the inner store says.
pub(super) async fn answer(receiver: &mut watch::Receiver<Progress>) -> Answer {
    let progress = receiver.wait_for(|progress| !matches!(progress, Progress::Asked)).await;
    match progress.as_deref() {
        Ok(Progress::Growing(growing)) => Answer::Growing(growing.clone()),
        Ok(Progress::Absent) => Answer::Absent,
        Ok(Progress::Failed(failure)) => Answer::Failed(failure.clone()),
        Ok(Progress::Uncached) => Answer::Uncached,
        Ok(Progress::Asked | Progress::Broken | Progress::Damaged) | Err(_) => Answer::None,
    }
}

/// A reader of a file that is being written.
pub(super) struct Follower<S> {
    inner: Arc<S>,
    key: CrateKey,
    size: u64,
    offset: u64,
    /// Of the bytes before `offset`.
    hasher: ChecksumHasher,
    from: From,
}

enum From {
    Cache {
        receiver: watch::Receiver<Progress>,
        staged: Arc<Staged>,
        file: Option<File>,
    },
    /// Where the cache got no further: the inner store itself. What was read last is withheld, until
    /// the checksum has matched.
    Inner {
        file: CrateFile,
        withheld: Option<Bytes>,
    },
    End,
}

/// What there is to be read.
enum Ready {
    UpTo(u64),
    End,
    Broken,
    Damaged,
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("the file is not the one of its checksum")]
    Damaged,
    #[error("the file is no longer the one that was opened")]
    Changed,
}

impl<S: CrateStore> Follower<S> {
    pub(super) fn file(
        inner: Arc<S>,
        key: CrateKey,
        growing: Growing,
        receiver: watch::Receiver<Progress>,
    ) -> CrateFile {
        let Growing { staged, size, put_at: modified, .. } = growing;
        let from = From::Cache { receiver, staged, file: None };
        let hasher = ChecksumHasher::new();
        let follower = Self { inner, key, size, offset: 0, hasher, from };
        let body = Box::pin(futures_util::stream::try_unfold(follower, Self::next));
        CrateFile { size, range: 0..size, modified, body }
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            let (receiver, staged, file) = match &mut self.from {
                From::End => return Ok(None),
                From::Inner { file, withheld } => match file.next_chunk().await.transpose()? {
                    Some(chunk) => {
                        self.hasher.update(&chunk);
                        // An empty one would let all the others go.
                        if !chunk.is_empty()
                            && let Some(ready) = withheld.replace(chunk)
                        {
                            return Ok(Some((ready, self)));
                        }
                        continue;
                    }
                    None => {
                        let last = withheld.take();
                        self.from = From::End;
                        if self.hasher.clone().finish() != self.key.checksum {
                            return Err(StoreError::failed(BACKEND, Unreadable::Damaged));
                        }
                        return Ok(last.map(|last| (last, self)));
                    }
                },
                From::Cache { receiver, staged, file } => (receiver, staged, file),
            };
            match ready(receiver, self.offset).await {
                Ready::End => return Ok(None),
                Ready::Damaged => return Err(StoreError::failed(BACKEND, Unreadable::Damaged)),
                Ready::UpTo(available) => {
                    let (opened, staged, offset) = (file.take(), staged.clone(), self.offset);
                    let wanted = (available - offset).min(CHUNK_BYTES);
                    let mut hasher = self.hasher.clone();
                    let read = blocking(move || {
                        let (chunk, opened) = read(opened, &staged, offset, wanted)?;
                        hasher.update(&chunk);
                        Ok((chunk, opened, hasher))
                    });
                    if let Ok((chunk, opened, hasher)) = read.await {
                        (*file, self.hasher) = (Some(opened), hasher);
                        self.offset += chunk.len() as u64;
                        return Ok(Some((chunk, self)));
                    }
                    // The disk fails; the store need not.
                }
                Ready::Broken => {}
            }
            self.from = rest(&*self.inner, &self.key, self.offset, self.size).await?;
        }
    }
}

/// What is still to be read, from the inner store.
async fn rest<S: CrateStore>(
    inner: &S,
    key: &CrateKey,
    offset: u64,
    size: u64,
) -> Result<From, StoreError> {
    let range = (offset > 0).then_some(ByteRange::From(offset));
    match inner.get(key, range).await? {
        Some(file) if file.size == size => Ok(From::Inner { file, withheld: None }),
        _ => Err(StoreError::failed(BACKEND, Unreadable::Changed)),
    }
}

/// Waits for what is behind `offset`.
async fn ready(receiver: &mut watch::Receiver<Progress>, offset: u64) -> Ready {
    let is_more = |progress: &Progress| match progress {
        Progress::Growing(growing) => growing.is_whole || growing.available > offset,
        _ => true,
    };
    match receiver.wait_for(is_more).await.as_deref() {
        Ok(Progress::Growing(growing)) if growing.available > offset => {
            Ready::UpTo(growing.available)
        }
        Ok(Progress::Growing(_)) => Ready::End,
        Ok(Progress::Damaged) => Ready::Damaged,
        _ => Ready::Broken,
    }
}

fn read(
    opened: Option<File>,
    staged: &Staged,
    offset: u64,
    wanted: u64,
) -> io::Result<(Bytes, File)> {
    let mut file = match opened {
        Some(file) => file,
        None => staged.open()?,
    };
    let mut chunk = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
    file.seek(io::SeekFrom::Start(offset))?;
    if (&mut file).take(wanted).read_to_end(&mut chunk)? as u64 == wanted {
        Ok((chunk.into(), file))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

//! Writing a file into a cache while it is read.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt as _;
use registry_core::{
    StoreError,
    checksum::ChecksumHasher,
    store::{CrateKey, CrateStream},
};
use tokio::task::spawn_blocking;

use super::{
    Cache,
    flight::{Growing, Lead, Progress},
    shelf::Room,
};

/// Most pieces that are written at a time, if so many have come already.
const PIECES: usize = 16;

/// A file on its way from the inner store to the disk.
pub(super) struct Fill {
    pub(super) cache: Arc<Cache>,
    pub(super) lead: Lead,
    pub(super) room: Room,
    pub(super) key: CrateKey,
    pub(super) body: CrateStream,
    pub(super) growing: Growing,
}

/// Why a file does not come to be held.
enum Stopped {
    /// All who wanted it are gone.
    Alone,
    /// The inner store said so to this reader; others ask by themselves.
    Store,
    Disk(io::Error),
    Damaged,
}

impl Fill {
    /// Writes the file to its end, for as long as anybody reads it.
    pub(super) async fn run(self) {
        let Self { cache, lead, room, key, body, growing } = self;
        let staged = growing.staged.clone();
        let written = write(&lead, &key, body, &growing).await;
        let settled = match written {
            Ok(()) => {
                let staged = staged.clone();
                blocking(move || staged.settle()).await.map_err(Stopped::Disk)
            }
            stopped => stopped,
        };
        match settled {
            Ok(()) => {
                // The folder is free for another cache before a reader has come to the end.
                drop(cache);
                if !lead.keep(room, growing.put_at) {
                    let _ = blocking(move || staged.remove()).await;
                }
            }
            Err(Stopped::Damaged) => {
                drop(cache);
                lead.end(Progress::Damaged);
            }
            Err(stopped) => {
                if let Stopped::Disk(error) = stopped {
                    cache.report(error);
                }
                drop(cache);
                lead.end(Progress::Broken);
            }
        }
    }
}

async fn write(
    lead: &Lead,
    key: &CrateKey,
    body: CrateStream,
    growing: &Growing,
) -> Result<(), Stopped> {
    let (mut hasher, mut written) = (ChecksumHasher::new(), 0);
    let mut pieces = body.ready_chunks(PIECES);
    while let Some(pieces) = pieces.next().await {
        if lead.shelf.land_if_alone(lead.id, &lead.flight) {
            return Err(Stopped::Alone);
        }
        let pieces: Result<Vec<Bytes>, StoreError> = pieces.into_iter().collect();
        let pieces = pieces.map_err(|_| Stopped::Store)?;
        written += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if written > growing.size {
            return Err(Stopped::Damaged);
        }
        let staged = growing.staged.clone();
        let hashed = blocking(move || {
            pieces.iter().for_each(|piece| hasher.update(piece));
            staged.write(&pieces)?;
            Ok(hasher)
        });
        hasher = hashed.await.map_err(Stopped::Disk)?;
        // The last byte is withheld until the checksum has matched.
        lead.grow(written.min(growing.size.saturating_sub(1)));
    }
    if written == growing.size && hasher.finish() == key.checksum {
        Ok(())
    } else {
        Err(Stopped::Damaged)
    }
}

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await?
}

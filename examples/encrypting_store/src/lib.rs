//! A decorator of one's own: crate files are encrypted before a store sees them, and decrypted as
//! they are read, whole or in part. That it keeps every promise of a store is shown by
//! `tests/conformance.rs`, and what it notices by `tests/tampering.rs`.

mod cipher;

use std::{
    io::{self, Read as _, Write as _},
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{TryStreamExt as _, stream};
use registry_core::{
    Checksum, CrateStore, StoreError,
    store::{ByteRange, CrateBody, CrateFile, CrateKey, SpooledFile, StoredCrate, StoredCrates},
};
use tokio::task::spawn_blocking;

use self::cipher::{CHUNK, FileCipher, SEALED, chunks, opened_size, sealed_size};

pub use self::cipher::{InvalidSecret, Secret};

const BACKEND: &str = "encrypted";

/// An encrypted file that is longer goes through a temporary file and not through memory.
const MOST_IN_MEMORY: u64 = 1024 * 1024;

/// Encrypts what another store keeps.
///
/// What compares checksums (a cache, a verification) goes around this store and not beneath it: the
/// inner store has other bytes than the checksums in its keys say.
#[derive(Clone, Debug)]
pub struct EncryptedCrateStore<S> {
    inner: S,
    secret: Arc<Secret>,
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the file is not the one of its checksum")]
    OtherChecksum,
    #[error("the stored file is not one that was encrypted with this secret")]
    NotOurs,
}

impl<S> EncryptedCrateStore<S> {
    /// Encrypts what goes to `inner`.
    pub fn new(inner: S, secret: Secret) -> Self {
        Self { inner, secret: Arc::new(secret) }
    }
}

fn failed(error: io::Error) -> StoreError {
    StoreError::failed(BACKEND, error)
}

fn not_ours() -> StoreError {
    StoreError::failed(BACKEND, Refused::NotOurs)
}

/// Encrypts a file; not a byte of it if it is not the one of its key: its checksum is what makes
/// its nonces its own. Blocks.
fn encrypt(secret: &Secret, key: &CrateKey, file: &CrateBody) -> io::Result<CrateBody> {
    if Checksum::of_reader(file.reader())? != key.checksum {
        return Err(io::Error::other(Refused::OtherChecksum));
    }
    let (cipher, size) = (FileCipher::new(secret, key), file.len());
    let mut plain = file.reader();
    let mut sealed = (0..chunks(size)).map(|number| {
        let mut chunk = vec![0; CHUNK.min(size - number * CHUNK) as usize];
        plain.read_exact(&mut chunk)?;
        io::Result::Ok(cipher.seal(number, number + 1 == chunks(size), &chunk))
    });
    if sealed_size(size) <= MOST_IN_MEMORY {
        let sealed: io::Result<Vec<_>> = sealed.map(|chunk| chunk.map(Bytes::from)).collect();
        return Ok(sealed?.into());
    }
    let (mut spool, path) = tempfile::NamedTempFile::new()?.into_parts();
    sealed.try_for_each(|chunk| spool.write_all(&chunk?))?;
    CrateBody::spooled(SpooledFile::new(spool, path.keep()?))
}

/// An encrypted file, or a part of it, on its way to a reader.
struct Opening {
    cipher: FileCipher,
    sealed: CrateFile,
    size: u64,
    /// The chunk that is read next.
    number: u64,
    /// What has been read of it.
    buffer: BytesMut,
    /// What the reader is still to be given.
    rest: Range<u64>,
}

impl Opening {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let start = self.number * CHUNK;
        // A file of nothing has a chunk as well, which is looked at like all others.
        let is_looked_at = self.number > 0 || self.size > 0;
        if self.rest.is_empty() && is_looked_at {
            return Ok(None);
        }
        let length = (sealed_size(self.size) - self.number * SEALED).min(SEALED) as usize;
        while self.buffer.len() < length {
            let piece = self.sealed.next_chunk().await.ok_or_else(not_ours)??;
            self.buffer.extend_from_slice(&piece);
        }
        let sealed = self.buffer.split_to(length);
        let is_last = self.number + 1 == chunks(self.size);
        let chunk = self.cipher.open(self.number, is_last, &sealed).ok_or_else(not_ours)?;
        let end = self.rest.end.min(start + chunk.len() as u64);
        let wanted = (self.rest.start - start) as usize..(end - start) as usize;
        (self.number, self.rest.start) = (self.number + 1, end);
        Ok(Some((Bytes::from(chunk).slice(wanted), self)))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateStore> CrateStore for EncryptedCrateStore<S> {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        let (secret, of) = (self.secret.clone(), key.clone());
        let sealed = spawn_blocking(move || encrypt(&secret, &of, &file)).await;
        let sealed = sealed.map_err(io::Error::other).flatten().map_err(failed)?;
        self.inner.put(key, sealed).await
    }

    /// Asks twice: first for the length, without which nobody knows which chunk is the last one.
    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let Some(stored) = self.head(key).await? else { return Ok(None) };
        let size = stored.size;
        let rest = range.map_or(0..size, |range| range.within(size));
        if rest.is_empty() && size > 0 {
            let (modified, body) = (stored.modified, Box::pin(stream::empty()));
            return Ok(Some(CrateFile { size, range: rest, modified, body }));
        }
        // The chunks that have something of it.
        let first = rest.start / CHUNK;
        let end = (rest.end.div_ceil(CHUNK) * SEALED).min(sealed_size(size));
        let sealed_range = first * SEALED..end.max(sealed_size(0));
        let range = ByteRange::FromTo(sealed_range.start, sealed_range.end - 1);
        let Some(sealed) = self.inner.get(key, Some(range)).await? else { return Ok(None) };
        if sealed.size != sealed_size(size) || sealed.range != sealed_range {
            return Err(not_ours());
        }
        let (modified, whole) = (sealed.modified, rest.clone());
        let cipher = FileCipher::new(&self.secret, key);
        let opening =
            Opening { cipher, sealed, size, number: first, buffer: BytesMut::new(), rest };
        let body = Box::pin(stream::try_unfold(opening, Opening::next));
        Ok(Some(CrateFile { size, range: whole, modified, body }))
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        let Some(stored) = self.inner.head(key).await? else { return Ok(None) };
        let size = opened_size(stored.size).ok_or_else(not_ours)?;
        Ok(Some(StoredCrate { size, ..stored }))
    }

    /// None: whoever follows it would get what is encrypted.
    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn list(&self) -> StoredCrates<'_> {
        Box::pin(self.inner.list().and_then(async |stored| {
            let size = opened_size(stored.size).ok_or_else(not_ours)?;
            Ok(StoredCrate { size, ..stored })
        }))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

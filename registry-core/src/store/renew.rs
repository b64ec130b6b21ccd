use bytes::Bytes;

use super::{AsideCrate, CrateBody, CrateFile, CrateKey, CrateStore, CrateUpkeep, StoreError};
use crate::checksum::{Checksum, ChecksumHasher};

/// Reads a file from wherever it is, in its place or aside, and puts it into its place again.
pub(crate) async fn renew(
    crates: &(impl CrateStore + ?Sized),
    key: &CrateKey,
) -> Result<(), StoreError> {
    let file = crates.get(key, None).await?.ok_or_else(|| failed(RenewalError::Missing))?;
    put_anew(crates, key, file).await
}

/// Reads a file that is aside and puts it into its place, leaving the entry as it is. One that is
/// gone already is no error.
///
/// Other than putting it back, this is safe while whoever put it aside may still be at it.
pub(crate) async fn renew_from(
    crates: &(impl CrateUpkeep + ?Sized),
    entry: &AsideCrate,
) -> Result<(), StoreError> {
    match crates.open_aside(entry).await? {
        Some(file) => put_anew(crates, &entry.key, file).await,
        None => Ok(()),
    }
}

/// Puts a file that is aside into its place, whatever is there, and [ends the entry](end).
pub(crate) async fn bring_back(
    crates: &dyn CrateUpkeep,
    entry: &AsideCrate,
) -> Result<(), StoreError> {
    let renewed = renew_from(crates, entry).await;
    end(crates, entry, renewed).await
}

/// Ends an entry whose file was stored again. If that failed, as it is damaged, another one that is
/// whole is stored in its stead; if there is none, it is left where it is.
///
/// For an entry of which a line names the file, and [whose move is over](AsideCrate::may_be_moving).
pub(crate) async fn end(
    crates: &dyn CrateUpkeep,
    entry: &AsideCrate,
    renewed: Result<(), StoreError>,
) -> Result<(), StoreError> {
    match renewed {
        // Which it is if the file is in its place still.
        Ok(()) => crates.put_back(entry).await,
        // It may be the one that is read now, so that it goes only when another one is in place.
        Err(error) => match renew(crates, &entry.key).await {
            Ok(()) => crates.purge(entry).await,
            Err(_) => Err(error),
        },
    }
}

async fn put_anew(
    crates: &(impl CrateStore + ?Sized),
    key: &CrateKey,
    mut file: CrateFile,
) -> Result<(), StoreError> {
    let (mut hasher, mut chunks) = (ChecksumHasher::new(), Vec::<Bytes>::new());
    while let Some(chunk) = file.next_chunk().await {
        let chunk = chunk?;
        hasher.update(&chunk);
        chunks.push(chunk);
    }
    match hasher.finish() {
        found if found == key.checksum => crates.put(key, CrateBody::from(chunks)).await,
        found => Err(failed(RenewalError::Damaged { found })),
    }
}

fn failed(error: RenewalError) -> StoreError {
    StoreError::failed("renewal", error)
}

#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("the file is missing")]
    Missing,
    #[error("the file is damaged: its checksum is `{found}`")]
    Damaged { found: Checksum },
}

use bytes::Bytes;

use super::{CrateBody, CrateKey, CrateStore, StoreError};
use crate::checksum::{Checksum, ChecksumHasher};

/// Reads a file from wherever it is, in its place or aside, and puts it into its place again.
pub(crate) async fn renew(
    crates: &(impl CrateStore + ?Sized),
    key: &CrateKey,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::failed("renewal", error);
    let mut file = crates.get(key, None).await?.ok_or_else(|| failed(RenewalError::Missing))?;
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

#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("the file is missing")]
    Missing,
    #[error("the file is damaged: its checksum is `{found}`")]
    Damaged { found: Checksum },
}

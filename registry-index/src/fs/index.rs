use std::{num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, CrateRecord, ETag, Index, IndexError, IndexFile, RegistryConfig,
    index::{Lookup, Revision, Stored},
    record::Change,
};

use super::{BACKEND, Difference, FolderIndex, error::FolderError, folder::Folder, layout};

impl FolderIndex {
    /// Writes the root document `config.json`, so that the folder is an index to whoever serves it.
    ///
    /// A document that says the same is left alone.
    ///
    /// # Errors
    /// [`IndexError::Full`] or [`IndexError::Backend`]; the document is then the old one or the new.
    pub async fn write_config(&self, config: &RegistryConfig) -> Result<(), IndexError> {
        let config = config.to_json();
        self.run(move |folder| folder.write_config(&config)).await
    }

    /// Compares the files that cargo reads with the records, and tells where they differ.
    ///
    /// Takes the time of reading the whole index, and for a moment the lock of each crate. A crate
    /// whose record is damaged is passed over: [`Index::load`] says what is wrong with it.
    ///
    /// # Errors
    /// [`IndexError::Backend`] if the folder cannot be read.
    pub async fn check(&self) -> Result<Vec<Difference>, IndexError> {
        self.run(|folder| folder.differences(false)).await
    }

    /// Makes the files that cargo reads anew where they differ from the records, as they do if
    /// somebody has edited the folder, and removes those of which there is no record. Gives what
    /// there was to do. The files of a crate whose record is damaged are left as they are.
    ///
    /// # Errors
    /// [`IndexError::Full`] or [`IndexError::Backend`]. What was done until then stays done.
    pub async fn rebuild(&self) -> Result<Vec<Difference>, IndexError> {
        self.run(|folder| folder.differences(true)).await
    }

    /// Works in the folder, on a thread that may wait for a disk.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, FolderError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let shared = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&shared.folder)).await {
            Ok(done) => Ok(done?),
            Err(panic) => Err(IndexError::Backend { backend: BACKEND, source: panic.into() }),
        }
    }
}

#[async_trait]
impl Index for FolderIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let (name, known) = (name.clone(), known.cloned());
        self.run(move |folder| folder.index_file(&name, known.as_ref())).await
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        let (name, known) = (name.clone(), known.cloned());
        self.run(move |folder| folder.load(&name, known.as_ref())).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        _change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        // Fifty writers of one crate wait here, and one of them on a thread.
        let turn = Arc::clone(&self.0.turns[layout::stripe_of(&name)]).lock_owned().await;
        let (shared, expected, next) = (Arc::clone(&self.0), expected.cloned(), next.clone());
        let committed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            shared.folder.commit(expected.as_ref(), &next)
        });
        // A panic says nothing about how far it came.
        committed
            .await
            .unwrap_or_else(|panic| Err(IndexError::OutcomeUnknown { name, source: panic.into() }))
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let after = after.cloned();
        self.run(move |folder| folder.names(after.as_ref(), limit)).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.run(Folder::ready).await
    }
}

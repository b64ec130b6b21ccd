use std::{sync::Arc, time::Duration};

use super::{
    Registry,
    clock::{Clock, Moment},
};
use crate::{
    gc::AgeRule,
    store::{CrateBody, CrateKey, CrateStore, StoreError, renew},
};

/// The files that a commit is going to name.
///
/// A collector leaves a file alone for as long as it is young, so a commit names young files only:
/// the [argument](crate::gc) is with the collector.
#[derive(Debug)]
pub(super) struct NewFiles {
    crates: Arc<dyn CrateStore>,
    clock: Clock,
    rule: AgeRule,
    files: Vec<NewFile>,
}

#[derive(Debug)]
struct NewFile {
    key: CrateKey,
    /// What to store again, as long as it is at hand.
    body: Option<CrateBody>,
    /// Before it was last stored. Not after: between the effect and the answer anything may
    /// happen, up to a machine that is put to sleep.
    stored: Moment,
}

impl Registry {
    pub(super) fn new_files(&self) -> NewFiles {
        NewFiles {
            crates: self.parts.crates.clone(),
            clock: self.parts.clock.clone(),
            rule: AgeRule { limit: self.parts.file_age_limit },
            files: Vec::new(),
        }
    }
}

impl NewFiles {
    /// Stores a file.
    pub(super) async fn put(&mut self, key: CrateKey, body: CrateBody) -> Result<(), StoreError> {
        let stored = self.clock.now();
        self.crates.put(&key, body.clone()).await?;
        self.files.push(NewFile { key, body: Some(body), stored });
        Ok(())
    }

    /// Lets go of the bytes of the last file: if need be, they are read from the store.
    pub(super) fn let_go(&mut self) {
        if let Some(last) = self.files.last_mut() {
            last.body = None;
        }
    }

    /// Makes the files young enough for a commit now.
    pub(super) async fn make_young(&mut self) -> Result<(), StoreError> {
        let rule = self.rule;
        self.store_again_if(|age| rule.renews_before_commit(age)).await?;
        let ages = self.files.iter().map(|file| self.clock.since(file.stored));
        match ages.max() {
            Some(age) if !rule.may_commit(age) => {
                Err(StoreError::failed("renewal", TooSlow { age, limit: rule.limit }))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure of files that became too old in a commit.
    pub(super) async fn make_sure(&mut self) -> Result<(), StoreError> {
        let rule = self.rule;
        self.store_again_if(|age| rule.renews_after_commit(age)).await
    }

    async fn store_again_if(
        &mut self,
        is_due: impl Fn(Duration) -> bool + Send,
    ) -> Result<(), StoreError> {
        for file in &mut self.files {
            if !is_due(self.clock.since(file.stored)) {
                continue;
            }
            let stored = self.clock.now();
            match &file.body {
                Some(body) => self.crates.put(&file.key, body.clone()).await?,
                None => renew(&*self.crates, &file.key).await?,
            }
            file.stored = stored;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("storing the files of one change took {} s, limit {}", age.as_secs(), limit.as_secs())]
struct TooSlow {
    age: Duration,
    limit: Duration,
}

#[cfg(test)]
mod tests;

//! Bringing all crates of one index over to another, and the users: [`migrate`],
//! [`migrate_users`]; and the crate files of one store to another: [`FileMigration`].

mod files;

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::{StreamExt as _, stream};

pub use self::files::{FileCopyError, FileCount, FileMigrateError, FileMigration, MigratedFiles};
use crate::{
    auth::{AuthStoreError, TokenKind, TokenTransfer},
    index::{self, Index, IndexError, Lookup},
    name::{CanonicalName, CrateName},
    record::{CrateRecord, Refusal, Stamp},
};

/// How many crates are copied at the same time: most of the time goes by waiting for the disks or
/// the networks of two backends.
const AT_ONCE: usize = 16;

/// How often a crate is decided anew because somebody else wrote to the target.
const ROUNDS: usize = 8;

/// Copies every crate of `from` to `to` as it is, in the order of names, and compares each with
/// what the target has then: the record, and the index file with its validator.
///
/// A crate that is there already follows its source, so a migration that was interrupted can be
/// run again, and one that was finished can be run again to bring over what came since. Nothing in
/// the target is taken away: a crate that has moved on by itself there is left as it is and
/// reported, and so is a crate that cannot be read or copied; the others go on.
///
/// `from` may be written to meanwhile; crates that are new then are left to the next run. Nobody
/// else may write to `to`. The owners in the records keep the ids they have: [`migrate_users`] has
/// to bring over the users first. Crate files are not concerned: a [`FileMigration`] moves them.
/// `progress` is told after each crate.
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{Login, memory::MemoryIndex, migrate::migrate, record::{Origin, Stamp, Timestamp}};
///
/// # async fn program() -> Result<(), Box<dyn std::error::Error>> {
/// let (from, to) = (MemoryIndex::new(), MemoryIndex::new());
/// let stamp = Stamp { by: Login::new("admin")?, at: Timestamp(1_709_208_000), origin: Origin::default() };
/// let migration = migrate(Arc::new(from), Arc::new(to), stamp, |_| {}).await?;
/// assert!(migration.is_complete());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`MigrateError`] if one of the two fails as a whole. What was copied stays.
pub async fn migrate(
    from: Arc<dyn Index>,
    to: Arc<dyn Index>,
    stamp: Stamp,
    mut progress: impl FnMut(&Migration) + Send,
) -> Result<Migration, MigrateError> {
    let names = index::all_names(&*from).await.map_err(MigrateError::Source)?;
    let mut migration = Migration { crates: names.len(), ..Migration::default() };
    let copies = names.into_iter().map(|name| {
        let (from, to, stamp) = (from.clone(), to.clone(), stamp.clone());
        async move {
            let outcome = copy(&*from, &*to, &name, &stamp).await;
            (name, outcome)
        }
    });
    let mut copies = stream::iter(copies).buffered(AT_ONCE);
    while let Some((name, outcome)) = copies.next().await {
        match outcome {
            Ok(Copied::New) => migration.new += 1,
            Ok(Copied::Followed) => migration.followed += 1,
            Ok(Copied::Same) => migration.same += 1,
            Err(error) => {
                let error = fatal(&*from, &*to, error).await?;
                migration.failed.push((name, error));
            }
        }
        progress(&migration);
    }
    Ok(migration)
}

/// Copies all users to another store, with their ids and tokens: so that the owners in records which
/// [`migrate`] copies are who they were, and log in as they did. To be done before, since then a user
/// who cannot be the same there is noticed while nothing else is. How many users there are.
///
/// Those who are there already are given the tokens they lack, and what was revoked is revoked
/// there, so that this, too, can be repeated.
///
/// Tokens of CI runs are left out: they end soon, and name trusted publishers by their ids, which are
/// others there.
///
/// Of accounts this knows nothing: where there are some, bring them over first by
/// [`AccountStore::adopt_account`](crate::auth::AccountStore::adopt_account), or the tokens of somebody
/// who is disabled count there.
///
/// # Errors
/// [`AuthStoreError`] if a store fails; with [`AdoptionError`](crate::auth::AdoptionError) as its
/// source for a user or a token that is another one there. Users with lower ids were copied.
pub async fn migrate_users(
    from: &dyn TokenTransfer,
    to: &dyn TokenTransfer,
) -> Result<usize, AuthStoreError> {
    to.add_keys(&from.keys().await?).await?;
    let users = from.export().await?;
    for user in &users {
        let mut user = user.clone();
        user.tokens.retain(|stored| stored.token.kind != TokenKind::TrustedPublisher);
        to.adopt(&user).await?;
    }
    Ok(users.len())
}

enum Copied {
    New,
    Followed,
    Same,
}

async fn copy(
    from: &dyn Index,
    to: &dyn Index,
    name: &CanonicalName,
    stamp: &Stamp,
) -> Result<Copied, CopyError> {
    let source = from.load(name, None).await.map_err(CopyError::Source)?;
    let Some(source) = source.found().map(|stored| stored.record) else {
        return Err(CopyError::Gone);
    };
    if source.name().canonical() != *name {
        return Err(CopyError::OtherCrate { found: source.name().clone() });
    }
    let (mut copied, mut failure) = (Copied::Same, CopyError::Differs);
    for _ in 0..ROUNDS {
        let target = to.load(name, None).await.map_err(CopyError::Target)?.found();
        let (revision, transition) = match target {
            None => (None, Some(source.clone().imported(stamp.clone()))),
            Some(target) => (Some(target.revision), target.record.follow(&source, stamp.clone())?),
        };
        let Some((next, change)) = transition else {
            return compare(to, name, &source).await.map(|()| copied);
        };
        // The next round finds out what is there now.
        match to.commit(revision.as_ref(), &change, &next).await {
            Err(IndexError::Conflict { .. }) => continue,
            Ok(_) => {}
            Err(error @ IndexError::OutcomeUnknown { .. }) => failure = CopyError::Target(error),
            Err(error) => return Err(CopyError::Target(error)),
        }
        copied = if revision.is_none() { Copied::New } else { Copied::Followed };
    }
    Err(failure)
}

/// Whether clients of the target are served what the record says. That the records are equal is
/// known.
async fn compare(
    to: &dyn Index,
    name: &CanonicalName,
    source: &CrateRecord,
) -> Result<(), CopyError> {
    let file = to.index_file(name, None).await.map_err(CopyError::Target)?;
    if file == Lookup::Found(source.index_file()) { Ok(()) } else { Err(CopyError::Differs) }
}

/// The failure of one crate, if it is no more than that.
async fn fatal(
    from: &dyn Index,
    to: &dyn Index,
    error: CopyError,
) -> Result<CopyError, MigrateError> {
    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    match error {
        CopyError::Source(error) => match from.names(None, ONE).await {
            Ok(_) => Ok(CopyError::Source(error)),
            Err(_) => Err(MigrateError::Source(error)),
        },
        CopyError::Target(error @ IndexError::Full { .. }) => Err(MigrateError::Target(error)),
        CopyError::Target(error) => match to.ready().await {
            Ok(()) => Ok(CopyError::Target(error)),
            Err(_) => Err(MigrateError::Target(error)),
        },
        error => Ok(error),
    }
}

/// What became of the crates of the source, until now.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Migration {
    /// How many crates the source has.
    pub crates: usize,
    /// How many were not in the target.
    pub new: usize,
    /// How many were there in an earlier state.
    pub followed: usize,
    /// How many were there as they are in the source.
    pub same: usize,
    /// Those that are not in the target as they are in the source, in the order of names.
    pub failed: Vec<(CanonicalName, CopyError)>,
}

impl Migration {
    /// How many crates have been seen to.
    pub fn done(&self) -> usize {
        self.new + self.followed + self.same + self.failed.len()
    }

    /// Whether the target has all that the source has.
    pub fn is_complete(&self) -> bool {
        self.done() == self.crates && self.failed.is_empty()
    }
}

/// Why a crate is not in the target as it is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// What the target has is no earlier state of what the source has; it was left as it is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The source has lost it since it was listed.
    #[error("the source does not have it any more")]
    Gone,
    /// The source has the record of another crate under its name.
    #[error("what the source has of it is crate `{found}`")]
    OtherCrate {
        /// The crate that was found.
        found: CrateName,
    },
    /// The target shows another state than the one that was written.
    #[error("the target does not show what was written to it: does anybody else write there?")]
    Differs,
    /// It cannot be read from the source.
    #[error("it cannot be read from the source")]
    Source(#[source] IndexError),
    /// It cannot be written to the target, or read from there.
    #[error("it cannot be written to the target, or read from there")]
    Target(#[source] IndexError),
}

/// A migration did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The source failed.
    #[error("the source of the migration failed")]
    Source(#[source] IndexError),
    /// The target failed.
    #[error("the target of the migration failed")]
    Target(#[source] IndexError),
}

//! `users.json`: all users, and the keys of their tokens.

use bytes::Bytes;
use object_store::path::Path;
use registry_core::{
    BoxError, Checksum, Login, Owner,
    auth::TokenKey,
    index::{Lookup, Revision},
};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, ReplaceError};

const USERS: &str = "users.json";

/// The layout of `users.json`.
const FORMAT: u32 = 2;

/// How often a change is made anew because another process was faster. Each time, one was.
pub(super) const ROUNDS: usize = 100;

/// How often after a write of unknown outcome: the store fails, and soon enough so does this.
pub(super) const UNKNOWN_ROUNDS: usize = 3;

/// What is in `users.json`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Users {
    format: u32,
    /// Hexadecimal. The first is for new tokens, unless there is one from outside.
    keys: Vec<Checksum>,
    pub(super) users: Vec<Owner>,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Users {
    pub(super) fn keys(&self) -> Vec<TokenKey> {
        self.keys.iter().map(|key| TokenKey::from_bytes(*key.as_bytes())).collect()
    }

    pub(super) fn add_key(&mut self, key: &TokenKey) {
        let key = Checksum::from(*key.expose());
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    pub(super) fn find(&self, login: &Login) -> Option<&Owner> {
        self.users.iter().find(|user| user.login == *login)
    }

    pub(super) async fn read(bucket: &Bucket) -> Result<(Self, Option<Revision>), BoxError> {
        match bucket.read(&Path::from(USERS), None).await? {
            Lookup::Found((json, revision)) => {
                // The format first: a later one may have any other fields.
                let Format { format } = serde_json::from_slice(&json)?;
                if format != FORMAT {
                    let error =
                        format!("`{USERS}` has format {format}, this version reads {FORMAT}");
                    return Err(error.into());
                }
                Ok((serde_json::from_slice(&json)?, Some(revision)))
            }
            Lookup::Absent | Lookup::Unchanged => {
                Ok((Self { format: FORMAT, keys: Vec::new(), users: Vec::new() }, None))
            }
        }
    }

    /// Changes what is there, by `change`, which is called with the newest state until that is the
    /// one replaced. What does not differ then is not written.
    pub(super) async fn change<T>(
        bucket: &Bucket,
        change: impl Fn(&mut Self) -> Result<T, BoxError> + Send,
    ) -> Result<(T, Self), BoxError> {
        let mut unknown = 0;
        for _ in 0..ROUNDS {
            let (users, revision) = Self::read(bucket).await?;
            let mut next = users.clone();
            let result = change(&mut next)?;
            let (before, after) = (to_json(&users), to_json(&next));
            if before == after {
                return Ok((result, next));
            }
            // Who else writes these very bytes makes the same change.
            match bucket.replace(&Path::from(USERS), revision.as_ref(), after).await {
                Ok(_) => return Ok((result, next)),
                Err(ReplaceError::Conflict) => {}
                // It is there when all are read again, or it is not.
                Err(ReplaceError::Unknown(_)) if unknown < UNKNOWN_ROUNDS => unknown += 1,
                Err(ReplaceError::Unknown(error) | ReplaceError::Failed(error)) => {
                    return Err(error.into());
                }
            }
        }
        Err(format!("others have changed `{USERS}` {ROUNDS} times meanwhile").into())
    }
}

pub(super) fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("string keys only, and no part that fails").into()
}

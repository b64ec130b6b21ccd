use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, path::Path};
use registry_core::{
    BoxError, Checksum, Login, Owner,
    auth::{AdoptionError, AuthStoreError, TokenDigest, TokenStore, TokenTransfer, UserTokens},
    index::{Lookup, Revision},
};
use serde::{Deserialize, Serialize};

use super::{
    BACKEND,
    bucket::{Bucket, ReplaceError},
    probe::{self, ObjectOpenError},
};

const USERS: &str = "users.json";
const TOKENS: &str = "tokens";

/// Tokens that are read at the same time, when all of them are.
const READS_AT_ONCE: usize = 16;

/// The layout of `users.json`.
const FORMAT: u32 = 1;

/// Users and the digests of their tokens in an object store. Clones share the store.
///
/// Whose a token is takes one GET. All users are one object, which is read to find one by login and
/// replaced to add one.
#[derive(Clone, Debug)]
pub struct ObjectTokens(Bucket);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Users {
    format: u32,
    users: Vec<Owner>,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl ObjectTokens {
    /// How often a user is added anew because another process was faster. Each time, one was.
    const ROUNDS: usize = 100;

    /// How often after a write of unknown outcome: the store fails, and soon enough so does this.
    const UNKNOWN_ROUNDS: usize = 3;

    /// Uses `store`, after trying it out as [`ObjectIndex::open`](super::ObjectIndex::open) does.
    ///
    /// # Errors
    /// [`ObjectOpenError`] if it does not do what is needed, or cannot be reached.
    pub async fn open(store: Arc<dyn ObjectStore>) -> Result<Self, ObjectOpenError> {
        let bucket = Bucket(store);
        probe::check(&bucket).await?;
        Ok(Self(bucket))
    }

    async fn users(&self) -> Result<(Users, Option<Revision>), BoxError> {
        match self.0.read(&Path::from(USERS), None).await? {
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
                Ok((Users { format: FORMAT, users: Vec::new() }, None))
            }
        }
    }

    async fn user_or_new(&self, login: &Login) -> Result<Owner, BoxError> {
        let user = self.find_or_add(|users| {
            if let Some(user) = find(users, login) {
                return Ok(Found::Here(user.clone()));
            }
            let last = users.users.iter().map(|user| user.id).max().unwrap_or(0);
            let id = last.checked_add(1).ok_or("there are no more numbers for users")?;
            Ok(Found::New(Owner { id, login: login.clone(), name: None }))
        });
        user.await
    }

    /// A user that is there, or is added now: `look` says which, given all there are.
    async fn find_or_add(
        &self,
        look: impl Fn(&Users) -> Result<Found, BoxError> + Send,
    ) -> Result<Owner, BoxError> {
        let mut unknown = 0;
        for _ in 0..Self::ROUNDS {
            let (mut users, revision) = self.users().await?;
            let user = match look(&users)? {
                Found::Here(user) => return Ok(user),
                Found::New(user) => user,
            };
            users.users.push(user.clone());
            // Who else writes these very bytes adds the same user with the same number.
            let path = Path::from(USERS);
            match self.0.replace(&path, revision.as_ref(), to_json(&users)).await {
                Ok(_) => return Ok(user),
                Err(ReplaceError::Conflict) => {}
                // It is there when all are read again, or it is not.
                Err(ReplaceError::Unknown(_)) if unknown < Self::UNKNOWN_ROUNDS => unknown += 1,
                Err(ReplaceError::Unknown(error) | ReplaceError::Failed(error)) => {
                    return Err(error.into());
                }
            }
        }
        Err(format!("others have changed `{USERS}` {} times meanwhile", Self::ROUNDS).into())
    }

    async fn owner_of(&self, digest: &TokenDigest) -> Result<Option<Owner>, BoxError> {
        match self.0.read(&path_of(digest), None).await? {
            Lookup::Found((json, _)) => Ok(Some(serde_json::from_slice(&json)?)),
            Lookup::Absent | Lookup::Unchanged => Ok(None),
        }
    }

    async fn add(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, BoxError> {
        let user = self.user_or_new(login).await?;
        self.add_token(&user, digest).await?;
        Ok(user)
    }

    async fn add_token(&self, user: &Owner, digest: &TokenDigest) -> Result<(), BoxError> {
        match self.0.replace(&path_of(digest), None, to_json(user)).await {
            Ok(_) => Ok(()),
            Err(ReplaceError::Conflict) => match self.owner_of(digest).await? {
                Some(owner) if owner == *user => Ok(()),
                Some(_) => Err(AdoptionError::TokenTaken { login: user.login.clone() }.into()),
                None => Err("the token was not written; try again".into()),
            },
            Err(ReplaceError::Unknown(error) | ReplaceError::Failed(error)) => Err(error.into()),
        }
    }
}

#[async_trait]
impl TokenStore for ObjectTokens {
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, AuthStoreError> {
        self.add(login, digest).await.map_err(failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, AuthStoreError> {
        self.owner_of(digest).await.map_err(failed)
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        let (users, _) = self.users().await.map_err(failed)?;
        Ok(find(&users, login).cloned())
    }
}

#[async_trait]
impl TokenTransfer for ObjectTokens {
    /// Lists all tokens, and reads each.
    async fn export(&self) -> Result<Vec<UserTokens>, AuthStoreError> {
        self.all().await.map_err(failed)
    }

    async fn adopt(&self, user: &UserTokens) -> Result<(), AuthStoreError> {
        self.add_as_it_is(user).await.map_err(failed)
    }
}

impl ObjectTokens {
    async fn all(&self) -> Result<Vec<UserTokens>, BoxError> {
        let mut tokens: BTreeMap<Login, Vec<TokenDigest>> = BTreeMap::new();
        let listed = self.0.list(&Path::from(TOKENS), None);
        let read = listed.map_ok(|name| async move {
            let digest: Checksum = name.parse()?;
            let digest = TokenDigest::from_bytes(*digest.as_bytes());
            Ok::<_, BoxError>((digest, self.owner_of(&digest).await?))
        });
        let mut read = read.try_buffered(READS_AT_ONCE);
        while let Some((digest, owner)) = read.try_next().await? {
            let owner = owner.ok_or("a token that was listed is not there")?;
            tokens.entry(owner.login).or_default().push(digest);
        }
        let (users, _) = self.users().await?;
        let with_tokens = users.users.into_iter().map(|user| {
            let tokens = tokens.remove(&user.login).unwrap_or_default();
            UserTokens { user, tokens }
        });
        let mut all: Vec<_> = with_tokens.collect();
        all.sort_by_key(|user| user.user.id);
        Ok(all)
    }

    async fn add_as_it_is(&self, user: &UserTokens) -> Result<(), BoxError> {
        let UserTokens { user, tokens } = user;
        // Looked at first, so that what cannot be adopted leaves nothing.
        for digest in tokens {
            if self.owner_of(digest).await?.is_some_and(|owner| owner != *user) {
                return Err(AdoptionError::TokenTaken { login: user.login.clone() }.into());
            }
        }
        let added = self.find_or_add(|users| {
            let same_id = users.users.iter().find(|other| other.id == user.id);
            let here = AdoptionError::check(user, find(users, &user.login), same_id)?;
            Ok(if here { Found::Here(user.clone()) } else { Found::New(user.clone()) })
        });
        let user = added.await?;
        for digest in tokens {
            self.add_token(&user, digest).await?;
        }
        Ok(())
    }
}

/// A user who was looked for.
enum Found {
    Here(Owner),
    New(Owner),
}

fn find<'a>(users: &'a Users, login: &Login) -> Option<&'a Owner> {
    users.users.iter().find(|user| user.login == *login)
}

fn path_of(digest: &TokenDigest) -> Path {
    Path::from_iter([TOKENS, &Checksum::from(*digest.as_bytes()).to_string()])
}

fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("string keys only, and no part that fails").into()
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

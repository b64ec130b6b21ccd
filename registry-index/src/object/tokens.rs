use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectStore, path::Path};
use registry_core::{
    BoxError, Checksum, Login, Owner,
    auth::{
        AdoptionError, AuthStoreError, NewToken, Revocation, StoredToken, TokenDigest, TokenHash,
        TokenId, TokenKey, TokenKeys, TokenKind, TokenRecord, TokenRefusal, TokenStore,
        TokenTransfer, UserTokens,
    },
    index::{Lookup, Revision},
    record::Timestamp,
};

use super::{
    BACKEND,
    bucket::{Bucket, ReplaceError},
    probe::{self, ObjectOpenError},
    users::{ROUNDS, UNKNOWN_ROUNDS, Users, to_json},
};

const TOKENS: &str = "tokens";
const TOKENS_OF: &str = "tokens-of";

/// Tokens that are read at the same time, when many of them are.
const READS_AT_ONCE: usize = 16;

/// Users and what is known of their tokens in an object store. Clones share the store.
///
/// Whose a token is takes one GET. All users are one object, which is read to find one by login and
/// replaced to add one. To make a token, those of its user are listed, so whoever makes several at a
/// time may have a few more than they may have; to list them for somebody, each is read.
#[derive(Clone)]
pub struct ObjectTokens {
    bucket: Bucket,
    outside: Option<TokenKey>,
    /// The keys in the bucket when it was last looked.
    stored: Arc<Mutex<Vec<TokenKey>>>,
}

impl fmt::Debug for ObjectTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectTokens").field(&self.bucket).finish()
    }
}

impl ObjectTokens {
    /// Uses `store`, after trying it out as [`ObjectIndex::open`](super::ObjectIndex::open) does.
    ///
    /// # Errors
    /// [`ObjectOpenError`] if it does not do what is needed, or cannot be reached.
    pub async fn open(store: Arc<dyn ObjectStore>) -> Result<Self, ObjectOpenError> {
        let bucket = Bucket(store);
        probe::check(&bucket).await?;
        Ok(Self { bucket, outside: None, stored: Arc::default() })
    }

    /// With a key that is not in the bucket, for new tokens. Those under a key in the bucket are
    /// found as well.
    #[must_use]
    pub fn with_key(self, key: impl Into<Option<TokenKey>>) -> Self {
        Self { outside: key.into(), ..self }
    }

    async fn add(&self, new: &NewToken) -> Result<TokenRecord, BoxError> {
        TokenRefusal::check_login(&new.login)?;
        if let Some(found) = self.look_up(&new.digest).await? {
            return match found.user.login == new.login {
                true => Ok(found),
                false => Err(TokenRefusal::Taken.into()),
            };
        }
        // For the first user, as good as any.
        let fresh = TokenKey::generate()?;
        let added = Users::change(&self.bucket, |users| {
            if self.outside.is_none() && users.keys().is_empty() {
                users.add_key(&fresh);
            }
            if let Some(user) = users.find(&new.login) {
                return Ok(user.clone());
            }
            let last = users.users.iter().map(|user| user.id).max().unwrap_or(0);
            let id = last.checked_add(1).ok_or("there are no more numbers for users")?;
            let user = Owner { id, login: new.login.clone(), name: None };
            users.users.push(user.clone());
            Ok(user)
        });
        let (user, users) = added.await?;
        // Read only if there are so many, some of which may be dead.
        let hashes = match new.kind {
            TokenKind::User => self.hashes_in(folder_of(&user)).await?,
            _ => Vec::new(),
        };
        if hashes.len() >= TokenRefusal::MOST {
            let theirs = self.read_of(&user, hashes).await?;
            let counting = theirs.iter().filter(|StoredToken { token, .. }| {
                token.kind == TokenKind::User && token.counts_at(new.created_at)
            });
            TokenRefusal::check_number(new, counting.count())?;
        }
        let keys = self.keys_with(&users.keys()).ok_or("there is no key for tokens")?;
        let hash = keys.hash(&new.digest);
        let token = TokenRecord::new(&hash, user, new);
        self.put(&hash, &token).await?.ok_or_else(|| TokenRefusal::Taken.into())
    }

    /// Writes a token that is not there; what is there now, unless it is another user's.
    async fn put(
        &self,
        hash: &TokenHash,
        token: &TokenRecord,
    ) -> Result<Option<TokenRecord>, BoxError> {
        // Listed before it counts: one that counts can be found to be revoked.
        self.bucket.write(&marker_of(&token.user, hash), Bytes::new()).await?;
        let here = match self.bucket.replace(&path_of(hash), None, to_json(token)).await {
            Ok(_) => return Ok(Some(token.clone())),
            Err(ReplaceError::Conflict) => self.read(hash).await?,
            Err(ReplaceError::Unknown(error) | ReplaceError::Failed(error)) => {
                return Err(error.into());
            }
        };
        let (here, _) = here.ok_or("the token was not written; try again")?;
        Ok(Some(here).filter(|here| here.user == token.user))
    }

    /// Changes a token that is there; what it is then.
    async fn update(
        &self,
        hash: &TokenHash,
        change: impl Fn(&mut TokenRecord) + Send,
    ) -> Result<Option<TokenRecord>, BoxError> {
        let mut unknown = 0;
        for _ in 0..ROUNDS {
            let Some((before, revision)) = self.read(hash).await? else { return Ok(None) };
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return Ok(Some(after));
            }
            match self.bucket.replace(&path_of(hash), Some(&revision), to_json(&after)).await {
                Ok(_) => return Ok(Some(after)),
                Err(ReplaceError::Conflict) => {}
                Err(ReplaceError::Unknown(_)) if unknown < UNKNOWN_ROUNDS => unknown += 1,
                Err(ReplaceError::Unknown(error) | ReplaceError::Failed(error)) => {
                    return Err(error.into());
                }
            }
        }
        Err(format!("others have changed a token {ROUNDS} times meanwhile").into())
    }

    async fn read(&self, hash: &TokenHash) -> Result<Option<(TokenRecord, Revision)>, BoxError> {
        match self.bucket.read(&path_of(hash), None).await? {
            Lookup::Found((json, revision)) => Ok(Some((serde_json::from_slice(&json)?, revision))),
            Lookup::Absent | Lookup::Unchanged => Ok(None),
        }
    }

    fn keys_with(&self, stored: &[TokenKey]) -> Option<TokenKeys> {
        TokenKeys::new(self.outside.clone(), stored.iter().cloned())
    }

    /// One GET, if it is there. If not, another process may have brought it over with its key.
    async fn look_up(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, BoxError> {
        let remembered = self.remembered(|stored| stored.clone());
        if let Some(found) = self.look_under(&remembered, digest).await? {
            return Ok(Some(found));
        }
        let stored = Users::read(&self.bucket).await?.0.keys();
        self.remembered(|remembered| remembered.clone_from(&stored));
        if stored == remembered { Ok(None) } else { self.look_under(&stored, digest).await }
    }

    async fn look_under(
        &self,
        stored: &[TokenKey],
        digest: &TokenDigest,
    ) -> Result<Option<TokenRecord>, BoxError> {
        let Some(keys) = self.keys_with(stored) else { return Ok(None) };
        let hashes: Vec<_> = keys.hashes(digest).collect();
        for hash in hashes {
            if let Some((found, _)) = self.read(&hash).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn remembered<T>(&self, look: impl FnOnce(&mut Vec<TokenKey>) -> T) -> T {
        // Nothing panics while it is held.
        look(&mut self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tokens of these names, but for those that are not there.
    async fn read_all(&self, hashes: Vec<TokenHash>) -> Result<Vec<StoredToken>, BoxError> {
        let reads = hashes.into_iter().map(|hash| async move {
            let found = self.read(&hash).await?;
            Ok(found.map(|(token, _)| StoredToken { hash, token }))
        });
        let read = stream::iter(reads).buffered(READS_AT_ONCE);
        read.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
    }

    async fn hashes_in(&self, folder: Path) -> Result<Vec<TokenHash>, BoxError> {
        let names = self.bucket.list(&folder, None);
        names.and_then(|name| std::future::ready(hash_of(&name))).try_collect().await
    }

    async fn tokens_of(&self, user: &Owner) -> Result<Vec<TokenRecord>, BoxError> {
        Ok(in_order(self.stored_of(user).await?))
    }

    async fn stored_of(&self, user: &Owner) -> Result<Vec<StoredToken>, BoxError> {
        self.read_of(user, self.hashes_in(folder_of(user)).await?).await
    }

    async fn read_of(
        &self,
        user: &Owner,
        hashes: Vec<TokenHash>,
    ) -> Result<Vec<StoredToken>, BoxError> {
        let mut tokens = self.read_all(hashes).await?;
        // Who was too late for a token has left a marker.
        tokens.retain(|stored| stored.token.user.id == user.id);
        Ok(tokens)
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, BoxError> {
        Ok(Users::read(&self.bucket).await?.0.find(login).cloned())
    }

    async fn listed(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, BoxError> {
        match login {
            None => {
                let hashes = self.hashes_in(Path::from(TOKENS)).await?;
                Ok(in_order(self.read_all(hashes).await?))
            }
            Some(login) => match self.find_user(login).await? {
                Some(user) => self.tokens_of(&user).await,
                None => Ok(Vec::new()),
            },
        }
    }

    /// What is stored of the token of this id, whose digits it begins with.
    async fn hash_of_id(&self, id: TokenId) -> Result<Option<TokenHash>, BoxError> {
        let before = format!("{:016x}", id.number() << 11);
        let mut names = self.bucket.list(&Path::from(TOKENS), Some(&before));
        let Some(name) = names.try_next().await? else { return Ok(None) };
        Ok(Some(hash_of(&name)?).filter(|hash| TokenId::of(hash) == id))
    }

    async fn revoke_all(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, BoxError> {
        let hashes = match revocation {
            Revocation::Token(id) => Vec::from_iter(self.hash_of_id(*id).await?),
            Revocation::User(login) => match self.find_user(login).await? {
                Some(user) => {
                    self.stored_of(&user).await?.iter().map(|stored| stored.hash).collect()
                }
                None => Vec::new(),
            },
        };
        let mut revoked = Vec::new();
        for hash in hashes {
            let update = self.update(&hash, |token| {
                token.revoked_at.get_or_insert(at);
            });
            revoked.extend(update.await?.map(|token| StoredToken { hash, token }));
        }
        Ok(in_order(revoked))
    }
}

#[async_trait]
impl TokenStore for ObjectTokens {
    async fn create(&self, token: &NewToken) -> Result<TokenRecord, AuthStoreError> {
        self.add(token).await.map_err(failed)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError> {
        self.look_up(digest).await.map_err(failed)
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError> {
        self.listed(login).await.map_err(failed)
    }

    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError> {
        self.revoke_all(revocation, at).await.map_err(failed)
    }

    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError> {
        for (id, at) in uses {
            let Some(hash) = self.hash_of_id(*id).await.map_err(failed)? else { continue };
            let update = self.update(&hash, |token| {
                token.last_used_at = token.last_used_at.max(Some(*at));
            });
            update.await.map_err(failed)?;
        }
        Ok(())
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        self.find_user(login).await.map_err(failed)
    }
}

#[async_trait]
impl TokenTransfer for ObjectTokens {
    async fn keys(&self) -> Result<Vec<TokenKey>, AuthStoreError> {
        Ok(Users::read(&self.bucket).await.map_err(failed)?.0.keys())
    }

    async fn add_keys(&self, keys: &[TokenKey]) -> Result<(), AuthStoreError> {
        let added = Users::change(&self.bucket, |users| {
            keys.iter().for_each(|key| users.add_key(key));
            Ok(())
        });
        added.await.map(drop).map_err(failed)
    }

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
        let mut tokens: BTreeMap<u32, Vec<StoredToken>> = BTreeMap::new();
        for stored in self.read_all(self.hashes_in(Path::from(TOKENS)).await?).await? {
            tokens.entry(stored.token.user.id).or_default().push(stored);
        }
        let (users, _) = Users::read(&self.bucket).await?;
        let with_tokens = users.users.into_iter().map(|user| {
            let tokens = tokens.remove(&user.id).unwrap_or_default();
            UserTokens { user, tokens }
        });
        let mut all: Vec<_> = with_tokens.collect();
        all.sort_by_key(|user| user.user.id);
        Ok(all)
    }

    async fn add_as_it_is(&self, user: &UserTokens) -> Result<(), BoxError> {
        let UserTokens { user, tokens } = user;
        let taken = || AdoptionError::TokenTaken { login: user.login.clone() };
        // Looked at first, so that what cannot be adopted leaves nothing.
        let hashes = tokens.iter().map(|token| token.hash).collect();
        if self.read_all(hashes).await?.iter().any(|here| here.token.user.id != user.id) {
            return Err(taken().into());
        }
        let added = Users::change(&self.bucket, |users| {
            let same_id = users.users.iter().find(|other| other.id == user.id);
            if !AdoptionError::check(user, users.find(&user.login), same_id)? {
                users.users.push(user.clone());
            }
            Ok(())
        });
        added.await?;
        for StoredToken { hash, token } in tokens {
            self.put(hash, token).await?.ok_or_else(taken)?;
            self.update(hash, |here| here.follow(token)).await?;
        }
        Ok(())
    }
}

/// By the time of making, and id.
fn in_order(tokens: Vec<StoredToken>) -> Vec<TokenRecord> {
    let mut tokens: Vec<_> = tokens.into_iter().map(|stored| stored.token).collect();
    tokens.sort_by_key(|token| (token.created_at, token.id));
    tokens
}

fn path_of(hash: &TokenHash) -> Path {
    Path::from_iter([TOKENS, &digits(hash)])
}

/// Where objects say that tokens are this user's.
fn folder_of(user: &Owner) -> Path {
    Path::from_iter([TOKENS_OF, &user.id.to_string()])
}

fn marker_of(user: &Owner, hash: &TokenHash) -> Path {
    folder_of(user).join(digits(hash))
}

fn digits(hash: &TokenHash) -> String {
    Checksum::from(*hash.as_bytes()).to_string()
}

fn hash_of(digits: &str) -> Result<TokenHash, BoxError> {
    Ok(TokenHash::from_bytes(*digits.parse::<Checksum>()?.as_bytes()))
}

fn failed(source: BoxError) -> AuthStoreError {
    AuthStoreError { backend: BACKEND, source }
}

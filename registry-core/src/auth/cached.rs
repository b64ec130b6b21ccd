use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use async_lock::MutexGuardArc;
use async_trait::async_trait;

use super::{AuthError, Authenticator, Credential, Principal};
use crate::{
    checksum::{Checksum, ChecksumHasher},
    observer::{CacheRead, Event, Observer},
    owner::{Login, Owner},
};

/// Remembers for a moment whose credential it is. Clones share what is remembered.
///
/// A principal is given to every request with the same credential (and user name, if there is one)
/// that arrives within [`CachedAuthenticator::MAX_AGE`] of the moment before it was asked for. So
/// what was revoked, disabled or has expired elsewhere still reads for as long, and no longer; it
/// writes nothing, because [`Authenticator::authenticate_anew`] goes by nothing that is remembered
/// here. (An [`AccountFile`](super::AccountFile) remembers by itself what it has read.)
/// By [`CachedAuthenticator::forget`], what was changed here does not count at all from then on; as
/// an [`Observer`] of its registry, it forgets by itself what is changed there.
///
/// Of many who bring one credential at a time, one asks. Refusals and failures are not kept, nor
/// principals with a [claim](Principal::claim), whose credentials may count only once: then each
/// asks. A credential itself is never kept, only its SHA-256.
#[derive(Clone)]
pub struct CachedAuthenticator<A> {
    inner: A,
    cache: Arc<Cache>,
    meter: Option<Arc<Meter>>,
    now: fn() -> Instant,
}

type Meter = dyn Fn(CacheRead) + Send + Sync;

#[derive(Default)]
struct Cache(Mutex<State>);

#[derive(Default)]
struct State {
    kept: HashMap<Key, Kept>,
    asking: HashMap<Key, Arc<async_lock::Mutex<()>>>,
    /// How often all was forgotten: what was asked before that is not kept.
    epoch: u64,
    swept_at: Option<Instant>,
}

struct Kept {
    principal: Arc<Principal>,
    asked_at: Instant,
}

/// When somebody asked.
#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    epoch: u64,
}

/// SHA-256 of a credential, with its user name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key(Checksum);

impl Key {
    fn of(credential: &Credential) -> Self {
        let mut hasher = ChecksumHasher::new();
        if let Some(user) = credential.user() {
            hasher.update(user.as_bytes());
            // Neither in a name nor in a secret, as `Credential` reads them.
            hasher.update(b"\0");
        }
        hasher.update(credential.expose().as_bytes());
        Self(hasher.finish())
    }
}

impl<A> CachedAuthenticator<A> {
    /// For how long a principal is remembered. Source: ours; what is revoked by another process is
    /// to be refused within a second.
    pub const MAX_AGE: Duration = Duration::from_millis(500);
    /// Most principals that are remembered; the credentials of further ones are asked for each time.
    /// Source: ours, some MiB.
    pub const MAX_PRINCIPALS: usize = 10_000;

    /// Remembers what `inner` says.
    pub fn new(inner: A) -> Self {
        Self { inner, cache: Arc::default(), meter: None, now: Instant::now }
    }

    /// Tells `meter` of each [`authenticate`](Authenticator::authenticate). It must neither block nor
    /// panic.
    ///
    /// To be set before the authenticator is cloned.
    #[must_use]
    pub fn with_meter(self, meter: impl Fn(CacheRead) + Send + Sync + 'static) -> Self {
        Self { meter: Some(Arc::new(meter)), ..self }
    }

    fn meter(&self, read: CacheRead) {
        if let Some(meter) = &self.meter {
            meter(read);
        }
    }

    /// Has every request that arrives from now on ask anew: to be called when something was revoked
    /// or disabled, before that is acknowledged.
    pub fn forget(&self) {
        let mut state = self.cache.lock();
        state.kept.clear();
        state.asking.clear();
        state.epoch += 1;
    }
}

impl<A: Authenticator> CachedAuthenticator<A> {
    async fn ask(&self, credential: &Credential, key: Key) -> Result<Arc<Principal>, AuthError> {
        let asked = self.cache.asked((self.now)());
        let principal = self.inner.authenticate(credential).await?;
        self.cache.lock().keep(key, &principal, asked);
        Ok(principal)
    }
}

/// Forgets all whenever access is given or taken: to be made an observer of its registry.
impl<A: Authenticator> Observer for CachedAuthenticator<A> {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Administered(_) = event {
            self.forget();
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Authenticator> Authenticator for CachedAuthenticator<A> {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        let key = Key::of(credential);
        let others = match self.cache.find(key, (self.now)()) {
            Found::Principal(principal) => {
                self.meter(CacheRead::Hit);
                return Ok(principal);
            }
            Found::Turn(_turn) => {
                self.meter(CacheRead::Miss);
                return self.ask(credential, key).await;
            }
            Found::Asking(others) => others,
        };
        drop(others.lock().await);
        let kept = self.cache.lock().kept(&key, (self.now)());
        match kept {
            Some(principal) => {
                self.meter(CacheRead::Hit);
                Ok(principal)
            }
            // Not one after the other: of what is not kept, no answer helps the next.
            None => {
                self.meter(CacheRead::Miss);
                self.ask(credential, key).await
            }
        }
    }

    async fn authenticate_anew(
        &self,
        credential: &Credential,
    ) -> Result<Arc<Principal>, AuthError> {
        let (key, asked) = (Key::of(credential), self.cache.asked((self.now)()));
        let answer = self.inner.authenticate_anew(credential).await;
        match &answer {
            Ok(principal) => self.cache.lock().keep(key, principal, asked),
            Err(AuthError::Rejected) => self.cache.lock().drop_kept(&key),
            Err(_) => {}
        }
        answer
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        self.inner.find_user(login).await
    }
}

impl<A: fmt::Debug> fmt::Debug for CachedAuthenticator<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedAuthenticator").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What a request finds when it arrives.
enum Found<'a> {
    Principal(Arc<Principal>),
    /// Nobody is asking. It ends when it is dropped.
    Turn(Turn<'a>),
    /// Somebody is asking: this is free again when they have an answer, or are gone.
    Asking(Arc<async_lock::Mutex<()>>),
}

/// That somebody is asking.
struct Turn<'a> {
    cache: &'a Cache,
    key: Key,
    lock: Arc<async_lock::Mutex<()>>,
    _guard: MutexGuardArc<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        // After everything was forgotten, it may be another's.
        if state.asking.get(&self.key).is_some_and(|lock| Arc::ptr_eq(lock, &self.lock)) {
            state.asking.remove(&self.key);
        }
    }
}

impl Cache {
    fn find(&self, key: Key, now: Instant) -> Found<'_> {
        let mut state = self.lock();
        if let Some(principal) = state.kept(&key, now) {
            return Found::Principal(principal);
        }
        if let Some(others) = state.asking.get(&key) {
            return Found::Asking(others.clone());
        }
        let lock = Arc::new(async_lock::Mutex::new(()));
        let guard = lock.try_lock_arc().expect("nobody else has it yet");
        state.asking.insert(key, lock.clone());
        Found::Turn(Turn { cache: self, key, lock, _guard: guard })
    }

    fn asked(&self, at: Instant) -> Asked {
        Asked { at, epoch: self.lock().epoch }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl State {
    fn kept(&self, key: &Key, now: Instant) -> Option<Arc<Principal>> {
        self.kept.get(key).filter(|kept| kept.is_fresh(now)).map(|kept| kept.principal.clone())
    }

    /// Keeps an answer, unless all was forgotten since that was asked, or it may count only once.
    fn keep(&mut self, key: Key, principal: &Arc<Principal>, asked: Asked) {
        let Asked { at: now, epoch } = asked;
        if self.epoch != epoch || principal.claim.is_some() {
            return;
        }
        if self.swept_at.is_none_or(|at| now - at >= MAX_AGE) {
            self.kept.retain(|_, kept| kept.is_fresh(now));
            self.swept_at = Some(now);
        }
        if self.kept.len() < MAX_PRINCIPALS {
            self.kept.insert(key, Kept { principal: principal.clone(), asked_at: now });
        }
    }

    /// Forgets one. What somebody is just being told, maybe of the same, is not kept.
    fn drop_kept(&mut self, key: &Key) {
        self.kept.remove(key);
        self.epoch += 1;
    }
}

const MAX_AGE: Duration = CachedAuthenticator::<()>::MAX_AGE;
const MAX_PRINCIPALS: usize = CachedAuthenticator::<()>::MAX_PRINCIPALS;

impl Kept {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked_at) < MAX_AGE
    }
}

#[cfg(test)]
mod tests;

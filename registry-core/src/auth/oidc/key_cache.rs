use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_lock::Mutex as AsyncMutex;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::{Issuer, KeySet, issuer::key_url};
use crate::{BoxError, record::Timestamp};

/// Fetches what issuers publish: the host has an HTTP client, this library has none.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The body under a URL, which begins with `https://` or leads to this machine.
    ///
    /// Owes: certificates are verified; a redirect to another host, or away from `https`, is not
    /// followed; a status other than 200 is an error; the whole takes at most five seconds, and the
    /// body is at most 1 MiB.
    ///
    /// # Errors
    /// Whatever came between; it is logged, and never shown to clients.
    async fn fetch(&self, url: &str) -> Result<Bytes, BoxError>;
}

/// After how many seconds keys are fetched anew.
const FRESH: u64 = 60 * 60;
/// For how many seconds keys count whose issuer cannot be asked: a day, in which somebody notices.
const KEPT: u64 = 24 * 60 * 60;
/// How many seconds are between two attempts: of anybody's token can be said that its key is new.
const PAUSE: u64 = 60;
/// The same while there are no keys, and nobody at all can be verified.
const PAUSE_WITHOUT_KEYS: u64 = 5;
/// For how many seconds others go on with a fetch that somebody began who has left: so long are two
/// requests under way at most.
const LEFT: u64 = 10;

/// The keys of one issuer, as they were last fetched.
#[derive(Debug, Default)]
pub(super) struct KeyCache {
    state: Mutex<State>,
    /// Held while they are fetched.
    fetching: AsyncMutex<Option<Fetch>>,
}

/// A fetch under way.
struct Fetch {
    keys: BoxFuture<'static, Result<KeySet, BoxError>>,
    begun_at: Timestamp,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("begun_at", &self.begun_at).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    keys: Option<(Arc<KeySet>, Timestamp)>,
    attempt: Option<Timestamp>,
    failure: Option<Arc<str>>,
}

impl State {
    /// The keys that still count.
    fn keys(&self, now: Timestamp) -> Option<&Arc<KeySet>> {
        let (keys, _) = self.keys.as_ref().filter(|(_, at)| now.0.saturating_sub(at.0) <= KEPT)?;
        Some(keys)
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.keys.as_ref().is_some_and(|(_, at)| now.0.saturating_sub(at.0) <= FRESH)
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        let pause = if self.keys(now).is_some() { PAUSE } else { PAUSE_WITHOUT_KEYS };
        // A clock that was set back must not put it off for ever.
        self.attempt.is_none_or(|attempt| now.0.abs_diff(attempt.0) >= pause)
    }
}

impl KeyCache {
    /// The keys of the issuer, fetched anew if they are old or have none of this id, unless that was
    /// tried just now.
    pub(super) async fn keys(
        &self,
        issuer: &Issuer,
        source: &Arc<dyn KeySource>,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<KeySet>, BoxError> {
        let came_at = Instant::now();
        let later = || Timestamp(now.0.saturating_add(came_at.elapsed().as_secs()));
        let known = {
            let state = self.state();
            let known = state.keys(now).filter(|keys| keys.has(id)).cloned();
            match known {
                Some(keys) if state.is_fresh(now) => return Ok(keys),
                known => known,
            }
        };
        // Who has a key that is only old does not wait for somebody else's fetch.
        let mut fetching = match (self.fetching.try_lock(), known) {
            (Some(guard), _) => guard,
            (None, Some(keys)) => return Ok(keys),
            (None, None) => self.fetching.lock().await,
        };
        let now = later();
        let may_fetch = {
            let state = self.state();
            let is_needed = !state.is_fresh(now) || state.keys(now).is_none_or(|it| !it.has(id));
            is_needed && state.may_fetch(now)
        };
        if may_fetch {
            // Any client can go away. Whoever comes next goes on with what it has begun, so that
            // nobody is kept from the keys, and the issuer is not asked again.
            fetching.take_if(|left| now.0.abs_diff(left.begun_at.0) >= LEFT);
            let begin =
                || Fetch { keys: Box::pin(fetch(issuer.clone(), source.clone())), begun_at: now };
            let fetched = fetching.get_or_insert_with(begin).keys.as_mut().await;
            *fetching = None;
            let now = later();
            let mut state = self.state();
            state.attempt = Some(now);
            match fetched {
                Ok(keys) => {
                    state.keys = Some((Arc::new(keys), now));
                    state.failure = None;
                }
                Err(error) => state.failure = Some(crate::Causes(&*error).to_string().into()),
            }
        }
        let state = self.state();
        state.keys(now).cloned().ok_or_else(|| {
            let failure = state.failure.as_deref().unwrap_or("they were not fetched");
            failure.to_owned().into()
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks an issuer where its keys are, and then for them. Source: OpenID Connect Discovery.
async fn fetch(issuer: Issuer, source: Arc<dyn KeySource>) -> Result<KeySet, BoxError> {
    #[derive(Deserialize)]
    struct Discovery {
        issuer: String,
        jwks_uri: String,
    }
    let discovery = source.fetch(&issuer.discovery_url()).await?;
    let discovery: Discovery = serde_json::from_slice(&discovery)?;
    if discovery.issuer != issuer.url() {
        return Err("its discovery document is that of another issuer".into());
    }
    if key_url(&discovery.jwks_uri).is_none() {
        return Err("its keys are not at an https URL".into());
    }
    Ok(KeySet::parse(&source.fetch(&discovery.jwks_uri).await?)?)
}

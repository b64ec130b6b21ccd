use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;

use super::{
    AuthError, AuthStoreError, Authenticator, Credential, CredentialId, Groups, Principal, Token,
    TokenId, TokenKind, TokenRecord, TokenStore,
};
use crate::{
    owner::{Login, Owner},
    record::Timestamp,
};

/// Tells the time of day. Default: the clock of this machine.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl WallClock {
    /// Tells what `now` says, such as a time that a test sets.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new(|| SystemTime::now().into())
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WallClock").finish_non_exhaustive()
    }
}

/// Authenticates by the tokens of a [`TokenStore`]. Clones are one authenticator.
///
/// When a token was used is told to the store by [`write_uses`](Self::write_uses), which its host
/// calls now and then: no request waits for that.
#[derive(Clone, Debug)]
pub struct TokenAuthenticator {
    store: Arc<dyn TokenStore>,
    clock: WallClock,
    /// Uses that the store has not been told of.
    uses: Arc<Mutex<BTreeMap<TokenId, Timestamp>>>,
}

impl TokenAuthenticator {
    /// To how many seconds it is known when a token was last used. Source: ours.
    pub const USE_SECONDS: u64 = 60;

    /// Knows the tokens in `store`.
    pub fn new(store: impl TokenStore) -> Self {
        Self { store: Arc::new(store), clock: WallClock::default(), uses: Arc::default() }
    }

    /// Goes by this clock.
    #[must_use]
    pub fn with_clock(self, clock: WallClock) -> Self {
        Self { clock, ..self }
    }

    /// Tells the store when tokens were used, for at most once a minute and token. To be called every
    /// minute or so, and before the program ends; it does not matter much if that fails.
    ///
    /// # Errors
    /// [`AuthStoreError`] if the store fails. It is not told of these uses again.
    pub async fn write_uses(&self) -> Result<(), AuthStoreError> {
        let uses: Vec<_> = std::mem::take(&mut *self.uses()).into_iter().collect();
        if uses.is_empty() { Ok(()) } else { self.store.used(&uses).await }
    }

    fn note_use(&self, token: &TokenRecord, now: Timestamp) {
        let minute = Timestamp(now.0 - now.0 % Self::USE_SECONDS);
        if token.last_used_at < Some(minute) {
            self.uses().insert(token.id, minute);
        }
    }

    fn uses(&self) -> MutexGuard<'_, BTreeMap<TokenId, Timestamp>> {
        // Nothing panics while it is held.
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        // A text that is no token of ours is refused without asking the store.
        if !Token::is_well_formed(credential.expose()) {
            return Err(AuthError::Rejected);
        }
        let now = self.clock.now();
        let token = self.store.find(&credential.digest()).await?;
        let token = token.filter(|token| token.counts_at(now)).ok_or(AuthError::Rejected)?;
        self.note_use(&token, now);
        Ok(Arc::new(token.into()))
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(self.store.user(login).await?)
    }
}

/// The user of a token that counts, with the rights of that token and what others said of them when
/// they made it, and in no group of the registry.
impl From<TokenRecord> for Principal {
    fn from(token: TokenRecord) -> Self {
        Self {
            user: token.user,
            vouched: token.vouched,
            groups: Groups::default(),
            credential: match token.kind {
                TokenKind::User => CredentialId::Token(token.id),
                TokenKind::TrustedPublisher => CredentialId::TrustedPublisher(token.id),
            },
            scopes: token.scopes,
            claim: None,
        }
    }
}

impl From<AuthStoreError> for AuthError {
    fn from(error: AuthStoreError) -> Self {
        Self::Backend(error.into())
    }
}

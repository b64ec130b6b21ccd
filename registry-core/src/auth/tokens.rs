//! Making, listing and revoking tokens: the rules, wherever that is asked for.

mod lifetime;

use std::{fmt, sync::Arc};

pub use self::lifetime::{Lifetime, LifetimeError};
use super::{
    AuthStoreError, CredentialId, NewToken, Principal, Revocation, Scopes, Token, TokenId,
    TokenKind, TokenRecord, TokenRefusal, TokenStore, Vouched, WallClock,
};
use crate::{BoxError, owner::Login, record::Timestamp};

/// How long tokens may be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// What a token has if nothing is said; if [`max_lifetime`](Self::max_lifetime) is less, that.
    /// Default: 90 days, as crates.io proposes.
    pub default_lifetime: Lifetime,
    /// What is not exceeded. Default: [`Lifetime::Unlimited`].
    pub max_lifetime: Lifetime,
}

impl TokenRules {
    /// What a token has if nothing is said, in seconds: 90 days.
    pub const DEFAULT_SECONDS: u64 = 90 * 24 * 60 * 60;
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            default_lifetime: Lifetime::Seconds(Self::DEFAULT_SECONDS),
            max_lifetime: Lifetime::Unlimited,
        }
    }
}

/// When a new token is to expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenExpiry {
    /// After [`TokenRules::default_lifetime`].
    #[default]
    Default,
    /// After this time.
    After(Lifetime),
    /// At this time.
    At(Timestamp),
}

/// Who asks for something to be done about tokens.
#[derive(Clone, Copy, Debug)]
pub enum TokenCaller<'a> {
    /// The operator, who may do it for everybody: the command line.
    Operator,
    /// Somebody, for themselves.
    Principal(&'a Principal),
}

impl TokenCaller<'_> {
    /// Fails for whoever may not look after the tokens of `login`. The first thing asked: a token
    /// that leaks must not tell of others, let alone make some.
    fn check(self, login: &Login) -> Result<(), TokenError> {
        match self {
            Self::Operator => Ok(()),
            Self::Principal(principal) if !principal.credential.is_person() => {
                Err(TokenError::NoPerson)
            }
            Self::Principal(principal) if principal.claim.is_some() => Err(TokenError::NoPerson),
            Self::Principal(principal) if principal.user.login != *login => {
                Err(TokenError::OtherUser)
            }
            Self::Principal(_) => Ok(()),
        }
    }

    /// What a token has to bring back of whoever makes it.
    fn vouched(self) -> Vouched {
        match self {
            Self::Operator => Vouched::default(),
            Self::Principal(principal) => principal.vouched.clone(),
        }
    }
}

/// A token that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Who will log in with it.
    pub login: Login,
    /// What they call it: at most [`TokenRequest::MAX_NAME_CHARS`] characters, none of them a
    /// control character.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it expires.
    pub expiry: TokenExpiry,
}

impl TokenRequest {
    /// Most characters of a name. Source: ours.
    pub const MAX_NAME_CHARS: usize = 100;

    /// A token for all but the rights of an administrator, which has no name and expires when tokens
    /// do.
    pub fn new(login: &Login) -> Self {
        Self {
            login: login.clone(),
            name: String::new(),
            scopes: Scopes::all_but_admin(),
            expiry: TokenExpiry::Default,
        }
    }

    /// With this name.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// With these scopes.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// Which expires then.
    #[must_use]
    pub fn with_expiry(self, expiry: TokenExpiry) -> Self {
        Self { expiry, ..self }
    }
}

/// A token that was made: stored, and not to be had again.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token, to be shown once.
    pub token: Token,
    /// What is kept of it.
    pub record: TokenRecord,
}

/// Makes, lists and revokes the tokens of a [`TokenStore`]. Clones share it.
///
/// ```
/// use registry_core::{Login, auth::{TokenCaller, TokenRequest, Tokens}, memory::MemoryTokens};
///
/// # async fn program() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = Tokens::new(MemoryTokens::new());
/// let request = TokenRequest::new(&Login::new("alice")?).with_name("laptop");
/// let issued = tokens.issue(TokenCaller::Operator, &request).await?;
/// println!("{}", issued.token.expose());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tokens {
    store: Arc<dyn TokenStore>,
    rules: TokenRules,
    clock: WallClock,
}

impl Tokens {
    /// Those in `store`, under the rules that apply if nothing is said.
    pub fn new(store: impl TokenStore) -> Self {
        let (rules, clock) = Default::default();
        Self { store: Arc::new(store), rules, clock }
    }

    /// Under these rules.
    #[must_use]
    pub fn with_rules(self, rules: TokenRules) -> Self {
        Self { rules, ..self }
    }

    /// Goes by this clock.
    #[must_use]
    pub fn with_clock(self, clock: WallClock) -> Self {
        Self { clock, ..self }
    }

    /// The rules for new tokens.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// Makes a token. It counts when this returns.
    ///
    /// # Errors
    /// [`TokenError`] says why there may be no such token, or that it could not be made.
    pub async fn issue(
        &self,
        caller: TokenCaller<'_>,
        request: &TokenRequest,
    ) -> Result<IssuedToken, TokenError> {
        caller.check(&request.login)?;
        if let TokenCaller::Principal(principal) = caller
            && !principal.scopes.include(&request.scopes)
        {
            return Err(TokenError::MoreThanCaller);
        }
        let is_control = |c: char| c.is_control();
        if request.name.chars().count() > TokenRequest::MAX_NAME_CHARS
            || request.name.contains(is_control)
        {
            return Err(TokenError::Name);
        }
        let now = self.clock.now();
        let expires_at = self.expiry(request.expiry, now)?;
        let token = Token::generate().map_err(|error| TokenError::Random(error.into()))?;
        let new = NewToken {
            login: request.login.clone(),
            digest: token.digest(),
            name: request.name.clone(),
            kind: TokenKind::User,
            scopes: request.scopes.clone(),
            vouched: caller.vouched(),
            created_at: now,
            expires_at,
        };
        let record = self.store.create(&new).await?;
        Ok(IssuedToken { token, record })
    }

    /// The tokens of a user, or those of all, expired and revoked ones, too. Only an operator asks
    /// for all.
    ///
    /// # Errors
    /// [`TokenError::NoPerson`] or [`TokenError::OtherUser`] if the caller may not know,
    /// [`TokenError::Store`] if that cannot be found out now.
    pub async fn list(
        &self,
        caller: TokenCaller<'_>,
        login: Option<&Login>,
    ) -> Result<Vec<TokenRecord>, TokenError> {
        match (caller, login) {
            (_, Some(login)) => caller.check(login)?,
            (TokenCaller::Operator, None) => {}
            (TokenCaller::Principal(_), None) => return Err(TokenError::OtherUser),
        }
        Ok(self.store.list(login).await?)
    }

    /// Revokes one token, or all of a user, and tells them. From when this returns on, no process
    /// that asks the store counts them, and before each write it is asked. For reads, a
    /// [`CachedAuthenticator`](super::CachedAuthenticator) asks it again within
    /// [its age](super::CachedAuthenticator::MAX_AGE). The token of another user is none to a
    /// principal.
    ///
    /// # Errors
    /// As [`Tokens::list`].
    pub async fn revoke(
        &self,
        caller: TokenCaller<'_>,
        revocation: &Revocation,
    ) -> Result<Vec<TokenRecord>, TokenError> {
        match (caller, revocation) {
            (TokenCaller::Operator, _) => {}
            (_, Revocation::User(login)) => caller.check(login)?,
            (TokenCaller::Principal(principal), Revocation::Token(id)) => {
                let theirs = self.list(caller, Some(&principal.user.login)).await?;
                if theirs.iter().all(|token| token.id != *id) {
                    return Ok(Vec::new());
                }
            }
        }
        Ok(self.store.revoke(revocation, self.clock.now()).await?)
    }

    /// Revokes the token that the principal has come with; `None` if they have not come with one.
    /// Everybody may, and a CI run should when it ends.
    ///
    /// # Errors
    /// [`TokenError::Store`] if that cannot be done now.
    pub async fn revoke_current(
        &self,
        principal: &Principal,
    ) -> Result<Option<TokenRecord>, TokenError> {
        let id = match principal.credential {
            CredentialId::Token(id) | CredentialId::TrustedPublisher(id) => id,
            _ => return Ok(None),
        };
        let revoked = self.store.revoke(&Revocation::Token(id), self.clock.now()).await?;
        Ok(revoked.into_iter().next())
    }

    /// When a token that is made now expires.
    fn expiry(&self, expiry: TokenExpiry, now: Timestamp) -> Result<Option<Timestamp>, TokenError> {
        let TokenRules { default_lifetime, max_lifetime: max } = self.rules;
        let asked = match expiry {
            TokenExpiry::Default => default_lifetime.min(max),
            TokenExpiry::After(lifetime) => lifetime,
            TokenExpiry::At(at) => Lifetime::Seconds(at.0.saturating_sub(now.0)),
        };
        match asked {
            Lifetime::Seconds(0) => Err(TokenError::Past),
            _ if asked > max => Err(TokenError::TooLong { asked, max }),
            Lifetime::Seconds(seconds) => Ok(Some(Timestamp(now.0.saturating_add(seconds)))),
            Lifetime::Unlimited => Ok(None),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("store", &self.store).field("rules", &self.rules).finish()
    }
}

/// Why nothing was done about tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The caller came with a token, and a token makes no others. Source: crates.io.
    #[error("cannot use an API token to create a new API token")]
    NoPerson,
    /// It is about the tokens of somebody else.
    #[error("these are the tokens of another user")]
    OtherUser,
    /// The token would be for something that the caller's own credential is not for.
    #[error("a token cannot be for more than the credential with which it is asked for")]
    MoreThanCaller,
    /// The name is none.
    #[error(
        "the name of a token has at most {} characters, none of them a control character",
        TokenRequest::MAX_NAME_CHARS
    )]
    Name,
    /// The token would have expired when it is made.
    #[error("the token would have expired already")]
    Past,
    /// The token would be valid for longer than is allowed.
    #[error("tokens expire after {max} at most, and `{asked}` was asked for")]
    TooLong {
        /// What was asked for.
        asked: Lifetime,
        /// What is allowed.
        max: Lifetime,
    },
    /// The store does not take it.
    #[error(transparent)]
    Refused(TokenRefusal),
    /// The operating system has no random numbers to give.
    #[error("there are no random numbers for a token")]
    Random(#[source] BoxError),
    /// The store failed.
    #[error(transparent)]
    Store(AuthStoreError),
}

impl From<AuthStoreError> for TokenError {
    fn from(error: AuthStoreError) -> Self {
        match error.refusal() {
            Some(refusal) => Self::Refused(refusal.clone()),
            None => Self::Store(error),
        }
    }
}

/// Names one token.
impl From<TokenId> for Revocation {
    fn from(id: TokenId) -> Self {
        Self::Token(id)
    }
}

#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, sync::Arc};

use super::{AuthError, Credential, Principal};
use crate::{
    record::{Origin, Stamp, Timestamp},
    short_text::ShortText,
};

/// Who is asking, at one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whose credential came with the request; nobody's if there was none.
    pub principal: Option<Arc<Principal>>,
    /// That credential, by which each write finds out whether it still counts. None if the host or a
    /// proxy says who is asking: that is believed until the request ends, even if the account is
    /// disabled meanwhile.
    pub credential: Option<Credential>,
    /// The id under which the request is logged.
    pub request: Option<RequestId>,
    /// From where it came, if the service knows.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// A caller without a credential.
    pub const fn anonymous() -> Self {
        Self { principal: None, credential: None, request: None, address: None }
    }

    /// The principal, for what only somebody may do.
    ///
    /// # Errors
    /// [`AuthError::Missing`] if there is none.
    pub fn principal(&self) -> Result<&Principal, AuthError> {
        self.principal.as_deref().ok_or(AuthError::Missing)
    }

    /// Uses up what the credential may be used for once, if it is of that kind: to be called once
    /// for each write, when nothing but the write is left.
    pub(crate) async fn use_claim(&self) -> Result<(), AuthError> {
        let claim = self.principal.as_ref().and_then(|principal| principal.claim.as_ref());
        match claim.and_then(|claim| claim.once.as_ref()) {
            Some(once) => once.take().await,
            None => Ok(()),
        }
    }

    /// The same request, without its credential.
    pub(crate) fn as_nobody(&self) -> Self {
        let (request, address) = (self.request.clone(), self.address);
        Self { principal: None, credential: None, request, address }
    }

    /// Where a write of this caller comes from.
    pub fn origin(&self) -> Origin {
        Origin {
            request: self.request.as_ref().map(|id| id.as_str().into()),
            credential: self.principal.as_ref().map(|principal| principal.credential.clone()),
            address: self.address,
        }
    }

    pub(crate) fn stamp(&self, at: Timestamp) -> Result<Stamp, AuthError> {
        Ok(Stamp { by: self.principal()?.user.login.clone(), at, origin: self.origin() })
    }
}

impl From<Principal> for Caller {
    fn from(principal: Principal) -> Self {
        Self { principal: Some(Arc::new(principal)), ..Self::anonymous() }
    }
}

/// The id under which a request is logged: 1 to 64 ASCII letters, digits, `.`, `_` and `-`, so that it
/// may stand in any header or log. Source: ours.
///
/// Held in place, for each request has one, and few are ever asked for theirs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(ShortText<{ RequestId::MAX_CHARS }>);

impl RequestId {
    /// Most characters of an id.
    pub const MAX_CHARS: usize = 64;

    /// Takes an id over; `None` for any other text.
    pub fn new(id: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let text = ShortText::new(id).filter(|_| !id.is_empty() && id.bytes().all(is_plain))?;
        Some(Self(text))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.as_str())
    }
}

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;

use super::{Claims, Issuer, Jwt, KeySource, Verified, Verifier, VerifyError, VerifyIdentity as _};
use crate::{
    audit::text::is_plain,
    auth::{
        AuthError, Authenticator, Credential, CredentialId, Groups, Identity, Principal, Scopes,
        Vouched,
    },
    checksum::Checksum,
    echo::Echo,
    owner::{Login, Owner},
};

/// An issuer whose tokens people and machines log in with.
///
/// The logins of its users begin with a prefix of its own, as in `corp:alice`, those of its groups
/// with `group:` and the prefix: so it vouches for nobody else's users, whatever it calls its own,
/// and what it is trusted with can be said in a policy. A user of such a login who is also known
/// here, because an administrator has made a token for them, is the same one.
#[derive(Clone, Debug)]
pub struct LoginIssuer {
    issuer: Issuer,
    prefix: Box<str>,
    login_claim: Box<str>,
    groups_claim: Option<Box<str>>,
}

impl LoginIssuer {
    /// Takes tokens of `issuer`, whose users have logins that begin with `prefix`, such as `corp:`.
    ///
    /// A login is the prefix and the claim `sub`, which an issuer never gives to somebody else.
    ///
    /// # Errors
    /// [`LoginPrefixError`] if a login of a group or without a prefix would come of it.
    pub fn new(issuer: Issuer, prefix: &str) -> Result<Self, LoginPrefixError> {
        let is_right = prefix.strip_suffix(':').is_some_and(|name| {
            !name.contains(':')
                && Login::new(name).is_ok()
                && !["group", "trusted-publisher"].contains(&name)
        });
        if !is_right {
            return Err(LoginPrefixError { prefix: prefix.into() });
        }
        let (prefix, login_claim) = (prefix.into(), "sub".into());
        Ok(Self { issuer, prefix, login_claim, groups_claim: None })
    }

    /// Makes the login of this claim instead, such as `preferred_username`. Only if the issuer never
    /// gives the name of one user to another: who gets it gets their crates.
    #[must_use]
    pub fn with_login_claim(mut self, claim: &str) -> Self {
        self.login_claim = claim.into();
        self
    }

    /// Puts users into the groups that this claim lists. Default: into none.
    #[must_use]
    pub fn with_groups_claim(mut self, claim: &str) -> Self {
        self.groups_claim = Some(claim.into());
        self
    }

    /// The user that verified claims are about; `None` if what they call them can be no login.
    fn principal(&self, claims: &Claims) -> Option<Principal> {
        let login =
            Login::new(&format!("{}{}", self.prefix, claims.text(&self.login_claim)?)).ok()?;
        let groups = self.groups_claim.iter().flat_map(|claim| claims.texts(claim));
        let groups: Groups = groups
            // A name that can be no login can be no owner, and stand in no policy.
            .filter_map(|name| Login::new(&format!("group:{}{name}", self.prefix)).ok())
            .collect();
        let identity =
            Identity { issuer: self.issuer.url().into(), subject: claims.text("sub")?.into() };
        Some(Principal {
            user: owner(login, claims.text("name").and_then(display_name)),
            vouched: Vouched { identity: Some(identity), groups, ..Vouched::default() },
            groups: Groups::default(),
            credential: CredentialId::IdentityToken,
            scopes: Scopes::all(),
            claim: None,
        })
    }

    /// Whether a user or group of this login would be one of the issuer's.
    fn has(&self, login: &Login) -> bool {
        let name = login.as_str();
        name.strip_prefix("group:").unwrap_or(name).starts_with(&*self.prefix)
    }
}

/// A name as users may give it to themselves, without what could deceive others, on whose terminals
/// it is shown as that of an owner.
fn display_name(name: &str) -> Option<String> {
    /// Source: ours.
    const MAX_CHARS: usize = 100;
    let name: String = name.chars().filter(|c| is_plain(*c)).take(MAX_CHARS).collect();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// A user or group of an issuer, as an owner. The ids of users that are kept here are small; that
/// of a login that is not is the same wherever it is asked for, and large.
fn owner(login: Login, name: Option<String>) -> Owner {
    let digest = Checksum::of(login.as_str());
    let first = digest.as_bytes().first_chunk().expect("a checksum has 32 bytes");
    Owner { id: u32::from_be_bytes(*first) | 1 << 31, login, name }
}

/// Authenticates by tokens of identity providers.
#[derive(Clone, Debug)]
pub struct OidcAuthenticator {
    issuers: Arc<[LoginIssuer]>,
    verifier: Verifier,
}

impl OidcAuthenticator {
    /// Knows the users of these issuers, whose keys are fetched by `source`.
    ///
    /// # Errors
    /// [`LoginPrefixError`] if two issuers have one prefix.
    pub fn new(
        issuers: Vec<LoginIssuer>,
        source: impl KeySource,
    ) -> Result<Self, LoginPrefixError> {
        for (i, issuer) in issuers.iter().enumerate() {
            if issuers[..i].iter().any(|other| other.prefix == issuer.prefix) {
                return Err(LoginPrefixError { prefix: issuer.prefix.clone() });
            }
        }
        let verifier = Verifier::new(issuers.iter().map(|it| it.issuer.clone()), source);
        Ok(Self { issuers: issuers.into(), verifier })
    }
}

#[async_trait]
impl Authenticator for OidcAuthenticator {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        if !Jwt::is_shaped(credential.expose()) {
            return Err(AuthError::Rejected);
        }
        let now = SystemTime::now().into();
        let claims = match self.verifier.verify(credential.expose(), now).await {
            Ok(Verified { claims, .. }) => claims,
            Err(VerifyError::Invalid(_)) => return Err(AuthError::Rejected),
            Err(error) => return Err(AuthError::Backend(error.into())),
        };
        let issuer = self.issuers.iter().find(|it| Some(it.issuer.url()) == claims.issuer());
        let principal = issuer.and_then(|issuer| issuer.principal(&claims));
        principal.map(Arc::new).ok_or(AuthError::Rejected)
    }

    /// Takes any login with the prefix of an issuer for that of one of its users or groups: an issuer
    /// cannot be asked who they are.
    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        let known = self.issuers.iter().any(|issuer| issuer.has(login));
        Ok(known.then(|| owner(login.clone(), None)))
    }
}

/// Logins of one issuer could be those of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not the prefix of an issuer's logins: use one that no other issuer has, a word and `:`",
    Echo(prefix)
)]
pub struct LoginPrefixError {
    prefix: Box<str>,
}

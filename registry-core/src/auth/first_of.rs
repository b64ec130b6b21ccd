use std::sync::Arc;

use async_trait::async_trait;

use super::{AuthError, Authenticator, Credential, Principal};
use crate::owner::{Login, Owner};

/// Authenticators that are asked in order, until one knows the credential.
///
/// ```
/// use registry_core::{auth::{FirstOf, TokenAuthenticator}, memory::MemoryTokens};
///
/// let (here, elsewhere) = (MemoryTokens::new(), MemoryTokens::new());
/// let both = FirstOf::new()
///     .or(TokenAuthenticator::new(here))
///     .or(TokenAuthenticator::new(elsewhere));
/// ```
#[derive(Clone, Debug, Default)]
pub struct FirstOf(Vec<Arc<dyn Authenticator>>);

impl FirstOf {
    /// Knows nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `next` about what nobody before it knows.
    #[must_use]
    pub fn or(mut self, next: impl Authenticator) -> Self {
        self.0.push(Arc::new(next));
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Authenticator for FirstOf {
    /// Ends with the first that does not reject the credential, be it because it cannot answer now:
    /// who rejects at once what is not of its form leaves the credential to those after it.
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        for authenticator in &self.0 {
            match authenticator.authenticate(credential).await {
                Err(AuthError::Rejected) => {}
                known => return known,
            }
        }
        Err(AuthError::Rejected)
    }

    async fn authenticate_anew(
        &self,
        credential: &Credential,
    ) -> Result<Arc<Principal>, AuthError> {
        for authenticator in &self.0 {
            match authenticator.authenticate_anew(credential).await {
                Err(AuthError::Rejected) => {}
                known => return known,
            }
        }
        Err(AuthError::Rejected)
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        for authenticator in &self.0 {
            if let Some(user) = authenticator.find_user(login).await? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }
}

/// A shared authenticator, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        (**self).authenticate(credential).await
    }

    async fn authenticate_anew(
        &self,
        credential: &Credential,
    ) -> Result<Arc<Principal>, AuthError> {
        (**self).authenticate_anew(credential).await
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        (**self).find_user(login).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::CredentialForms, conformance};

    /// Knows one user, by a credential that is their login; fails at `down`.
    #[derive(Debug)]
    struct One(u32, &'static str);

    impl One {
        fn owner(&self) -> Owner {
            Owner { id: self.0, login: Login::new(self.1).unwrap(), name: None }
        }
    }

    #[async_trait]
    impl Authenticator for One {
        async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
            match credential.expose() {
                "down" => Err(AuthError::Backend("is down".into())),
                login if login == self.1 => Ok(Arc::new(self.owner().into())),
                _ => Err(AuthError::Rejected),
            }
        }

        async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
            Ok(Some(self.owner()).filter(|owner| owner.login == *login))
        }
    }

    fn chain() -> FirstOf {
        FirstOf::new().or(One(1, "alice")).or(One(2, "bob")).or(One(3, "alice"))
    }

    #[test]
    fn the_first_that_knows_a_credential_answers() {
        let answer = |text: &str| {
            let credential =
                Credential::from_header(text.as_bytes(), CredentialForms::default()).unwrap();
            conformance::run(async move { chain().authenticate(&credential).await })
        };
        let id = |text: &str| answer(text).unwrap().user.id;
        assert_eq!((id("alice"), id("bob")), (1, 2));
        assert!(matches!(answer("carol"), Err(AuthError::Rejected)));
        assert!(matches!(answer("down"), Err(AuthError::Backend(_))));
    }

    #[test]
    fn the_first_that_knows_a_user_tells() {
        let find = |login: &str| {
            let login = Login::new(login).unwrap();
            conformance::run(async move { chain().find_user(&login).await.unwrap() })
        };
        let id = |login: &str| find(login).map(|user| user.id);
        assert_eq!((id("alice"), id("bob"), id("carol")), (Some(1), Some(2), None));
    }
}

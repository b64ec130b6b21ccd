use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;

use super::{Expected, SignedToken};
use crate::{
    auth::{
        AuthError, Authenticator, Claim, Credential, CredentialId, Directory, Groups, KeyStore,
        Once, Principal, Scopes, SingleUse,
    },
    owner::{Login, Owner},
};

/// Authenticates by tokens that their holders have signed with a key of a [`KeyStore`].
///
/// A token without a mutation is for reading. One with a mutation is for that one write, and once:
/// the registry asks when the write is about to take place, so that cargo may list the owners with
/// the token by which it has just changed them.
#[derive(Clone, Debug)]
pub struct KeyAuthenticator {
    keys: Arc<dyn KeyStore>,
    directory: Arc<dyn Directory>,
    used: Arc<dyn SingleUse>,
    index_urls: Arc<[String]>,
}

impl KeyAuthenticator {
    /// Knows the keys in `keys`, and from `directory` the groups of who has them, and whether they
    /// are disabled. Remembers in `used` which tokens were used. `index_urls` are those of the
    /// registry, as clients configure them: [`RegistryConfig::index_urls`].
    ///
    /// Who has no account in the directory comes as the key says, and in no group of the registry:
    /// users of an identity provider have keys, too. To end them, revoke the key, or disable an
    /// account of that login.
    ///
    /// [`RegistryConfig::index_urls`]: crate::RegistryConfig::index_urls
    pub fn new(
        keys: impl KeyStore,
        directory: impl Directory,
        used: impl SingleUse,
        index_urls: impl IntoIterator<Item = String>,
    ) -> Self {
        let index_urls = index_urls.into_iter().collect();
        let (keys, directory, used) = (Arc::new(keys), Arc::new(directory), Arc::new(used));
        Self { keys, directory, used, index_urls }
    }
}

#[async_trait]
impl Authenticator for KeyAuthenticator {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        let rejected = |_| AuthError::Rejected;
        let token = SignedToken::parse(credential.expose()).map_err(rejected)?;
        let key = self.keys.find(token.key()).await?;
        let key = key.filter(|key| key.revoked_at.is_none()).ok_or(AuthError::Rejected)?;
        let expected = Expected {
            now: SystemTime::now(),
            index_urls: &self.index_urls,
            subject: key.subject.as_deref(),
        };
        let verified = token.verify(&key.key, &expected).map_err(rejected)?;
        let (user, groups) = match self.directory.account(&key.user.login).await? {
            Some(account) => {
                account.may_log_in()?;
                (account.owner, account.groups)
            }
            None => (key.user, Groups::default()),
        };
        let once = Once::new(self.used.clone(), verified.digest, verified.until);
        let claim = verified.claim.map(|claim| Claim { once: Some(once), ..claim });
        Ok(Arc::new(Principal {
            user,
            vouched: key.vouched,
            groups,
            credential: CredentialId::Key(key.id.into()),
            scopes: match claim {
                Some(_) => Scopes::all_but_admin(),
                None => Scopes::read_only(),
            },
            claim,
        }))
    }

    /// Whoever has a key is known elsewhere as well.
    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

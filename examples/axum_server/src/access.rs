//! Who may come in: the accounts that a server knows, and the authenticators that it asks.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    RegistryConfig,
    auth::{
        Account, AccountFile, AccountStore, AuthStoreError, Authenticator, CachedAuthenticator,
        Directory, FirstOf, PasswordAuthenticator, ProxyUsers, TokenAuthenticator, WithAccounts,
        oidc::OidcAuthenticator,
    },
    observer::Observer,
    owner::Login,
    telemetry::{ObservedAuthenticator, cache_meter},
};

use crate::{
    error::{Error, causes},
    key::KeyStores,
    runtime::TokioRuntime,
};

/// The accounts of a file, and those of the index that are not in the file.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    file: Option<Arc<AccountFile>>,
    stored: Option<Arc<dyn AccountStore>>,
    /// For passwords. Threads of their own: guesses are not to keep uploads from being checked.
    runtime: TokioRuntime,
}

impl Accounts {
    pub(crate) fn open(
        file: Option<PathBuf>,
        stored: Option<Arc<dyn AccountStore>>,
    ) -> Result<Self, Error> {
        let open = |path: PathBuf| -> Result<_, Error> {
            let file = AccountFile::open(path).map_err(Error::AccountFile)?;
            let file = file.on_error(|error| {
                tracing::error!(error = %causes(error), "the accounts stay as they were");
            });
            Ok(Arc::new(file))
        };
        Ok(Self { file: file.map(open).transpose()?, stored, runtime: TokioRuntime::new() })
    }

    /// Asks all who may know a credential, and holds the accounts against each answer.
    pub(crate) fn authenticator(
        &self,
        tokens: TokenAuthenticator,
        keys: Option<&KeyStores>,
        users: Option<OidcAuthenticator>,
        config: &RegistryConfig,
    ) -> impl Authenticator + Observer + Clone + use<> {
        let mut chain = FirstOf::new();
        if let Some(file) = &self.file {
            chain = chain.or(file.clone());
        }
        if let Some(keys) = keys {
            chain = chain.or(keys.authenticator(config));
        }
        if let Some(users) = users {
            chain = chain.or(users);
        }
        let passwords = PasswordAuthenticator::new(self.clone(), self.runtime.clone());
        let chain = chain.or(tokens).or(passwords);
        let observed = ObservedAuthenticator::new(WithAccounts::new(chain, self.clone()));
        CachedAuthenticator::new(observed).with_meter(cache_meter("principals"))
    }

    /// Those for whom a proxy vouches.
    pub(crate) fn proxy_users(&self) -> Result<ProxyUsers, Error> {
        match (&self.file, &self.stored) {
            (Some(_), _) => Ok(ProxyUsers::known(self.clone())),
            (None, Some(stored)) => Ok(ProxyUsers::made(stored.clone())),
            (None, None) => Err(Error::NoProxyUsers),
        }
    }
}

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError> {
        let stored = match &self.stored {
            Some(stored) => stored.account(login).await?,
            None => None,
        };
        let in_file = match &self.file {
            Some(file) => file.account(login).await?,
            None => None,
        };
        Ok(match (in_file, stored) {
            // Whoever is disabled in one place is disabled.
            (Some(account), Some(stored)) => {
                let disabled_at = account.disabled_at.or(stored.disabled_at);
                Some(Account { disabled_at, ..account })
            }
            (in_file, stored) => in_file.or(stored),
        })
    }
}

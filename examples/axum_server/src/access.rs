//! Who may come in: the authenticators that a server asks, in their order.

use std::sync::Arc;

use registry_core::{
    RegistryConfig,
    auth::{
        Authenticator, CachedAuthenticator, FirstOf, PasswordAuthenticator, TokenAuthenticator,
        WithAccounts, oidc::OidcAuthenticator,
    },
};

use crate::{backends::OpenIndex, key::KeyStores, runtime::TokioRuntime};

/// Knows whom the index has tokens, keys and accounts of, and the users of identity providers.
pub(crate) fn authenticator(
    opened: &OpenIndex,
    keys: Option<&KeyStores>,
    users: Option<OidcAuthenticator>,
    config: &RegistryConfig,
) -> Arc<dyn Authenticator> {
    let mut known = FirstOf::new().or(TokenAuthenticator::new(opened.tokens()));
    if let Some(users) = users {
        known = known.or(users);
    }
    let Some(accounts) = opened.accounts() else {
        return Arc::new(CachedAuthenticator::new(known));
    };
    if let Some(keys) = keys {
        known = known.or(keys.authenticator(config));
    }
    // Threads of their own: guessed passwords are not to keep uploads from being checked.
    let passwords = PasswordAuthenticator::new(accounts.clone(), TokioRuntime::new());
    Arc::new(CachedAuthenticator::new(WithAccounts::new(known.or(passwords), accounts)))
}

//! Who may come in: the authenticators that a server asks, in their order.

use std::sync::Arc;

use registry_core::auth::{
    Authenticator, CachedAuthenticator, FirstOf, PasswordAuthenticator, TokenAuthenticator,
    WithAccounts, oidc::OidcAuthenticator,
};

use crate::{backends::OpenIndex, runtime::TokioRuntime};

/// Knows whom the index has tokens and accounts of, and the users of identity providers.
pub(crate) fn authenticator(
    opened: &OpenIndex,
    users: Option<OidcAuthenticator>,
) -> Arc<dyn Authenticator> {
    let mut tokens = FirstOf::new().or(TokenAuthenticator::new(opened.tokens()));
    if let Some(users) = users {
        tokens = tokens.or(users);
    }
    let Some(accounts) = opened.accounts() else {
        return Arc::new(CachedAuthenticator::new(tokens));
    };
    // Threads of their own: guessed passwords are not to keep uploads from being checked.
    let passwords = PasswordAuthenticator::new(accounts.clone(), TokioRuntime::new());
    let known = WithAccounts::new(tokens.or(passwords), accounts);
    Arc::new(CachedAuthenticator::new(known))
}

//! Who may come in: the authenticators that a server asks, in their order.

use std::sync::Arc;

use registry_core::auth::{
    Authenticator, CachedAuthenticator, FirstOf, PasswordAuthenticator, TokenAuthenticator,
    WithAccounts,
};

use crate::{backends::OpenIndex, runtime::TokioRuntime};

/// Knows whom the index has tokens and accounts of.
pub(crate) fn authenticator(opened: &OpenIndex) -> Arc<dyn Authenticator> {
    let tokens = TokenAuthenticator::new(opened.tokens());
    let Some(accounts) = opened.accounts() else {
        return Arc::new(CachedAuthenticator::new(tokens));
    };
    // Threads of their own: guessed passwords are not to keep uploads from being checked.
    let passwords = PasswordAuthenticator::new(accounts.clone(), TokioRuntime::new());
    let known = WithAccounts::new(FirstOf::new().or(tokens).or(passwords), accounts);
    Arc::new(CachedAuthenticator::new(known))
}

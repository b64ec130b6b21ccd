//! Tells the store when tokens were used, beside the requests rather than in them.

use std::time::Duration;

use registry_core::auth::TokenAuthenticator;
use tokio::task::JoinHandle;

use crate::error::causes;

/// How often. A use is known to the minute.
const INTERVAL: Duration = Duration::from_secs(TokenAuthenticator::USE_SECONDS);
/// Longest wait for a store when the server ends: it is not worth more.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What tells the store every minute.
pub(crate) struct TokenUses {
    authenticator: TokenAuthenticator,
    task: JoinHandle<()>,
}

impl TokenUses {
    pub(crate) fn keep(authenticator: TokenAuthenticator) -> Self {
        let regular = authenticator.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                write(&regular).await;
            }
        });
        Self { authenticator, task }
    }

    /// Tells what there is still to tell.
    pub(crate) async fn end(self) {
        self.task.abort();
        if tokio::time::timeout(LAST_WAIT, write(&self.authenticator)).await.is_err() {
            tracing::warn!(after = ?LAST_WAIT, "when tokens were last used was not written");
        }
    }
}

async fn write(authenticator: &TokenAuthenticator) {
    if let Err(error) = authenticator.write_uses().await {
        tracing::warn!(error = %causes(&error), "when tokens were last used was not written");
    }
}

#[cfg(test)]
mod tests {
    use registry_core::{
        auth::{
            Authenticator as _, Credential, CredentialForms, TokenCaller, TokenRecord,
            TokenRequest, TokenStore as _, Tokens,
        },
        memory::MemoryTokens,
    };

    use super::*;

    /// What the store knows when a token was used, and `then` came to its end.
    async fn after(then: impl AsyncFnOnce(TokenUses)) -> TokenRecord {
        let store = MemoryTokens::new();
        let request = TokenRequest::new(&"alice".parse().unwrap());
        let issued = Tokens::new(store.clone()).issue(TokenCaller::Operator, &request).await;
        let issued = issued.unwrap();
        let authenticator = TokenAuthenticator::new(store.clone());
        let uses = TokenUses::keep(authenticator.clone());
        let forms = CredentialForms::default();
        let credential = Credential::from_header(issued.token.expose().as_bytes(), forms).unwrap();
        authenticator.authenticate(&credential).await.unwrap();
        let found = store.find(&issued.token.digest()).await.unwrap().unwrap();
        assert_eq!(found.last_used_at, None);
        then(uses).await;
        store.find(&issued.token.digest()).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_use_is_written_within_a_minute() {
        let token = after(async |_uses| {
            tokio::time::sleep(INTERVAL + Duration::from_millis(1)).await;
        });
        assert!(token.await.last_used_at.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_use_is_written_at_the_end() {
        let token = after(async |uses| uses.end().await).await;
        assert!(token.last_used_at.is_some());
    }
}

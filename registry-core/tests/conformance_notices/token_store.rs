use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use registry_core::{
    Login, Owner,
    auth::{AuthStoreError, TokenDigest, TokenStore},
    conformance::{Bench, token_store},
};

use super::{notices, passed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenDefect {
    None,
    KeepsNothing,
    KeepsOneTokenAUser,
    MakesAUserEachTime,
    SharesIds,
    FoldsLogins,
    TakesOver,
    LooksThenMakes,
    LooksThenTakes,
    KnowsEverybody,
    PrintsTokens,
}

#[derive(Default)]
struct Users {
    users: Vec<Owner>,
    tokens: BTreeMap<TokenDigest, Login>,
}

/// A token store in memory with a defect.
struct BrokenTokens {
    defect: TokenDefect,
    state: Mutex<Users>,
    looks: AtomicU64,
}

impl BrokenTokens {
    fn new(defect: TokenDefect) -> Self {
        Self { defect, state: Mutex::default(), looks: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, Users> {
        self.state.lock().unwrap()
    }

    /// Waits until another writer, if there is one, has looked as well.
    async fn another_looks(&self) {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        passed(&self.looks, looks).await;
    }

    fn user_of(&self, login: &Login) -> Option<Owner> {
        let is_same = |user: &&Owner| match self.defect {
            TokenDefect::FoldsLogins => user.login.as_str().eq_ignore_ascii_case(login.as_str()),
            _ => user.login == *login,
        };
        let found = self.state().users.iter().rev().find(is_same).cloned();
        let anybody = || Owner { id: 1, login: login.clone(), name: None };
        found.or_else(|| (self.defect == TokenDefect::KnowsEverybody).then(anybody))
    }

    fn is_anothers(&self, login: &Login, digest: &TokenDigest) -> bool {
        self.defect != TokenDefect::TakesOver
            && self.state().tokens.get(digest).is_some_and(|other| other != login)
    }
}

impl fmt::Debug for BrokenTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let digests: Vec<_> = match self.defect {
            TokenDefect::PrintsTokens => state.tokens.keys().map(TokenDigest::as_bytes).collect(),
            _ => vec![],
        };
        f.debug_struct("BrokenTokens").field("digests", &digests).finish()
    }
}

#[async_trait]
impl TokenStore for BrokenTokens {
    async fn create(&self, login: &Login, digest: &TokenDigest) -> Result<Owner, AuthStoreError> {
        let refused = AuthStoreError { backend: "broken", source: "another user's".into() };
        if self.is_anothers(login, digest) {
            return Err(refused);
        }
        if self.defect == TokenDefect::LooksThenTakes {
            self.another_looks().await;
        }
        let known = self.user_of(login).filter(|_| self.defect != TokenDefect::MakesAUserEachTime);
        let id = match self.defect {
            TokenDefect::SharesIds => 1,
            _ => self.state().users.len() as u32 + 1,
        };
        if self.defect == TokenDefect::LooksThenMakes {
            self.another_looks().await;
        }
        let mut state = self.state();
        let user = known.unwrap_or_else(|| {
            let id = match self.defect {
                TokenDefect::LooksThenMakes | TokenDefect::SharesIds => id,
                _ => state.users.len() as u32 + 1,
            };
            let user = Owner { id, login: login.clone(), name: None };
            state.users.push(user.clone());
            user
        });
        match self.defect {
            TokenDefect::KeepsNothing => return Ok(user),
            TokenDefect::KeepsOneTokenAUser => state.tokens.retain(|_, of| of != login),
            _ => {}
        }
        state.tokens.insert(*digest, login.clone());
        Ok(user)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Owner>, AuthStoreError> {
        let login = self.state().tokens.get(digest).cloned();
        Ok(login.and_then(|login| self.user_of(&login)))
    }

    async fn user(&self, login: &Login) -> Result<Option<Owner>, AuthStoreError> {
        Ok(self.user_of(login))
    }
}

#[test]
fn of_a_token_store() {
    use TokenDefect::*;

    let broken = |defect| Bench::volatile(BrokenTokens::new(defect), token_store::share);
    notices! { token_store, broken;
        KeepsNothing => a_first_token_makes_a_user;
        KeepsOneTokenAUser => a_second_token_is_the_same_users;
        MakesAUserEachTime => a_second_token_is_the_same_users,
            concurrent_tokens_of_one_login_make_one_user;
        SharesIds => users_have_ids_of_their_own, concurrent_first_tokens_make_users_of_their_own;
        FoldsLogins => logins_are_compared_as_they_are_spelled;
        TakesOver => a_token_of_another_user_is_not_taken_over, a_token_raced_for_is_one_users;
        LooksThenMakes => concurrent_tokens_of_one_login_make_one_user,
            concurrent_first_tokens_make_users_of_their_own;
        LooksThenTakes => a_token_raced_for_is_one_users;
        KnowsEverybody => unknown_tokens_and_users_are_absent;
        PrintsTokens => a_token_is_not_printed;
    }
}

#[test]
fn of_handles_on_a_token_store() {
    use TokenDefect::*;

    let apart =
        |defect| Bench::durable(async move || BrokenTokens::new(defect), token_store::share);
    notices! { token_store, apart;
        None => every_user_is_there_after_a_restart, two_handles_are_one_store;
    }
}

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use registry_core::{
    Login, Owner,
    auth::{
        AuthStoreError, NewToken, Revocation, TokenDigest, TokenId, TokenKey, TokenKind,
        TokenRecord, TokenRefusal, TokenStore,
    },
    conformance::{Bench, token_store},
    record::Timestamp,
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
    ForgetsNames,
    ForgetsExpiry,
    OverwritesOnRetry,
    FindsOnlyWhatCounts,
    ListsLatestFirst,
    ListsAllOfAnybody,
    RevokesNothing,
    RevokesAnew,
    RevokesOneOfAUser,
    RevokesEverybodys,
    TakesEarlierUses,
    TakesGroups,
    TakesAnyNumber,
    CountsTheDead,
    CountsRuns,
    Caches,
}

#[derive(Default)]
struct Users {
    users: Vec<Owner>,
    tokens: BTreeMap<TokenDigest, TokenRecord>,
}

/// A token store in memory with a defect. Handles made of one share what it keeps.
struct BrokenTokens {
    defect: TokenDefect,
    state: Arc<Mutex<Users>>,
    looks: AtomicU64,
    found: Mutex<BTreeMap<TokenDigest, TokenRecord>>,
}

impl BrokenTokens {
    fn new(defect: TokenDefect) -> Self {
        Self::over(Arc::default(), defect)
    }

    fn over(state: Arc<Mutex<Users>>, defect: TokenDefect) -> Self {
        Self { defect, state, looks: AtomicU64::new(0), found: Mutex::default() }
    }

    fn has(&self, defect: TokenDefect) -> bool {
        self.defect == defect
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
        found.or_else(|| self.has(TokenDefect::KnowsEverybody).then(anybody))
    }

    fn check(&self, new: &NewToken) -> Result<(), TokenRefusal> {
        if !self.has(TokenDefect::TakesGroups) {
            TokenRefusal::check_login(&new.login)?;
        }
        let state = self.state();
        let counts = |token: &&TokenRecord| {
            token.user.login == new.login
                && (self.has(TokenDefect::CountsRuns) || token.kind == TokenKind::User)
                && (self.has(TokenDefect::CountsTheDead) || token.counts_at(new.created_at))
        };
        let counting = state.tokens.values().filter(counts).count();
        match self.defect {
            TokenDefect::TakesAnyNumber => Ok(()),
            _ if state.tokens.contains_key(&new.digest) => Ok(()),
            _ => TokenRefusal::check_number(new, counting),
        }
    }

    /// What is there of a new token; whether that is another user's.
    fn is_here(&self, new: &NewToken) -> Result<Option<TokenRecord>, TokenRefusal> {
        match self.state().tokens.get(&new.digest) {
            _ if self.has(TokenDefect::TakesOver) => Ok(None),
            Some(token) if token.user.login != new.login => Err(TokenRefusal::Taken),
            Some(_) if self.has(TokenDefect::OverwritesOnRetry) => Ok(None),
            token => Ok(token.cloned()),
        }
    }

    fn all(&self) -> Vec<TokenRecord> {
        let mut tokens: Vec<_> = self.state().tokens.values().cloned().collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        if self.has(TokenDefect::ListsLatestFirst) {
            tokens.reverse();
        }
        tokens
    }
}

fn failed(refusal: TokenRefusal) -> AuthStoreError {
    AuthStoreError { backend: "broken", source: refusal.into() }
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
    async fn create(&self, new: &NewToken) -> Result<TokenRecord, AuthStoreError> {
        self.check(new).map_err(failed)?;
        if let Some(token) = self.is_here(new).map_err(failed)? {
            return Ok(token);
        }
        if self.has(TokenDefect::LooksThenTakes) {
            self.another_looks().await;
        }
        let login = &new.login;
        let known = self.user_of(login).filter(|_| !self.has(TokenDefect::MakesAUserEachTime));
        let id = match self.defect {
            TokenDefect::SharesIds => 1,
            _ => self.state().users.len() as u32 + 1,
        };
        if self.has(TokenDefect::LooksThenMakes) {
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
        let token = TokenRecord {
            id: TokenId::of(&TokenKey::from_bytes([0; 32]).hash(&new.digest)),
            user,
            name: match self.defect {
                TokenDefect::ForgetsNames => String::new(),
                _ => new.name.clone(),
            },
            kind: new.kind,
            scopes: new.scopes.clone(),
            vouched: new.vouched.clone(),
            created_at: new.created_at,
            expires_at: new.expires_at.filter(|_| !self.has(TokenDefect::ForgetsExpiry)),
            last_used_at: None,
            revoked_at: None,
        };
        match self.defect {
            TokenDefect::KeepsNothing => return Ok(token),
            TokenDefect::KeepsOneTokenAUser => {
                state.tokens.retain(|_, other| other.user.login != *login);
            }
            _ => {}
        }
        state.tokens.insert(new.digest, token.clone());
        Ok(token)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TokenRecord>, AuthStoreError> {
        let token = self.state().tokens.get(digest).cloned();
        let Some(token) = token else { return Ok(None) };
        let user = self.user_of(&token.user.login).unwrap();
        let token = TokenRecord { user, ..token };
        Ok(match self.defect {
            TokenDefect::FindsOnlyWhatCounts => {
                Some(token).filter(|token| token.counts_at(Timestamp(1_709_208_000)))
            }
            TokenDefect::Caches => {
                Some(self.found.lock().unwrap().entry(*digest).or_insert(token).clone())
            }
            _ => Some(token),
        })
    }

    async fn list(&self, login: Option<&Login>) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let mut tokens = self.all();
        if !self.has(TokenDefect::ListsAllOfAnybody) {
            tokens.retain(|token| login.is_none_or(|login| token.user.login == *login));
        }
        Ok(tokens)
    }

    async fn revoke(
        &self,
        revocation: &Revocation,
        at: Timestamp,
    ) -> Result<Vec<TokenRecord>, AuthStoreError> {
        let mut found = self.all();
        found.retain(|token| match revocation {
            Revocation::Token(id) => token.id == *id,
            Revocation::User(login) => {
                token.user.login == *login || self.has(TokenDefect::RevokesEverybodys)
            }
        });
        if self.has(TokenDefect::RevokesOneOfAUser) {
            found.truncate(1);
        }
        for token in &mut found {
            match self.defect {
                TokenDefect::RevokesAnew => token.revoked_at = Some(at),
                _ => token.revoked_at = token.revoked_at.or(Some(at)),
            }
        }
        let mut state = self.state();
        for token in state.tokens.values_mut() {
            let revoked = found.iter().find(|revoked| revoked.id == token.id);
            if let Some(revoked) = revoked.filter(|_| !self.has(TokenDefect::RevokesNothing)) {
                token.clone_from(revoked);
            }
        }
        Ok(found)
    }

    async fn used(&self, uses: &[(TokenId, Timestamp)]) -> Result<(), AuthStoreError> {
        for token in self.state().tokens.values_mut() {
            for (_, at) in uses.iter().filter(|(id, _)| *id == token.id) {
                token.last_used_at = match self.defect {
                    TokenDefect::TakesEarlierUses => Some(*at),
                    _ => token.last_used_at.max(Some(*at)),
                };
            }
        }
        Ok(())
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
        ForgetsNames => a_token_is_kept_as_it_was_made;
        ForgetsExpiry => a_token_is_kept_as_it_was_made;
        OverwritesOnRetry => a_token_is_kept_as_it_was_made;
        FindsOnlyWhatCounts => tokens_are_found_when_they_count_no_more;
        ListsLatestFirst => tokens_are_listed_in_the_order_of_their_making;
        ListsAllOfAnybody => tokens_are_listed_in_the_order_of_their_making;
        RevokesNothing => a_token_is_revoked_by_its_id, all_tokens_of_a_user_are_revoked;
        RevokesAnew => a_token_is_revoked_by_its_id, all_tokens_of_a_user_are_revoked;
        RevokesOneOfAUser => all_tokens_of_a_user_are_revoked;
        RevokesEverybodys => all_tokens_of_a_user_are_revoked;
        TakesEarlierUses => the_last_use_is_the_latest;
        TakesGroups => groups_have_no_tokens;
        TakesAnyNumber => a_user_has_500_tokens_that_count_and_no_more;
        CountsTheDead => a_user_has_500_tokens_that_count_and_no_more;
        CountsRuns => a_user_has_500_tokens_that_count_and_no_more;
    }
}

#[test]
fn of_handles_on_a_token_store() {
    use TokenDefect::*;

    let apart =
        |defect| Bench::durable(async move || BrokenTokens::new(defect), token_store::share);
    notices! { token_store, apart;
        None => every_user_is_there_after_a_restart, two_handles_are_one_store,
            a_revocation_is_seen_by_every_handle, revoked_tokens_are_there_after_a_restart;
    }
    let together = |defect| {
        let state = Arc::default();
        let open = async move || BrokenTokens::over(Arc::clone(&state), defect);
        Bench::durable(open, token_store::share)
    };
    notices! { token_store, together;
        Caches => a_revocation_is_seen_by_every_handle;
    }
}

use std::{fmt, sync::Arc};

use async_lock::Semaphore;
use async_trait::async_trait;

use super::{
    AuthError, Authenticator, Credential, CredentialId, Directory, PasswordHash, Principal, Scopes,
    Token,
};
use crate::{
    owner::{Login, Owner},
    registry::{Runtime, runtime},
};

/// Authenticates by user name and password, as a [`Credential`] of the form `Basic` has them.
///
/// A password is for people: its principal may make and revoke tokens, and use all of its rights.
/// What to check one costs, see [`PasswordHash::of`]: no more than two a processor are checked at a
/// time, and an unknown user takes as long as a wrong password.
pub struct PasswordAuthenticator {
    directory: Arc<dyn Directory>,
    runtime: Arc<dyn Runtime>,
    turns: Arc<Semaphore>,
}

impl PasswordAuthenticator {
    /// Knows the users of `directory`, and checks their passwords on `runtime`.
    pub fn new(directory: impl Directory, runtime: impl Runtime) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            directory: Arc::new(directory),
            runtime: Arc::new(runtime),
            turns: Arc::new(Semaphore::new(2 * processors)),
        }
    }

    async fn is_of(&self, hash: PasswordHash, password: &str) -> Result<bool, AuthError> {
        let turn = self.turns.acquire_arc().await;
        let password = password.to_owned();
        let work = move || {
            // Held to the end of the work, even if nobody waits for it any more.
            let _turn = turn;
            hash.is_of(&password)
        };
        let checked = runtime::run(&*self.runtime, work).await;
        checked.ok_or_else(|| AuthError::Backend("checking a password has panicked".into()))
    }
}

impl fmt::Debug for PasswordAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordAuthenticator")
            .field("directory", &self.directory)
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Authenticator for PasswordAuthenticator {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        let password = credential.expose();
        let login = credential.user().and_then(|user| Login::new(user).ok());
        // Beside a token, the user name is whatever the client asked for.
        let login = login.filter(|_| !Token::is_well_formed(password));
        let login = login.ok_or(AuthError::Rejected)?;
        if password.len() > PasswordHash::MAX_PASSWORD_BYTES {
            return Err(AuthError::Rejected);
        }
        let account = self.directory.account(&login).await?;
        // Only that of who may log in counts, but which case it is does not show in the time.
        let account = account.filter(|account| account.may_log_in().is_ok());
        let hash = account.as_ref().and_then(|account| account.password.clone());
        let is_right = self.is_of(hash.unwrap_or_else(PasswordHash::of_nobody), password).await?;
        match account {
            Some(account) if is_right => {
                account.principal(CredentialId::Password, Scopes::all()).map(Arc::new)
            }
            _ => Err(AuthError::Rejected),
        }
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        let account = self.directory.account(login).await?;
        Ok(account.filter(|account| account.disabled_at.is_none()).map(|account| account.owner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;
    use crate::{
        auth::{AccountKind, AccountStore as _, CredentialForms, Groups},
        conformance,
        memory::MemoryAccounts,
        record::Timestamp,
        registry::Inline,
    };

    fn basic(user: &str, password: &str) -> Credential {
        let header = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        Credential::from_header(header.as_bytes(), CredentialForms::default()).unwrap()
    }

    fn login(text: &str) -> Login {
        Login::new(text).unwrap()
    }

    /// With alice, who is in a group and has a password, and bob, who has none.
    async fn accounts() -> MemoryAccounts {
        let accounts = MemoryAccounts::new();
        for (name, kind) in [
            ("alice", AccountKind::User),
            ("bob", AccountKind::User),
            ("group:ui", AccountKind::Group),
        ] {
            accounts.create_account(&login(name), None, kind).await.unwrap();
        }
        accounts.add_member(&login("group:ui"), &login("alice")).await.unwrap();
        let hash = PasswordHash::of("correct horse").unwrap();
        accounts.set_password(&login("alice"), Some(&hash)).await.unwrap();
        accounts
    }

    /// Counts what it is given to do.
    #[derive(Debug, Default)]
    struct Counting(Arc<AtomicUsize>);

    #[async_trait]
    impl Runtime for Counting {
        async fn run(&self, work: Box<dyn FnOnce() + Send>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            work();
        }

        async fn sleep(&self, _: std::time::Duration) {}
    }

    #[test]
    fn who_knows_the_password_is_the_user() {
        conformance::run(async {
            let accounts = accounts().await;
            let passwords = PasswordAuthenticator::new(accounts.clone(), Inline);
            let alice = passwords.authenticate(&basic("alice", "correct horse")).await.unwrap();
            let expected = Principal {
                groups: Groups::from_iter([login("group:ui")]),
                credential: CredentialId::Password,
                ..Principal::from(Owner { id: 1, login: login("alice"), name: None })
            };
            assert_eq!(*alice, expected);
            for (user, password) in [
                ("alice", "wrong horse"),
                ("Alice", "correct horse"),
                ("bob", "correct horse"),
                ("group:ui", "correct horse"),
                ("nobody", "correct horse"),
                ("", "correct horse"),
                ("-", "correct horse"),
            ] {
                let refused = passwords.authenticate(&basic(user, password)).await;
                assert!(matches!(refused, Err(AuthError::Rejected)), "{user}: {refused:?}");
            }
            // Alone, it is a token, and none that counts.
            let alone = Credential::from_header(b"password", CredentialForms::default()).unwrap();
            assert!(matches!(passwords.authenticate(&alone).await, Err(AuthError::Rejected)));
        });
    }

    #[test]
    fn disabling_and_a_new_password_count_at_once() {
        conformance::run(async {
            let accounts = accounts().await;
            let passwords = PasswordAuthenticator::new(accounts.clone(), Inline);
            let alice = login("alice");
            let logs_in =
                async |password| passwords.authenticate(&basic("alice", password)).await.is_ok();
            let is_known = async || passwords.find_user(&alice).await.unwrap().is_some();
            assert!(logs_in("correct horse").await && is_known().await);
            accounts.set_disabled(&alice, Some(Timestamp(1))).await.unwrap();
            assert!(!logs_in("correct horse").await && !is_known().await);
            accounts.set_disabled(&alice, None).await.unwrap();
            assert!(logs_in("correct horse").await && is_known().await);
            let hash = PasswordHash::of("battery staple").unwrap();
            accounts.set_password(&alice, Some(&hash)).await.unwrap();
            assert!(logs_in("battery staple").await && !logs_in("correct horse").await);
            accounts.set_password(&alice, None).await.unwrap();
            assert!(!logs_in("battery staple").await);
        });
    }

    /// As much work for each, so that the time tells nobody who is a user.
    #[test]
    fn every_wrong_password_costs_the_same() {
        conformance::run(async {
            let accounts = accounts().await;
            let jobs = Arc::new(AtomicUsize::new(0));
            let passwords = PasswordAuthenticator::new(accounts.clone(), Counting(jobs.clone()));
            for (n, user) in ["alice", "bob", "nobody", "group:ui"].into_iter().enumerate() {
                passwords.authenticate(&basic(user, "wrong horse")).await.unwrap_err();
                assert_eq!(jobs.load(Ordering::Relaxed), n + 1, "{user}");
            }
            let cost = |hash: &str| hash.rsplitn(3, '$').nth(2).unwrap().to_owned();
            let alice = accounts.account(&login("alice")).await.unwrap().unwrap();
            let nobody = PasswordHash::of_nobody();
            assert_eq!(cost(alice.password.unwrap().expose()), cost(nobody.expose()));
            // A token beside a user name is not for this authenticator, and costs nothing.
            let token = Token::generate().unwrap();
            passwords.authenticate(&basic("alice", token.expose())).await.unwrap_err();
            assert_eq!(jobs.load(Ordering::Relaxed), 4);
        });
    }
}

//! Accounts in a file.

mod content;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;

use self::content::Accounts;
use super::{
    Account, AuthError, AuthStoreError, Authenticator, Credential, CredentialId, Directory,
    Principal, TokenHash, TokenId,
};
use crate::owner::{Login, Owner};

/// Users, service accounts and groups in a TOML file, with the digests of tokens. It is read again
/// when it has changed, within a second: for as long, what was taken out of it counts, for writes
/// as well.
///
/// ```toml
/// [users.alice]
/// name = "Alice"
/// groups = ["ui"]
/// password = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
///
/// [services.ci]
/// groups = ["ui"]
/// disabled = false
/// # What `printf %s "$TOKEN" | sha256sum` says.
/// tokens = [{ sha256 = "…", scopes = ["read", "publish-update"], crates = ["ui-*"] }]
///
/// [groups.ui]
/// name = "User interface"
/// ```
///
/// Nothing but `[users.…]` and the like is needed. A token without `scopes` may be used for all but
/// administration, one without `crates` for all crates. The id of an account, which clients are shown
/// beside its login, follows from the login; `id = NUMBER` gives it another.
///
/// A file that cannot be read any more, or says something that is not understood, changes nothing:
/// who was known before stays known.
pub struct AccountFile {
    path: PathBuf,
    state: Mutex<State>,
    on_error: Box<dyn Fn(&AccountFileError) + Send + Sync>,
}

struct State {
    accounts: Arc<Accounts>,
    version: Option<FileVersion>,
    looked_at: Instant,
}

/// By what a file that has changed is recognised.
type FileVersion = (SystemTime, u64);

impl AccountFile {
    /// Fewest bytes of a token, since its digest is no secret. Source: ours; 32 random letters and
    /// digits are 190 bits.
    pub const MIN_TOKEN_BYTES: usize = 32;
    /// Most bytes of the file. Source: ours.
    pub const MAX_BYTES: u64 = 4 << 20;
    /// For how long the file is not looked at again.
    const REST: Duration = Duration::from_millis(500);

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`AccountFileError`] says what is wrong in which line.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, AccountFileError> {
        let path = path.into();
        // Before it is read: what is written meanwhile is read next time.
        let version = version(&path).ok();
        let accounts = Arc::new(Accounts::read(&path)?);
        let state = State { accounts, version, looked_at: Instant::now() };
        Ok(Self { path, state: Mutex::new(state), on_error: Box::new(|_| {}) })
    }

    /// Calls `on_error` each time the file was changed to something that is not understood.
    #[must_use]
    pub fn on_error(self, on_error: impl Fn(&AccountFileError) + Send + Sync + 'static) -> Self {
        Self { on_error: Box::new(on_error), ..self }
    }

    /// What the file says now. Reading it holds up the thread, which is why it is small.
    fn accounts(&self) -> Arc<Accounts> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() >= Self::REST {
            state.looked_at = Instant::now();
            let found = version(&self.path);
            let found =
                found.map_err(|source| AccountFileError::Read { path: self.path.clone(), source });
            match found {
                Ok(found) if Some(found) == state.version => {}
                Ok(found) => {
                    state.version = Some(found);
                    match Accounts::read(&self.path) {
                        Ok(accounts) => state.accounts = Arc::new(accounts),
                        Err(error) => (self.on_error)(&error),
                    }
                }
                // Told once.
                Err(error) => {
                    if state.version.take().is_some() {
                        (self.on_error)(&error);
                    }
                }
            }
        }
        state.accounts.clone()
    }
}

fn version(path: &Path) -> io::Result<FileVersion> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.modified()?, metadata.len()))
}

impl fmt::Debug for AccountFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl Directory for AccountFile {
    async fn account(&self, login: &Login) -> Result<Option<Account>, AuthStoreError> {
        Ok(self.accounts().accounts.get(login).cloned())
    }
}

/// Knows the tokens in the file. Passwords are for a `PasswordAuthenticator` over it.
#[async_trait]
impl Authenticator for AccountFile {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        if credential.expose().len() < Self::MIN_TOKEN_BYTES {
            return Err(AuthError::Rejected);
        }
        let (accounts, digest) = (self.accounts(), credential.digest());
        let (login, scopes) = accounts.tokens.get(&digest).ok_or(AuthError::Rejected)?;
        let account = accounts.accounts[login].clone();
        // Here the digest itself is what is stored.
        let id = CredentialId::Token(TokenId::of(&TokenHash::from_bytes(*digest.as_bytes())));
        account.principal(id, scopes.clone()).map(Arc::new)
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        let account = self.account(login).await?;
        Ok(account.filter(|account| account.disabled_at.is_none()).map(|account| account.owner))
    }
}

/// A file of accounts is not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountFileError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says something that makes no sense.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it; holds no secret.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{AccountKind, CratePattern, CredentialForms, EndpointScope, Groups, Scopes},
        checksum::Checksum,
        conformance,
    };

    const TOKEN: &str = "a token of some forty random characters";

    fn file() -> String {
        format!(
            "[users.alice]\n\
             name = \"Alice\"\n\
             groups = [\"ui\", \"group:core\"]\n\
             password = \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA\"\n\
             \n\
             [users.\"bob@example.com\"]\n\
             disabled = true\n\
             id = 7\n\
             \n\
             [services.ci]\n\
             groups = [\"ui\"]\n\
             tokens = [\n\
             \x20   {{ sha256 = \"{}\", scopes = [\"publish-update\"], crates = [\"ui-*\"] }},\n\
             ]\n\
             \n\
             [groups.ui]\n\
             name = \"User interface\"\n\
             [groups.core]\n",
            sha256(TOKEN)
        )
    }

    fn sha256(token: &str) -> String {
        Checksum::of(token).to_string()
    }

    fn login(text: &str) -> Login {
        Login::new(text).unwrap()
    }

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.toml");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn credential(text: &str) -> Credential {
        let header = format!("Bearer {}", text.replace(' ', "_"));
        Credential::from_header(header.as_bytes(), CredentialForms::default()).unwrap()
    }

    #[test]
    fn accounts_are_as_the_file_says() {
        let token = TOKEN.replace(' ', "_");
        let (_folder, path) = written(&file().replace(&sha256(TOKEN), &sha256(&token)));
        let file = AccountFile::open(path).unwrap();
        conformance::run(async move {
            let account = async |name| file.account(&login(name)).await.unwrap().unwrap();
            let alice = account("alice").await;
            assert_eq!(
                (alice.kind, alice.owner.name.as_deref()),
                (AccountKind::User, Some("Alice"))
            );
            let both = Groups::from_iter([login("group:ui"), login("group:core")]);
            assert_eq!((alice.groups, alice.password.is_some()), (both, true));
            let bob = account("bob@example.com").await;
            assert_eq!((bob.owner.id, bob.disabled_at.is_some()), (7, true));
            assert!(account("group:ui").await.owner.id >= 1 << 31);
            assert_eq!(file.account(&login("carol")).await.unwrap(), None);
            assert_eq!(file.find_user(&bob.owner.login).await.unwrap(), None);

            let ci = file.authenticate(&credential(TOKEN)).await.unwrap();
            let ui = Groups::from_iter([login("group:ui")]);
            assert_eq!((ci.user.login.as_str(), &ci.groups), ("ci", &ui));
            let scopes =
                Scopes::new([EndpointScope::PublishUpdate], [CratePattern::new("ui-*").unwrap()]);
            assert_eq!(ci.scopes, scopes);
            for wrong in ["a token of some forty random character", "short"] {
                let answer = file.authenticate(&credential(wrong)).await;
                assert!(matches!(answer, Err(AuthError::Rejected)), "{answer:?}");
            }
            assert!(!format!("{file:?}").contains("argon2id"));
        });
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_a_secret() {
        let digest = sha256(TOKEN);
        for (text, line, reason) in [
            ("[users.alice]\nname = 7\n", 2, "expected a string"),
            ("[users.alice]\n\npasword = \"s3cret\"\n", 3, ""),
            ("[users.alice]\ndisabled = \"s3cret\"\n", 2, "expected a boolean"),
            (
                "[users.alice]\n[users.bob]\ngroups = [\n\"ui\"]\n",
                4,
                "there is no group `group:ui` in this file",
            ),
            (
                "[users.alice]\npassword = \"s3cret\"\n",
                2,
                "a password is kept as argon2id's PHC string, `$argon2id$v=19$m=…,t=…,p=…$…$…`",
            ),
            (
                "[services.ci]\npassword = \"$argon2id$v=19$m=1,t=1,p=1$s3cret$aGFzaA\"\n",
                2,
                "only a user has a password",
            ),
            (
                "[users.a]\ntokens = [{ sha256 = \"s3cret\" }]\n",
                2,
                "`sha256` of a token is 64 lower-case hexadecimal digits",
            ),
            (
                &format!(
                    "[users.a]\ntokens = [{{ sha256 = \"{digest}\" }}]\n[users.b]\n\
                     tokens = [{{ sha256 = \"{digest}\" }}]\n"
                ),
                4,
                "this token is there twice",
            ),
            (
                "[users.a]\nid = 7\n\n[users.b]\nid = 7\n",
                4,
                "`b` and `a` have the same id: give one another by `id = NUMBER`",
            ),
            ("[users.a]\n[services.a]\n", 2, ""),
            ("[users.\"group:ui\"]\n", 1, "`group:ui` is the login of a group"),
            ("\n[users.a\n", 2, ""),
        ] {
            let (_folder, path) = written(text);
            let error = AccountFile::open(&path).unwrap_err();
            let AccountFileError::Content { line: found, reason: given, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(*found, line, "{text}{error}");
            assert!(reason.is_empty() || given == reason, "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        let error = AccountFile::open("/nowhere/accounts.toml").unwrap_err();
        assert_eq!(error.to_string(), "cannot read `/nowhere/accounts.toml`");
    }

    #[test]
    fn a_file_that_has_changed_counts_and_a_broken_one_does_not() {
        let (_folder, path) = written("[users.alice]\n");
        let errors = Arc::new(Mutex::new(Vec::new()));
        let told = errors.clone();
        let file = AccountFile::open(&path)
            .unwrap()
            .on_error(move |error| told.lock().unwrap().push(error.to_string()));
        conformance::run(async move {
            let is_known = async |name| file.account(&login(name)).await.unwrap().is_some();
            let until = async |what: &(dyn Fn(bool, usize) -> bool + Sync), name| {
                let deadline = Instant::now() + Duration::from_secs(60);
                while !what(is_known(name).await, errors.lock().unwrap().len()) {
                    assert!(Instant::now() < deadline);
                    tokio::task::yield_now().await;
                }
            };
            assert!(is_known("alice").await && !is_known("bob").await);
            fs::write(&path, "[users.alice]\n[users.bob]\n").unwrap();
            until(&|known, _| known, "bob").await;
            fs::write(&path, "[users.alice]\nbroken\n").unwrap();
            until(&|_, told| told == 1, "bob").await;
            assert!(is_known("bob").await);
            assert!(errors.lock().unwrap()[0].contains(", line 2: "), "{errors:?}");
            fs::remove_file(&path).unwrap();
            until(&|_, told| told == 2, "bob").await;
            assert!(is_known("bob").await);
            fs::write(&path, "[users.carol]\n").unwrap();
            until(&|known, _| known, "carol").await;
            assert!(!is_known("alice").await);
            assert_eq!(errors.lock().unwrap().len(), 2);
        });
    }
}

use std::sync::Arc;

use async_trait::async_trait;

use super::{AuthError, Authenticator, Credential, Directory, Principal};
use crate::owner::{Login, Owner};

/// An authenticator around another, for which accounts count: whose is disabled is rejected, by
/// whatever credential they come, and who is a member of groups comes as one.
///
/// Who has no account comes as the other says: the directory is not asked who there is.
#[derive(Clone, Debug)]
pub struct WithAccounts {
    inner: Arc<dyn Authenticator>,
    directory: Arc<dyn Directory>,
}

impl WithAccounts {
    /// Holds the principals of `inner` against the accounts of `directory`.
    pub fn new(inner: impl Authenticator, directory: impl Directory) -> Self {
        Self { inner: Arc::new(inner), directory: Arc::new(directory) }
    }

    /// What the account of the user makes of a principal.
    async fn held_against(&self, principal: Arc<Principal>) -> Result<Arc<Principal>, AuthError> {
        let Some(account) = self.directory.account(&principal.user.login).await? else {
            return Ok(principal);
        };
        account.may_log_in()?;
        let mut more = account.groups.iter().filter(|group| !principal.groups.contains(group));
        if more.next().is_none() {
            return Ok(principal);
        }
        let groups = principal.groups.and(&account.groups);
        Ok(Arc::new(Principal { groups, ..Principal::clone(&principal) }))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Authenticator for WithAccounts {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        self.held_against(self.inner.authenticate(credential).await?).await
    }

    async fn authenticate_anew(
        &self,
        credential: &Credential,
    ) -> Result<Arc<Principal>, AuthError> {
        self.held_against(self.inner.authenticate_anew(credential).await?).await
    }

    /// None of whoever is disabled: they are not to become the owner of anything.
    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        match self.directory.account(login).await? {
            Some(account) if account.disabled_at.is_some() => Ok(None),
            Some(account) => Ok(Some(account.owner)),
            None => self.inner.find_user(login).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{AccountKind, AccountStore as _, CredentialForms, CredentialId},
        conformance,
        memory::MemoryAccounts,
        record::Timestamp,
    };

    fn login(text: &str) -> Login {
        Login::new(text).unwrap()
    }

    /// Whoever names a login is that user, by a key, and in the group `group:other`.
    #[derive(Debug)]
    struct Everybody;

    #[async_trait]
    impl Authenticator for Everybody {
        async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
            let user = Owner { id: 1000, login: login(credential.expose()), name: None };
            Ok(Arc::new(Principal {
                groups: [login("group:other")].into_iter().collect(),
                credential: CredentialId::Key("k".into()),
                ..user.into()
            }))
        }

        async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
            Ok(Some(Owner { id: 1000, login: login.clone(), name: None }))
        }
    }

    fn credential(text: &str) -> Credential {
        Credential::from_header(text.as_bytes(), CredentialForms::default()).unwrap()
    }

    #[test]
    fn a_member_comes_with_all_groups() {
        conformance::run(async {
            let accounts = MemoryAccounts::new();
            for (name, kind) in [("alice", AccountKind::User), ("group:ui", AccountKind::Group)] {
                accounts.create_account(&login(name), None, kind).await.unwrap();
            }
            let with = WithAccounts::new(Everybody, accounts.clone());
            let groups = async |name| {
                let principal = with.authenticate(&credential(name)).await.unwrap();
                assert_eq!(principal.credential, CredentialId::Key("k".into()));
                principal.groups.iter().map(Login::to_string).collect::<Vec<_>>()
            };
            assert_eq!(groups("alice").await, ["group:other"]);
            accounts.add_member(&login("group:ui"), &login("alice")).await.unwrap();
            assert_eq!(groups("alice").await, ["group:other", "group:ui"]);
            // Who has no account here comes as they are.
            assert_eq!(groups("carol").await, ["group:other"]);
        });
    }

    #[test]
    fn whoever_is_disabled_is_rejected_at_once_and_until_enabled() {
        conformance::run(async {
            let accounts = MemoryAccounts::new();
            let alice = login("alice");
            let account = accounts.create_account(&alice, None, AccountKind::User).await.unwrap();
            let with = WithAccounts::new(Everybody, accounts.clone());
            for (disabled_at, counts) in [(None, true), (Some(Timestamp(7)), false), (None, true)] {
                accounts.set_disabled(&alice, disabled_at).await.unwrap();
                let answer = with.authenticate(&credential("alice")).await;
                let expected = Some(account.owner.clone()).filter(|_| counts);
                assert_eq!(with.find_user(&alice).await.unwrap(), expected);
                match answer {
                    Ok(principal) => assert!(counts, "{principal:?}"),
                    Err(AuthError::Rejected) => assert!(!counts),
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }

    #[test]
    fn nobody_comes_as_a_group() {
        conformance::run(async {
            let accounts = MemoryAccounts::new();
            let group = login("group:ui");
            let ui = accounts.create_account(&group, None, AccountKind::Group).await.unwrap();
            let with = WithAccounts::new(Everybody, accounts);
            let answer = with.authenticate(&credential("group:ui")).await;
            assert!(matches!(answer, Err(AuthError::Rejected)), "{answer:?}");
            // But it may own crates.
            assert_eq!(with.find_user(&group).await.unwrap(), Some(ui.owner));
            assert_eq!(with.find_user(&login("carol")).await.unwrap().unwrap().id, 1000);
        });
    }
}

use std::sync::Arc;

use super::{
    Account, AccountError, AccountKind, AccountStore, AuthError, CredentialId, Directory, Groups,
    Principal, Scopes, Vouched,
};
use crate::owner::Login;

/// Makes principals of those whom a proxy in front has authenticated.
///
/// It believes what it is told: whoever calls it has made sure that the proxy says it.
#[derive(Clone, Debug)]
pub struct ProxyUsers(Accounts);

#[derive(Clone, Debug)]
enum Accounts {
    Known(Arc<dyn Directory>),
    Made(Arc<dyn AccountStore>),
}

impl ProxyUsers {
    /// Knows the users of a directory, and rejects all others.
    pub fn known(directory: impl Directory) -> Self {
        Self(Accounts::Known(Arc::new(directory)))
    }

    /// Makes a user of whoever comes for the first time.
    pub fn made(accounts: impl AccountStore) -> Self {
        Self(Accounts::Made(Arc::new(accounts)))
    }

    /// The user of this login, as a member of the groups that the proxy says, too.
    ///
    /// Whoever calls it notes it in the audit trail if an account is new.
    ///
    /// # Errors
    /// [`AuthError::Rejected`] for a user who is disabled or not known, and for a login with `:` in it;
    /// [`AuthError::Backend`] if that cannot be found out now.
    pub async fn user(&self, login: &Login, groups: &Groups) -> Result<ProxyUser, AuthError> {
        // Such are the logins of users of identity providers, of trusted publishers and of groups.
        if login.as_str().contains(':') {
            return Err(AuthError::Rejected);
        }
        let known = match &self.0 {
            Accounts::Known(directory) => directory.account(login).await?,
            Accounts::Made(accounts) => accounts.account(login).await?,
        };
        let (account, is_new) = match (known, &self.0) {
            (Some(account), _) => (account, false),
            (None, Accounts::Known(_)) => return Err(AuthError::Rejected),
            (None, Accounts::Made(accounts)) => make(accounts, login).await?,
        };
        let principal = account.principal(CredentialId::Proxy, Scopes::all())?;
        let vouched = Vouched { groups: groups.clone(), ..principal.vouched };
        let principal = Arc::new(Principal { vouched, ..principal });
        Ok(ProxyUser { principal, is_new })
    }
}

/// The account of somebody who has none, and whether it is new.
async fn make(
    accounts: &Arc<dyn AccountStore>,
    login: &Login,
) -> Result<(Account, bool), AuthError> {
    match accounts.create_account(login, None, AccountKind::User).await {
        Ok(account) => Ok((account, true)),
        // Another request of theirs was faster.
        Err(AccountError::Taken { .. }) => {
            Ok((accounts.account(login).await?.ok_or(AuthError::Rejected)?, false))
        }
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(_) => Err(AuthError::Rejected),
    }
}

/// One whom a proxy has authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUser {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// Whether the account was made just now: they had none before.
    pub is_new: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conformance, memory::MemoryAccounts, owner::Owner, record::Timestamp};

    fn login(text: &str) -> Login {
        Login::new(text).unwrap()
    }

    fn groups(logins: &[&str]) -> Groups {
        logins.iter().map(|group| login(group)).collect()
    }

    #[test]
    fn a_user_comes_with_the_groups_of_account_and_proxy() {
        conformance::run(async {
            let accounts = MemoryAccounts::new();
            let none = Groups::default();
            let (alice, ui) = (login("alice"), login("group:ui"));
            let known = ProxyUsers::known(accounts.clone());
            let unknown = known.user(&alice, &none).await;
            assert!(matches!(unknown, Err(AuthError::Rejected)), "{unknown:?}");
            let made = ProxyUsers::made(accounts.clone());
            let expected = Principal {
                credential: CredentialId::Proxy,
                ..Owner { id: 1, login: alice.clone(), name: None }.into()
            };
            let mut expected = ProxyUser { principal: Arc::new(expected), is_new: true };
            assert_eq!(made.user(&alice, &none).await.unwrap(), expected);
            // Once made, known.
            expected.is_new = false;
            assert_eq!(made.user(&alice, &none).await.unwrap(), expected);
            assert_eq!(known.user(&alice, &none).await.unwrap(), expected);
            accounts.create_account(&ui, None, AccountKind::Group).await.unwrap();
            accounts.add_member(&ui, &alice).await.unwrap();
            let told = groups(&["group:ops", "group:ui"]);
            let expected = Principal {
                vouched: Vouched { groups: told.clone(), ..Vouched::default() },
                groups: groups(&["group:ui"]),
                ..Principal::clone(&expected.principal)
            };
            assert_eq!(*made.user(&alice, &told).await.unwrap().principal, expected);
        });
    }

    #[test]
    fn nobody_comes_as_a_group_or_while_disabled() {
        conformance::run(async {
            let accounts = MemoryAccounts::new();
            let (made, none) = (ProxyUsers::made(accounts.clone()), Groups::default());
            let is_rejected =
                async |login| matches!(made.user(login, &none).await, Err(AuthError::Rejected));
            let (alice, ui) = (login("alice"), login("group:ui"));
            assert!(is_rejected(&ui).await);
            assert_eq!(accounts.account(&ui).await.unwrap(), None);
            accounts.create_account(&ui, None, AccountKind::Group).await.unwrap();
            assert!(is_rejected(&ui).await);
            assert!(!is_rejected(&alice).await);
            accounts.set_disabled(&alice, Some(Timestamp(1))).await.unwrap();
            assert!(is_rejected(&alice).await);
        });
    }
}

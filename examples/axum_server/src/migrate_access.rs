//! What of access `migrate` brings over beside users and tokens.

use std::sync::Arc;

use registry_core::auth::{
    Account, AccountError, AccountKind, AccountStore, ApprovedName, ApprovedNames, KeyRecord,
    KeyStore,
    trusted::{TrustedPublisherRecord, TrustedPublisherStore},
};

use crate::{backends::OpenIndex, error::Error, key::KeyStores};

/// The stores of an index that has a database; a bucket has none of them.
pub(crate) struct AccessStores {
    accounts: Arc<dyn AccountStore>,
    keys: Arc<dyn KeyStore>,
    publishers: Arc<dyn TrustedPublisherStore>,
    names: Arc<dyn ApprovedNames>,
}

impl AccessStores {
    pub(crate) fn of(index: &OpenIndex) -> Option<Self> {
        Some(Self {
            accounts: index.accounts()?,
            keys: KeyStores::of(index)?.store(),
            publishers: index.trusted_publishers().ok()?,
            names: index.approved_names()?,
        })
    }
}

/// All that such stores hold.
#[derive(Default)]
pub(crate) struct Access {
    accounts: Vec<Account>,
    keys: Vec<KeyRecord>,
    publishers: Vec<TrustedPublisherRecord>,
    names: Vec<ApprovedName>,
}

impl Access {
    pub(crate) async fn read(stores: &AccessStores) -> Result<Self, Error> {
        Ok(Self {
            accounts: stores.accounts.accounts().await.map_err(Error::MigrateUsers)?,
            keys: stores.keys.list(None).await.map_err(Error::MigrateUsers)?,
            publishers: stores.publishers.list(None).await.map_err(Error::MigrateUsers)?,
            names: stores.names.list().await.map_err(Error::MigrateUsers)?,
        })
    }

    /// Refuses what would be lost where there are but users and tokens: whoever is disabled here
    /// would be enabled there.
    pub(crate) fn must_be_plain(&self, place: String) -> Result<(), Error> {
        let mut more = Vec::new();
        let beyond_a_user = |account: &&Account| {
            account.kind != AccountKind::User
                || account.password.is_some()
                || account.disabled_at.is_some()
        };
        if let Some(account) = self.accounts.iter().find(beyond_a_user) {
            more.push(format!(
                "accounts that are not just users, such as `{}`",
                account.owner.login
            ));
        }
        for (count, what) in [
            (self.keys.len(), "public keys"),
            (self.publishers.len(), "trusted publishers"),
            (self.names.len(), "approved names"),
        ] {
            if count > 0 {
                more.push(what.into());
            }
        }
        match more.is_empty() {
            true => Ok(()),
            false => Err(Error::AccessStays { place, what: more.join(", ") }),
        }
    }

    /// Brings over the accounts, before their tokens come: at no time does one count there of
    /// somebody who is disabled.
    pub(crate) async fn write_accounts(&self, to: &AccessStores) -> Result<(), Error> {
        for account in &self.accounts {
            to.accounts.adopt_account(account).await.map_err(failed)?;
        }
        for account in &self.accounts {
            for group in account.groups.iter() {
                let added = to.accounts.add_member(group, &account.owner.login).await;
                added.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Brings over what names accounts. Nothing is taken away that is there already, but for keys
    /// that were revoked; one that was revoked there stays so.
    pub(crate) async fn write_rest(&self, to: &AccessStores) -> Result<(), Error> {
        for key in &self.keys {
            let there = to.keys.find(&key.id).await.map_err(Error::MigrateUsers)?;
            let is_there = there.is_some_and(|there| there.user.login == key.user.login);
            match key.revoked_at {
                // Another user's is refused there.
                _ if !is_there => to.keys.add(key).await.map_err(Error::MigrateUsers)?,
                Some(at) => drop(to.keys.revoke(&key.id, at).await.map_err(Error::MigrateUsers)?),
                None => {}
            }
        }
        for TrustedPublisherRecord { name, publisher, created_at, created_by, .. } in
            &self.publishers
        {
            let added = to.publishers.add(name, publisher, *created_at, created_by).await;
            added.map_err(Error::MigrateUsers)?;
        }
        for name in &self.names {
            to.names.approve(name).await.map_err(Error::MigrateUsers)?;
        }
        Ok(())
    }

    /// For the summary.
    pub(crate) fn told(&self) -> String {
        let groups = self.accounts.iter().filter(|account| account.kind == AccountKind::Group);
        format!(
            "{} groups, {} keys, {} trusted publishers, {} approved names",
            groups.count(),
            self.keys.len(),
            self.publishers.len(),
            self.names.len()
        )
    }
}

fn failed(error: AccountError) -> Error {
    match error {
        AccountError::Store(error) => Error::MigrateUsers(error),
        error => error.into(),
    }
}

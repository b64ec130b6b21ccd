//! Users for the stores that keep something of theirs.

use registry_core::{
    Login, Owner,
    auth::{
        Account, AccountKind, AccountStore, Groups, KeyRecord, KeyRefusal, KeyStore, PublicKey,
        Vouched,
    },
    record::Timestamp,
};

/// `alice` of id 1 and `bob` of id 2.
pub(crate) async fn make_users(accounts: &impl AccountStore) {
    for (id, login) in [(1, "alice"), (2, "bob")] {
        let login = Login::new(login).unwrap();
        let made = accounts.create_account(&login, None, AccountKind::User).await.unwrap();
        assert_eq!(made.owner.id, id);
    }
}

/// The key of a user whom only an identity provider knows makes an account of them, which can be
/// disabled; one that is refused makes none.
pub(crate) async fn keys_make_users(keys: impl KeyStore, accounts: impl AccountStore) {
    let key = "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
    let key: PublicKey = key.parse().unwrap();
    let record = |id: u32, login: &str| KeyRecord {
        id: key.id(),
        key,
        user: Owner { id, login: Login::new(login).unwrap(), name: None },
        name: String::new(),
        subject: None,
        vouched: Vouched::default(),
        created_at: Timestamp(0),
        revoked_at: None,
    };
    let of_alice = record(1 << 31 | 17, "corp:alice");
    keys.add(&of_alice).await.unwrap();
    for refused in [record(1 << 31 | 18, "corp:bob"), record(1, "group:ui")] {
        let error = keys.add(&refused).await.unwrap_err();
        assert!(error.source.is::<KeyRefusal>(), "{error:?}");
    }
    let mut account = Account {
        owner: Owner { id: 1, ..of_alice.user.clone() },
        kind: AccountKind::User,
        groups: Groups::default(),
        password: None,
        disabled_at: None,
    };
    assert_eq!(accounts.accounts().await.unwrap(), std::slice::from_ref(&account));
    let kept = KeyRecord { user: account.owner.clone(), ..of_alice };
    assert_eq!(keys.list(None).await.unwrap(), [kept]);
    account.disabled_at = Some(Timestamp(7));
    accounts.set_disabled(&account.owner.login, account.disabled_at).await.unwrap();
    assert_eq!(accounts.accounts().await.unwrap(), [account]);
}

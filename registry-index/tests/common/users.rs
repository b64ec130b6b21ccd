//! Users for the stores that keep something of theirs.

use registry_core::{
    Login, Owner,
    auth::{AccountKind, AccountStore, KeyRecord, KeyRefusal, KeyStore, PublicKey, Vouched},
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

/// A store without users takes no key.
pub(crate) async fn refuses_keys_of_others(keys: impl KeyStore) {
    let key = "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
    let key: PublicKey = key.parse().unwrap();
    let login = Login::new("alice").unwrap();
    let record = KeyRecord {
        id: key.id(),
        key,
        user: Owner { id: 1, login: login.clone(), name: None },
        name: String::new(),
        subject: None,
        vouched: Vouched::default(),
        created_at: Timestamp(0),
        revoked_at: None,
    };
    let error = keys.add(&record).await.unwrap_err();
    assert_eq!(error.source.downcast_ref(), Some(&KeyRefusal::UnknownUser { login }));
    assert_eq!(keys.find(&record.id).await.unwrap(), None);
}

use registry_core::auth::{Credential, CredentialForms, Token};

/// A credential is what stood in the header, without blanks, and is never told.
pub fn authorization(data: &[u8]) {
    // A refusal cannot tell what was sent: its type has no room for it.
    let Ok(credential) = Credential::from_header(data, CredentialForms::default()) else { return };
    let secret = credential.expose();
    assert!(!secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic()));
    assert!(data.windows(secret.len()).any(|window| window == secret.as_bytes()));
    assert_eq!(format!("{credential:?}"), "Credential(…)");
    if Token::is_well_formed(secret) {
        assert_eq!(secret.len(), Token::PREFIX.len() + 49);
    }
}

use base64::{Engine as _, prelude::BASE64_STANDARD};
use registry_core::auth::{Credential, CredentialForms, Token};

/// A credential is what stood in the header, without blanks, and is never told.
pub fn authorization(data: &[u8]) {
    // A refusal cannot tell what was sent: its type has no room for it.
    let Ok(credential) = Credential::from_header(data, CredentialForms::default()) else { return };
    let secret = credential.expose();
    assert!(!secret.is_empty() && !secret.contains(char::is_control));
    assert_eq!(format!("{credential:?}"), "Credential(…)");
    let unnamed = CredentialForms { basic: false, ..CredentialForms::default() };
    match Credential::from_header(data, unnamed) {
        Ok(same) => {
            assert_eq!(same, credential);
            assert!(secret.bytes().all(|b| b.is_ascii_graphic()));
            assert!(data.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
        Err(_) => {
            let pair = format!("{}:{secret}", credential.user().unwrap_or_default());
            let header = format!("Basic {}", BASE64_STANDARD.encode(pair));
            let again = Credential::from_header(header.as_bytes(), CredentialForms::default());
            assert_eq!(again, Ok(credential.clone()));
        }
    }
    if Token::is_well_formed(secret) {
        assert_eq!(secret.len(), Token::PREFIX.len() + 49);
        let in_path = Credential::from_path_segment(secret).expect("it is plain");
        assert_eq!(in_path.expose(), secret);
    }
}

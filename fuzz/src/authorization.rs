use registry_core::auth::{Credential, CredentialForms, Token};

/// A credential is what stood in the header, without blanks, and is never told.
pub fn authorization(data: &[u8]) {
    match Credential::from_header(data, CredentialForms::default()) {
        Ok(credential) => {
            let secret = credential.expose();
            assert!(!secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic()));
            assert!(data.windows(secret.len()).any(|window| window == secret.as_bytes()));
            assert_eq!(format!("{credential:?}"), "Credential(…)");
            // Nobody guesses a token by chance.
            if Token::is_well_formed(secret) {
                assert_eq!(secret.len(), Token::PREFIX.len() + 49);
            }
        }
        Err(error) => {
            // Longer than any word of our own texts, so that a match would be an echo.
            if let Ok(text) = std::str::from_utf8(data)
                && text.len() > 16
            {
                assert!(!error.to_string().contains(text));
            }
        }
    }
}

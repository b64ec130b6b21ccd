use std::fmt;

use super::TokenDigest;

/// The secret that came with a request. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Box<str>);

impl Credential {
    /// Most bytes of an `Authorization` header. Source: ours; asymmetric tokens are the longest,
    /// some 500 bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Reads the value of an `Authorization` header: the bare token, as cargo sends it, or one
    /// behind the word `Bearer` or `Token`, in any case, as people paste it.
    ///
    /// Space, tab, CR and LF around the token are dropped: they come from `echo` and from Windows.
    ///
    /// # Errors
    /// [`CredentialError`] says what is wrong, without a byte of what was sent.
    pub fn from_header(value: &[u8]) -> Result<Self, CredentialError> {
        if value.len() > Self::MAX_BYTES {
            return Err(CredentialError::TooLong);
        }
        let text = std::str::from_utf8(value).map_err(|_| CredentialError::Characters)?;
        let text = text.trim_matches(BLANK);
        let token = match text.split_once([' ', '\t']) {
            None => text,
            Some((scheme, token))
                if ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) =>
            {
                token.trim_matches(BLANK)
            }
            Some(_) => return Err(CredentialError::Scheme),
        };
        if token.is_empty() {
            return Err(CredentialError::Empty);
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CredentialError::Characters);
        }
        Ok(Self(token.into()))
    }

    /// The secret itself. Compare digests rather than this.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest under which a token is stored.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// An `Authorization` header that holds no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// There is nothing in it.
    #[error("Invalid `Authorization` header: it is empty")]
    Empty,
    /// It is longer than [`Credential::MAX_BYTES`].
    #[error("Invalid `Authorization` header: it is longer than {} bytes", Credential::MAX_BYTES)]
    TooLong,
    /// The word before the token is not one that is accepted.
    #[error(
        "Invalid `Authorization` header: expected a token alone, or behind `Bearer` or `Token`"
    )]
    Scheme,
    /// A byte of the token is not a visible ASCII character.
    #[error("Invalid `Authorization` header: a token consists of visible ASCII characters")]
    Characters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_whatever_people_put_around_it() {
        for header in
            ["tok", "tok\r", " tok\n", "Bearer tok", "bearer  tok ", "TOKEN tok\r\n", "Token\ttok"]
        {
            let credential = Credential::from_header(header.as_bytes());
            assert_eq!(credential.as_ref().map(Credential::expose), Ok("tok"), "{header:?}");
        }
    }

    #[test]
    fn what_holds_no_token_is_refused() {
        let longest = "x".repeat(Credential::MAX_BYTES);
        assert!(Credential::from_header(longest.as_bytes()).is_ok());
        for (header, error) in [
            ("".as_bytes(), CredentialError::Empty),
            (b" \r\n", CredentialError::Empty),
            (b"Basic dTpw", CredentialError::Scheme),
            (b"Bearer a b", CredentialError::Characters),
            (b"t\0k", CredentialError::Characters),
            ("tök".as_bytes(), CredentialError::Characters),
            (b"\xff", CredentialError::Characters),
            (format!("{longest}x").as_bytes(), CredentialError::TooLong),
        ] {
            assert_eq!(Credential::from_header(header), Err(error), "{header:?}");
        }
    }

    #[test]
    fn a_credential_does_not_print_itself() {
        let credential = Credential::from_header(b"secret").unwrap();
        assert_eq!(format!("{credential:?}"), "Credential(…)");
    }
}

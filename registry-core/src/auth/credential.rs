use std::fmt;

use super::TokenDigest;

/// The ways in which a token may stand in an `Authorization` header. Default: all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialForms {
    /// The token alone, as cargo sends what a user has configured.
    pub bare: bool,
    /// Behind the word `Bearer`, as RFC 6750 has it.
    pub bearer: bool,
    /// Behind the word `Token`, as some hosted registries tell their users.
    pub token: bool,
}

impl CredentialForms {
    fn accept(self, scheme: &str) -> bool {
        let is = |word: &str| scheme.eq_ignore_ascii_case(word);
        self.bearer && is("Bearer") || self.token && is("Token")
    }
}

impl Default for CredentialForms {
    fn default() -> Self {
        Self { bare: true, bearer: true, token: true }
    }
}

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
    pub fn from_header(value: &[u8], forms: CredentialForms) -> Result<Self, CredentialError> {
        if value.len() > Self::MAX_BYTES {
            return Err(CredentialError::TooLong);
        }
        let text = std::str::from_utf8(value).map_err(|_| CredentialError::Characters)?;
        let text = text.trim_matches(BLANK);
        let (accepted, token) = match text.split_once([' ', '\t']) {
            None => (forms.bare, text),
            Some((scheme, token)) => (forms.accept(scheme), token.trim_matches(BLANK)),
        };
        if text.is_empty() {
            return Err(CredentialError::Empty);
        }
        if !accepted {
            return Err(CredentialError::Form);
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
    /// The token stands there in a way that is not accepted.
    #[error("Invalid `Authorization` header: a token is not accepted in this form")]
    Form,
    /// A byte of the token is not a visible ASCII character.
    #[error("Invalid `Authorization` header: a token consists of visible ASCII characters")]
    Characters,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: CredentialForms = CredentialForms { bare: true, bearer: true, token: true };

    #[test]
    fn each_form_can_be_switched_off() {
        let forms = [
            ("tok", CredentialForms { bare: false, ..ALL }),
            ("Bearer tok", CredentialForms { bearer: false, ..ALL }),
            ("Token tok", CredentialForms { token: false, ..ALL }),
        ];
        for (header, _) in forms {
            for (off, without) in forms {
                let read = Credential::from_header(header.as_bytes(), without);
                let expected = if header == off { Err(CredentialError::Form) } else { Ok("tok") };
                assert_eq!(read.as_ref().map(Credential::expose).map_err(|error| *error), expected);
            }
        }
    }

    #[test]
    fn a_token_is_found_in_whatever_people_put_around_it() {
        for header in
            ["tok", "tok\r", " tok\n", "Bearer tok", "bearer  tok ", "TOKEN tok\r\n", "Token\ttok"]
        {
            let credential = Credential::from_header(header.as_bytes(), ALL);
            assert_eq!(credential.as_ref().map(Credential::expose), Ok("tok"), "{header:?}");
        }
    }

    #[test]
    fn what_holds_no_token_is_refused() {
        let longest = "x".repeat(Credential::MAX_BYTES);
        assert!(Credential::from_header(longest.as_bytes(), ALL).is_ok());
        for (header, error) in [
            ("".as_bytes(), CredentialError::Empty),
            (b" \r\n", CredentialError::Empty),
            (b"Basic dTpw", CredentialError::Form),
            (b"Bearer a b", CredentialError::Characters),
            (b"t\0k", CredentialError::Characters),
            ("tök".as_bytes(), CredentialError::Characters),
            (b"\xff", CredentialError::Characters),
            (format!("{longest}x").as_bytes(), CredentialError::TooLong),
        ] {
            assert_eq!(Credential::from_header(header, ALL), Err(error), "{header:?}");
        }
    }

    #[test]
    fn a_credential_does_not_print_itself() {
        let credential = Credential::from_header(b"secret", ALL).unwrap();
        assert_eq!(format!("{credential:?}"), "Credential(…)");
    }
}

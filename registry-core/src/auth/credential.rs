use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::TokenDigest;

/// The ways in which a credential may stand in a request. Default: all that are in the
/// `Authorization` header, and none in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialForms {
    /// The token alone, as cargo sends what a user has configured.
    pub bare: bool,
    /// Behind the word `Bearer`, as RFC 6750 has it.
    pub bearer: bool,
    /// Behind the word `Token`, as some hosted registries tell their users.
    pub token: bool,
    /// A user name, and a password or a token, behind the word `Basic`, as RFC 7617 has it.
    pub basic: bool,
    /// As a segment of the path, for clients that send no header. Such a URL is a secret, which
    /// cargo writes into lockfiles and proxies into their logs.
    pub path: bool,
}

impl CredentialForms {
    fn accept(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Bearer => self.bearer,
            Scheme::Token => self.token,
            Scheme::Basic => self.basic,
        }
    }
}

impl Default for CredentialForms {
    fn default() -> Self {
        Self { bare: true, bearer: true, token: true, basic: true, path: false }
    }
}

/// The word in front of a credential.
#[derive(Clone, Copy)]
enum Scheme {
    Bearer,
    Token,
    Basic,
}

impl Scheme {
    /// In any case. Source: RFC 9110, section 11.1.
    fn of(word: &str) -> Option<Self> {
        let all = [("Bearer", Self::Bearer), ("Token", Self::Token), ("Basic", Self::Basic)];
        let found = all.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, scheme)| scheme)
    }
}

/// The secret that came with a request. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    user: Option<Box<str>>,
    secret: Box<str>,
}

impl Credential {
    /// Most bytes of an `Authorization` header. Source: ours; asymmetric tokens and those of
    /// identity providers are the longest, 2,000 bytes at most.
    pub const MAX_BYTES: usize = 4096;

    /// Reads the value of an `Authorization` header: the bare token, as cargo sends it, or one
    /// behind the word `Bearer` or `Token`, in any case, as people paste it, or what a client makes
    /// of a user name and a password, which may be a token.
    ///
    /// Space, tab, CR and LF around it are dropped: they come from `echo` and from Windows.
    ///
    /// # Errors
    /// [`CredentialError`] says what is wrong, without a byte of what was sent.
    pub fn from_header(value: &[u8], forms: CredentialForms) -> Result<Self, CredentialError> {
        if value.len() > Self::MAX_BYTES {
            return Err(CredentialError::TooLong);
        }
        let text = std::str::from_utf8(value).map_err(|_| CredentialError::Characters)?;
        let text = text.trim_matches(BLANK);
        if text.is_empty() {
            return Err(CredentialError::Empty);
        }
        let Some((word, rest)) = text.split_once([' ', '\t']) else {
            return match forms.bare {
                true => Self::token(text),
                false => Err(CredentialError::Form),
            };
        };
        let scheme = Scheme::of(word).filter(|scheme| forms.accept(*scheme));
        match scheme.ok_or(CredentialError::Form)? {
            Scheme::Bearer | Scheme::Token => Self::token(rest.trim_matches(BLANK)),
            Scheme::Basic => Self::basic(rest.trim_matches(BLANK)),
        }
    }

    /// Reads a token that is a segment of a path. It consists of the characters that stand for
    /// themselves in every URL, as ours and those of identity providers do; anything else is none.
    pub fn from_path_segment(segment: &str) -> Option<Self> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let is_token = (1..=Self::MAX_BYTES).contains(&segment.len())
            && segment.bytes().all(unreserved)
            && !matches!(segment, "." | "..");
        is_token.then(|| Self { user: None, secret: segment.into() })
    }

    fn token(text: &str) -> Result<Self, CredentialError> {
        match text.bytes().all(|b| b.is_ascii_graphic()) {
            true => Ok(Self { user: None, secret: text.into() }),
            false => Err(CredentialError::Characters),
        }
    }

    /// Source: RFC 7617, section 2, with UTF-8 as its charset.
    fn basic(encoded: &str) -> Result<Self, CredentialError> {
        let pair = BASE64_STANDARD.decode(encoded).ok().and_then(|it| String::from_utf8(it).ok());
        let pair = pair.ok_or(CredentialError::Basic)?;
        // `echo user:password | base64` encodes the end of the line, too.
        let pair = pair.trim_end_matches(['\r', '\n']);
        let (user, secret) = pair.split_once(':').ok_or(CredentialError::Basic)?;
        if secret.is_empty() || pair.contains(char::is_control) {
            return Err(CredentialError::Basic);
        }
        let user = Some(user).filter(|user| !user.is_empty());
        Ok(Self { user: user.map(Into::into), secret: secret.into() })
    }

    /// The user name that came with the secret, if one did. Nothing has been said about it: beside
    /// a token, people write their name, `token`, or whatever else their client asks them for.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The secret itself. Compare digests rather than this.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    /// The digest under which a token is stored.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.secret)
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
    /// What follows `Basic` is no user name and password.
    #[error("Invalid `Authorization` header: `Basic` takes a user name and a password in base64")]
    Basic,
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

    const ALL: CredentialForms =
        CredentialForms { bare: true, bearer: true, token: true, basic: true, path: true };

    /// User name and secret.
    fn read(header: &str) -> Result<(Option<String>, String), CredentialError> {
        let credential = Credential::from_header(header.as_bytes(), ALL)?;
        Ok((credential.user().map(str::to_owned), credential.expose().to_owned()))
    }

    #[test]
    fn each_form_can_be_switched_off() {
        let forms = [
            ("tok", CredentialForms { bare: false, ..ALL }),
            ("Bearer tok", CredentialForms { bearer: false, ..ALL }),
            ("Token tok", CredentialForms { token: false, ..ALL }),
            // `u:tok`
            ("Basic dTp0b2s=", CredentialForms { basic: false, ..ALL }),
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
            assert_eq!(read(header), Ok((None, "tok".into())), "{header:?}");
        }
    }

    #[test]
    fn a_user_name_stays_beside_the_password() {
        for (header, user, secret) in [
            // Example of RFC 7617, section 2, and of section 2.1 with UTF-8.
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some("Aladdin"), "open sesame"),
            ("Basic dGVzdDoxMjPCow==", Some("test"), "123£"),
            // A password may hold a colon, and a user name may be left out.
            ("bAsIc\t dTpwOnc= \r\n", Some("u"), "p:w"),
            ("Basic OnRvaw==", None, "tok"),
            // `echo u:tok | base64`
            ("Basic dTp0b2sK", Some("u"), "tok"),
        ] {
            let expected = (user.map(str::to_owned), secret.to_owned());
            assert_eq!(read(header), Ok(expected), "{header:?}");
        }
    }

    #[test]
    fn what_holds_no_token_is_refused() {
        let longest = "x".repeat(Credential::MAX_BYTES);
        assert!(Credential::from_header(longest.as_bytes(), ALL).is_ok());
        for (header, error) in [
            ("".as_bytes(), CredentialError::Empty),
            (b" \r\n", CredentialError::Empty),
            (b"Digest tok", CredentialError::Form),
            (b"Bearer a b", CredentialError::Characters),
            (b"t\0k", CredentialError::Characters),
            ("tök".as_bytes(), CredentialError::Characters),
            (b"\xff", CredentialError::Characters),
            (b"Basic u:p", CredentialError::Basic),
            // Neither a colon, nor a password, nor UTF-8, nor visible: `u`, `u:`, `u:\xff`, `u:\0`.
            (b"Basic dQ==", CredentialError::Basic),
            (b"Basic dTo=", CredentialError::Basic),
            (b"Basic dTr/", CredentialError::Basic),
            (b"Basic dToA", CredentialError::Basic),
            (format!("{longest}x").as_bytes(), CredentialError::TooLong),
        ] {
            assert_eq!(Credential::from_header(header, ALL), Err(error), "{header:?}");
        }
    }

    #[test]
    fn a_segment_of_a_path_is_a_token_if_every_url_leaves_it_as_it_is() {
        for segment in ["tok", "crg_A-b.c~"] {
            let credential = Credential::from_path_segment(segment).unwrap();
            assert_eq!((credential.user(), credential.expose()), (None, segment));
        }
        let long = "x".repeat(Credential::MAX_BYTES + 1);
        for segment in ["", ".", "..", "a%20b", "a b", "{crate}", "a:b", "tök", &long] {
            assert_eq!(Credential::from_path_segment(segment), None, "{segment:?}");
        }
    }

    #[test]
    fn a_credential_does_not_print_itself() {
        for header in ["secret", "Basic c2VjcmV0OnNlY3JldA=="] {
            let credential = Credential::from_header(header.as_bytes(), ALL).unwrap();
            assert_eq!(format!("{credential:?}"), "Credential(…)");
        }
    }
}

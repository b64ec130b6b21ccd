//! Passwords: how they are kept, and who logs in with one.

use std::fmt;

/// A password as it is kept: argon2id's PHC string. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// Most bytes of a PHC string. Source: ours; those made here have 97.
    const MAX_BYTES: usize = 256;

    /// Reads a PHC string, `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`.
    ///
    /// # Errors
    /// [`PasswordHashError`] if it is of another form, without a byte of it.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let is_phc = text.starts_with("$argon2id$v=19$")
            && text.split('$').count() == 6
            && text.bytes().all(|b| b.is_ascii_graphic())
            && text.len() <= Self::MAX_BYTES;
        is_phc.then(|| Self(text.into())).ok_or(PasswordHashError)
    }

    /// The PHC string, to be stored. Whoever has it can try passwords on it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A text is no hash of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password is kept as argon2id's PHC string, `$argon2id$v=19$m=…,t=…,p=…$…$…`")]
pub struct PasswordHashError;

/// What a password costs to check, and so to guess: 19 MiB, twice over, on one processor. Source:
/// OWASP, "Password Storage Cheat Sheet", the least that it recommends for argon2id.
#[cfg(feature = "passwords")]
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

#[cfg(feature = "passwords")]
impl PasswordHash {
    /// Fewest characters of a password. Source: NIST SP 800-63B, section 5.1.1.2.
    pub const MIN_CHARS: usize = 8;
    /// Most bytes of a password. Source: ours; longer ones are no better and take longer to hash.
    pub const MAX_PASSWORD_BYTES: usize = 1024;

    /// Hashes a password with a salt from the operating system. Takes some 20 ms of a processor and
    /// 19 MiB of memory.
    ///
    /// # Errors
    /// [`PasswordError`] if the password is too short or too long to be one, or has an end of line
    /// in it, or if it could not be hashed.
    pub fn of(password: &str) -> Result<Self, PasswordError> {
        use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};

        if password.chars().count() < Self::MIN_CHARS {
            return Err(PasswordError::TooShort);
        }
        if password.len() > Self::MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        // No client could send it. Source: RFC 7617, section 2.
        if password.contains(char::is_control) {
            return Err(PasswordError::Control);
        }
        let failed = |error: crate::BoxError| PasswordError::Failed(error);
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| failed(error.into()))?;
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, None);
        let params = params.map_err(|error| failed(error.to_string().into()))?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt);
        let hash = hash.map_err(|error| failed(error.to_string().into()))?;
        Ok(Self(hash.to_string().into()))
    }

    /// Whether it is the hash of this password. Takes as much as the hash says; the comparison takes
    /// the same time for every password.
    pub fn is_of(&self, password: &str) -> bool {
        use argon2::{Argon2, PasswordVerifier as _};

        Argon2::default().verify_password(password.as_bytes(), &*self.0).is_ok()
    }

    /// The hash of nobody's password, at the cost of all others.
    pub(super) fn of_nobody() -> Self {
        let ((memory, passes, lanes), hash) = (COST, "A".repeat(43));
        let salt = "bm9ib2R5J3MgcGFzc3dvcmQ";
        Self(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}").into())
    }
}

/// A text cannot be somebody's password.
#[cfg(feature = "passwords")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// It has less than [`PasswordHash::MIN_CHARS`] characters.
    #[error("a password has at least {} characters", PasswordHash::MIN_CHARS)]
    TooShort,
    /// It has more than [`PasswordHash::MAX_PASSWORD_BYTES`] bytes.
    #[error("a password has at most {} bytes", PasswordHash::MAX_PASSWORD_BYTES)]
    TooLong,
    /// There is a control character in it.
    #[error("a password has no control characters in it, and is one line")]
    Control,
    /// There were no random numbers, or no memory.
    #[error("the password could not be hashed")]
    Failed(#[source] crate::BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let text = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA";
        assert_eq!(PasswordHash::parse(text).map(|hash| hash.expose().to_owned()), Ok(text.into()));
        let long = format!("{text}{}", "A".repeat(300));
        for other in ["", "secret", "$argon2i$v=19$m=1,t=1,p=1$c2FsdA$aA", "$2b$12$abc", &long] {
            assert_eq!(PasswordHash::parse(other), Err(PasswordHashError), "{other}");
        }
        assert_eq!(format!("{:?}", PasswordHash::parse(text)), "Ok(PasswordHash(…))");
    }

    #[test]
    #[cfg(feature = "passwords")]
    fn a_hash_is_of_one_password_and_salted() {
        let (one, other) = (PasswordHash::of("pässword").unwrap(), PasswordHash::of("pässword"));
        assert!(one.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(PasswordHash::parse(one.expose()), Ok(one.clone()));
        assert_ne!(one, other.unwrap());
        assert!(one.is_of("pässword"));
        for wrong in ["", "password", "pässword ", "Pässword"] {
            assert!(!one.is_of(wrong), "{wrong}");
        }
        assert!(!PasswordHash::of_nobody().is_of("pässword"));
    }

    /// Source: phc-winner-argon2, the reference implementation, `src/test.c`.
    #[test]
    #[cfg(feature = "passwords")]
    fn hashes_of_others_are_understood() {
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                    $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = PasswordHash::parse(text).unwrap();
        assert!(hash.is_of("password") && !hash.is_of("differentpassword"));
    }

    #[test]
    #[cfg(feature = "passwords")]
    fn what_is_no_password_is_not_hashed() {
        let longest = "x".repeat(PasswordHash::MAX_PASSWORD_BYTES);
        assert!(PasswordHash::of(&longest).is_ok() && PasswordHash::of("ääääääää").is_ok());
        let refused = |text: &str| PasswordHash::of(text).unwrap_err().to_string();
        assert_eq!(refused("äääääää"), "a password has at least 8 characters");
        assert_eq!(refused(&format!("{longest}x")), "a password has at most 1024 bytes");
        assert_eq!(
            refused("two\nlines"),
            "a password has no control characters in it, and is one line"
        );
    }
}

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

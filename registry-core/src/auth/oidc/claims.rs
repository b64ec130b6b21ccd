use std::fmt;

use serde_json::{Map, Value};

use super::Issuer;
#[cfg(feature = "oidc")]
use super::JwtError;
use crate::record::Timestamp;

/// What a token says. Never printed: it tells of people.
#[derive(Clone, PartialEq)]
pub struct Claims(pub(super) Map<String, Value>);

impl Claims {
    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A claim that is a list of texts; of what it has besides, nothing. Empty if it is none.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    /// A claim that is a text, a number, or true or false, as a text.
    pub fn plain(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(bool) => Some(bool.to_string()),
            _ => None,
        }
    }

    /// Who issued it. Source: RFC 7519, `iss`.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// The last second in which it counts, the leeway for clocks included.
    pub fn counts_until(&self) -> Option<Timestamp> {
        Some(Timestamp(self.time("exp")?.ok()?.saturating_add(Issuer::LEEWAY)))
    }

    /// A claim that is a time, in whole seconds. Source: RFC 7519, `NumericDate`.
    fn time(&self, name: &str) -> Option<Result<u64, ()>> {
        let value = self.0.get(name)?;
        let number = value.as_u64().or_else(|| {
            let number = value.as_f64().filter(|number| *number >= 0.0)?;
            // Saturates, which is later than any time there is.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(number as u64)
        });
        Some(number.ok_or(()))
    }

    /// Holds what every token says against what this issuer's have to say.
    #[cfg(feature = "oidc")]
    pub(super) fn check(&self, issuer: &Issuer, now: Timestamp) -> Result<(), JwtError> {
        let failed = |claim, fault| Err(JwtError::Claim { claim, fault });
        match self.issuer() {
            None => return failed("iss", ClaimFault::Missing),
            Some(url) if url != issuer.url() => return failed("iss", ClaimFault::Mismatch),
            Some(_) => {}
        }
        // One audience: who else is named might present the token here.
        match self.0.get("aud") {
            None => return failed("aud", ClaimFault::Missing),
            Some(Value::String(audience)) if audience == issuer.audience() => {}
            Some(Value::Array(audiences)) if *audiences == [issuer.audience()] => {}
            Some(_) => return failed("aud", ClaimFault::Mismatch),
        }
        let begun_by = now.0.saturating_add(Issuer::LEEWAY);
        match self.time("exp") {
            None => return failed("exp", ClaimFault::Missing),
            Some(Err(())) => return failed("exp", ClaimFault::Mismatch),
            Some(Ok(end)) if now.0 > end.saturating_add(Issuer::LEEWAY) => {
                return failed("exp", ClaimFault::Expired);
            }
            Some(Ok(_)) => {}
        }
        for (claim, is_required) in [("nbf", false), ("iat", true)] {
            match self.time(claim) {
                None if is_required => return failed(claim, ClaimFault::Missing),
                Some(Err(())) => return failed(claim, ClaimFault::Mismatch),
                Some(Ok(begin)) if begin > begun_by => return failed(claim, ClaimFault::NotYet),
                None | Some(Ok(_)) => {}
            }
        }
        Ok(())
    }
}

/// What somebody else has verified.
impl From<Map<String, Value>> for Claims {
    fn from(claims: Map<String, Value>) -> Self {
        Self(claims)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(…)")
    }
}

/// What is wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimFault {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It is not what it has to be.
    #[error("does not match")]
    Mismatch,
    /// It is over.
    #[error("has passed")]
    Expired,
    /// It has not begun.
    #[error("is in the future")]
    NotYet,
}

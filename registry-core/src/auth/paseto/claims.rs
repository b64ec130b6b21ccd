use std::time::SystemTime;

use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::{Expected, SignedToken, SignedTokenError as E};
use crate::{
    auth::{Claim, Mutation},
    name::CrateName,
    record::Timestamp,
    version::parse_version,
};

pub(super) struct Claims {
    pub(super) claim: Option<Claim>,
    pub(super) until: Timestamp,
}

/// The payload. An unknown claim is refused, for who made it relies on it, as on `exp` or `aud`;
/// whoever adds some that need not be understood puts them into `custom`. Source: RFC 3231.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    iat: String,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    mutation: Option<String>,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    vers: Option<String>,
    #[serde(default, deserialize_with = "present")]
    cksum: Option<String>,
    #[serde(default, deserialize_with = "present")]
    challenge: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    v: Option<u64>,
    #[serde(default, rename = "custom")]
    _custom: Option<IgnoredAny>,
}

/// A claim that is there has a value: `null` is none.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads a payload whose signature has been checked.
pub(super) fn read(payload: &[u8], expected: &Expected<'_>) -> Result<Claims, E> {
    let payload: Payload = serde_json::from_slice(payload).map_err(|_| E::Claims)?;
    // First of all: the other claims may mean something else.
    if payload.v.is_some_and(|version| version != 1) {
        return Err(E::Version);
    }
    if payload.challenge.is_some() {
        return Err(E::Challenge);
    }
    let until = until(&payload.iat, expected.now)?;
    if payload.sub.as_deref() != expected.subject {
        return Err(E::Subject);
    }
    Ok(Claims { claim: claim(&payload)?, until })
}

/// The last second in which a token that was made at `issued_at` counts.
fn until(issued_at: &str, now: SystemTime) -> Result<Timestamp, E> {
    let issued_at = SystemTime::from(rfc3339(issued_at).ok_or(E::IssuedAt)?);
    if now.duration_since(issued_at).is_ok_and(|age| age > SignedToken::MAX_AGE) {
        return Err(E::TooOld);
    }
    if issued_at.duration_since(now).is_ok_and(|lead| lead > SignedToken::MAX_LEAD) {
        return Err(E::InTheFuture);
    }
    issued_at.checked_add(SignedToken::MAX_AGE).map(Timestamp::from).ok_or(E::IssuedAt)
}

/// A time as RFC 3339 writes it; the library reads other forms as well.
fn rfc3339(text: &str) -> Option<jiff::Timestamp> {
    let (time, zone) = match text.strip_suffix('Z') {
        Some(time) => (time, "+00:00"),
        None => text.split_at_checked(text.len().checked_sub(6)?)?,
    };
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, fraction),
        None => (time, "0"),
    };
    let has_form = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                form => byte == form,
            })
    };
    let is_rfc3339 = has_form(time, "0000-00-00T00:00:00")
        && has_form(zone, "+00:00")
        && (1..=9).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if is_rfc3339 { text.parse().ok() } else { None }
}

/// The write that it is for: all that such a write has, and nothing else.
fn claim(payload: &Payload) -> Result<Option<Claim>, E> {
    let (mutation, is_of_version) = match payload.mutation.as_deref() {
        None => {
            let others =
                [("name", &payload.name), ("vers", &payload.vers), ("cksum", &payload.cksum)];
            return match others.into_iter().find(|(_, value)| value.is_some()) {
                Some((claim, _)) => Err(E::Mismatch { claim }),
                None => Ok(None),
            };
        }
        Some("publish") => (Mutation::Publish, true),
        Some("yank") => (Mutation::Yank, true),
        Some("unyank") => (Mutation::Unyank, true),
        Some("owners") => (Mutation::Owners, false),
        Some(_) => return Err(E::Mutation),
    };
    let is_publish = mutation == Mutation::Publish;
    let name = exactly("name", payload.name.as_deref(), true, |it| CrateName::new(it).ok())?;
    let version =
        exactly("vers", payload.vers.as_deref(), is_of_version, |it| parse_version(it).ok())?;
    let checksum = exactly("cksum", payload.cksum.as_deref(), is_publish, |it| it.parse().ok())?;
    let name = name.map(|name| name.canonical());
    Ok(name.map(|name| Claim { mutation, name, version, checksum, once: None }))
}

/// What `read` makes of a claim that has to be there, or not to be.
fn exactly<T>(
    claim: &'static str,
    value: Option<&str>,
    is_wanted: bool,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, E> {
    match (value, is_wanted) {
        (None, false) => Ok(None),
        (Some(value), true) => read(value).map(Some).ok_or(E::Mismatch { claim }),
        _ => Err(E::Mismatch { claim }),
    }
}

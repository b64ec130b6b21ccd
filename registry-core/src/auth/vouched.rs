use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Groups;

/// What others than this registry say of a user: an identity provider, or a proxy in front.
///
/// Kept with the tokens and keys that the user makes, for a rule that denies something to those
/// whom an issuer vouches for, or to a group of theirs, means them by whatever credential they come.
/// It stays as it was when the token was made, so that groups which it tells deny, but neither allow
/// nor own anything: see [`Principal::is`](super::Principal::is). A group that they join later denies
/// nothing to older tokens. What the registry itself knows, a token does not keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vouched {
    /// Who they are there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<Identity>,
    /// The groups that they are in there.
    #[serde(skip_serializing_if = "Groups::is_empty", default)]
    pub groups: Groups,
    /// Of a CI run, the trusted publishers that it is one of, by their ids in its registry: by others
    /// it does not publish.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub publishers: Vec<u64>,
}

impl Vouched {
    /// Whether nobody says anything.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Somebody as another authority knows them: two issuers may know two people by one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The authority. Source: OpenID Connect, `iss`.
    pub issuer: Arc<str>,
    /// Its name for them, which stays when their other names change. Source: the same, `sub`.
    pub subject: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back_or_refused() {
        let read = serde_json::from_str::<Vouched>;
        let groups = r#"{"groups":["group:corp:ui","group:corp:guests"]}"#;
        assert_eq!(serde_json::to_string(&read(groups).unwrap()).unwrap(), groups);
        for (text, expected) in [
            (
                r#"{"groups":["group:corp:ui","guests"]}"#,
                "`guests` is no group at line 1 column 37",
            ),
            (
                r#"{"group":[]}"#,
                "unknown field `group`, expected one of `identity`, `groups`, `publishers` at \
                 line 1 column 8",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), expected);
        }
    }
}

//! Reading JSON so that no other reader can see another meaning in it.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

/// How deep arrays and objects may be nested. Source: ours; serde_json's own limit is 128.
pub(super) const MAX_DEPTH: usize = 64;

/// Why bytes are not a JSON document as we take it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    #[error("nested too deeply")]
    TooDeep,
    #[error("invalid UTF-8 at byte {at}")]
    Utf8 { at: usize },
    #[error("not a JSON object")]
    NotAnObject,
    #[error("{0}")]
    Json(String),
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

/// Checks that `json` is one object in strict JSON, every string valid Unicode and no key twice in
/// any object, and gives it back as text.
///
/// A typed reader passes over what it has no field for: which of two equal keys counts, and what
/// an ill-formed string says, would be left to each reader. So the whole document is looked at
/// first.
pub(super) fn check(json: &[u8]) -> Result<&str, JsonError> {
    if is_too_deep(json) {
        return Err(JsonError::TooDeep);
    }
    let text =
        std::str::from_utf8(json).map_err(|error| JsonError::Utf8 { at: error.valid_up_to() })?;
    serde_json::from_str::<Strict>(text)?;
    // White space may stand before the object, but a document of another type is none of ours.
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(JsonError::NotAnObject);
    }
    Ok(text)
}

/// Whether brackets outside of strings are nested deeper than [`MAX_DEPTH`], by one flat pass: the
/// parser behind it calls itself for each level, and a stack overflow would end the process.
fn is_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Any JSON value, decoded to its last string and thrown away.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Strict, A::Error> {
        while array.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Strict, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(Key(key)) = object.next_key::<Key<'de>>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
            }
            keys.insert(key);
            object.next_value::<Strict>()?;
        }
        Ok(Strict)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Takes `null` for the default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_is_accepted_with_space_around() {
        let json = " \r\n\t{\"a\":[1,-1,1.5,true,null,\"\\ud83d\\ude00\"],\"b\":{\"a\":{}}} \n";
        assert_eq!(check(json.as_bytes()), Ok(json));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let json = |text: &str| Err(JsonError::Json(text.into()));
        for (bytes, expected) in [
            (br#"{"a":1,"a":2}"#.as_slice(), json("duplicate key `a` at line 1 column 10")),
            (br#"{"a":1,"\u0061":2}"#, json("duplicate key `a` at line 1 column 15")),
            (br#"{"x":[{"a":1,"a":2}]}"#, json("duplicate key `a` at line 1 column 16")),
            (b"\xef\xbb\xbf{}", json("expected value at line 1 column 1")),
            (b"{}{}", json("trailing characters at line 1 column 3")),
            (br#"{"x":"\ud800"}"#, json("unexpected end of hex escape at line 1 column 13")),
            (b"{\"x\":\"\xc0\xaf\"}", Err(JsonError::Utf8 { at: 6 })),
            (b"{\0}\0", json("key must be a string at line 1 column 2")),
            (b"[]", Err(JsonError::NotAnObject)),
            (b"\"a\"", Err(JsonError::NotAnObject)),
            (b"", json("EOF while parsing a value at line 1 column 0")),
        ] {
            assert_eq!(check(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |levels: usize| {
            format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
        };
        assert!(check(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(check(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(check("[".repeat(100_000).as_bytes()), Err(JsonError::TooDeep));
        let quoted = format!(r#"{{"a":"\"{}"}}"#, "[".repeat(1000));
        assert!(check(quoted.as_bytes()).is_ok());
    }
}

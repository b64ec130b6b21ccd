//! A token as a segment of the path: `/t/TOKEN/main/index/…`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use registry_core::auth::{Credential, Token};

/// The token that a path begins with, and the path behind it; `None` if it begins with none.
pub(crate) fn split(path: &str) -> Option<(Credential, &str)> {
    let behind = path.strip_prefix("/t/")?;
    let (token, rest) = behind.split_at(behind.find('/')?);
    Some((Credential::from_path_segment(token)?, rest))
}

/// A request's path as it may be logged and told: `…` in place of a token in it.
///
/// Also where tokens in paths are not accepted, and of whatever looks as tokens of ours do: people
/// put them into URLs all the same.
///
/// ```
/// use registry_http::masked_path;
///
/// assert_eq!(masked_path("/t/secret/main/index/config.json"), "/t/…/main/index/config.json");
/// assert_eq!(masked_path("/main/index/config.json"), "/main/index/config.json");
/// ```
pub fn masked_path(path: &str) -> Cow<'_, str> {
    let mut is_masked = false;
    let mut before: Option<&str> = None;
    let segments: Vec<_> = path
        .split('/')
        .enumerate()
        .map(|(place, segment)| {
            // The first `t` alone: it is a crate's name, too.
            let behind_t = before.is_some_and(|before| decoded(before) == "t");
            if !segment.is_empty() {
                before = Some(if before.is_none() { segment } else { "" });
            }
            let is_secret = behind_t || Token::is_well_formed(&decoded(segment));
            match is_secret && place > 0 && !segment.is_empty() {
                true => {
                    is_masked = true;
                    "…"
                }
                false => segment,
            }
        })
        .collect();
    match is_masked {
        true => segments.join("/").into(),
        false => path.into(),
    }
}

fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_front_is_parted_from_the_path_behind_it() {
        let (token, rest) = split("/t/tok/main/me").unwrap();
        assert_eq!((token.expose(), rest), ("tok", "/main/me"));
        assert_eq!(split("/t/tok/").map(|(_, rest)| rest), Some("/"));
        for path in ["/t/tok", "/t//main", "/t/../main", "/t/a%20b/main", "/main/t/tok/", "t/a/b"] {
            assert_eq!(split(path), None, "{path}");
        }
    }

    #[test]
    fn no_token_stays_in_a_path_that_is_told() {
        let token = "crg_1pX8wOr5j2ACunjH7GLL8mWZWHmY1LA1ZO6Adwksjhy0IPjnO";
        for (path, told) in [
            ("/t/tok/main/me", "/t/…/main/me"),
            ("/t/tok", "/t/…"),
            ("//t//tok/x", "//t//…/x"),
            ("/%74/tok/x", "/%74/…/x"),
            (&format!("/main/t/{token}/index/"), "/main/t/…/index/"),
            (&format!("/{token}/main"), "/…/main"),
            (&format!("/x/%63{}", &token[1..]), "/x/…"),
        ] {
            assert_eq!(masked_path(path), told, "{path}");
        }
        // A crate may be called `t`.
        for path in
            ["", "/", "/t", "/t/", "/main/api/v1/crates/t/1.0.0/download", "/main/index/1/t"]
        {
            assert!(matches!(masked_path(path), Cow::Borrowed(told) if told == path), "{path}");
        }
    }
}

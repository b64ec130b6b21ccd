//! `If-None-Match`: whether the asker already has what it would be sent.
//!
//! Tags are compared weakly, as RFC 9110 section 13.1.2 has it for this header.

use http::{HeaderMap, header::IF_NONE_MATCH};
use registry_core::ETag;

/// Most tags of one request that are looked at. The rest could only cost time.
const MAX_TAGS: usize = 64;

/// The validators an asker holds. Tags that cannot be ours are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IfNoneMatch {
    /// `*`: whatever there is.
    any: bool,
    tags: Vec<ETag>,
}

impl IfNoneMatch {
    /// Reads the `If-None-Match` headers of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut held = Self::default();
        let mut seen = 0;
        for value in headers.get_all(IF_NONE_MATCH) {
            let Ok(mut rest) = value.to_str() else { continue };
            if rest.trim() == "*" {
                held.any = true;
            }
            while seen < MAX_TAGS
                && let Some((opaque, behind)) = next_tag(rest)
            {
                seen += 1;
                rest = behind;
                held.tags.extend(without_suffix(opaque));
            }
        }
        held
    }

    /// The one tag that is held, as cargo sends it: it lets an index look no further.
    pub(crate) fn only(&self) -> Option<&ETag> {
        match &self.tags[..] {
            [tag] if !self.any => Some(tag),
            _ => None,
        }
    }

    /// Whether what has this validator is already held.
    pub(crate) fn matches(&self, etag: &ETag) -> bool {
        self.any || self.tags.contains(etag)
    }
}

/// The first tag of a list, between its quotes, and what stands behind it.
fn next_tag(list: &str) -> Option<(&str, &str)> {
    let list = list.trim_start_matches([',', ' ', '\t']);
    let list = list.strip_prefix("W/").unwrap_or(list);
    list.strip_prefix('"')?.split_once('"')
}

/// A tag of ours, also if something that compressed the answer wrote the coding behind it:
/// `…-gzip` (Apache), `…--gzip` (Jetty), `…;br` (Caddy, others).
fn without_suffix(opaque: &str) -> Option<ETag> {
    let end = opaque.find(['-', ';', ':', '/']).unwrap_or(opaque.len());
    ETag::parse(&format!("\"{}\"", &opaque[..end]))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223";

    fn held(values: &[&str]) -> IfNoneMatch {
        let value = |text: &&str| (IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
        IfNoneMatch::of(&values.iter().map(value).collect())
    }

    fn a() -> ETag {
        ETag::of(b"abc")
    }

    #[test]
    fn a_tag_is_found_however_it_comes_back() {
        for text in [
            format!("\"{A}\""),
            format!("W/\"{A}\""),
            format!("\"{A}-gzip\""),
            format!("W/\"{A}--gzip\""),
            format!("\"{A};br\""),
            format!(" , \"{A}\" ,"),
        ] {
            let held = held(&[&text]);
            assert_eq!((held.only(), held.matches(&a())), (Some(&a()), true), "{text}");
            assert!(!held.matches(&ETag::of(b"")), "{text}");
        }
    }

    #[test]
    fn a_list_matches_with_each_of_its_tags() {
        let list = held(&[&format!("\"x,y\", W/\"{A}\""), "\"ba7816bf8f01cfea414140de5dae2224\""]);
        assert_eq!(list.tags.len(), 2);
        assert_eq!(list.only(), None);
        assert!(list.matches(&a()));
    }

    #[test]
    fn a_star_matches_whatever_there_is() {
        let star = held(&["*"]);
        assert_eq!((star.only(), star.matches(&a())), (None, true));
    }

    #[test]
    fn what_is_no_tag_of_ours_matches_nothing() {
        for text in ["", A, "\"", "\"\"", &format!("\"{A}"), &format!("\"{A}x\""), "\"*\"", "W/"] {
            assert_eq!(held(&[text]), IfNoneMatch::default(), "{text}");
        }
    }

    #[test]
    fn only_the_first_64_tags_are_looked_at() {
        let list = |others: usize| format!("{}\"{A}\"", "\"x\",".repeat(others));
        assert!(held(&[&list(63)]).matches(&a()));
        assert!(!held(&[&list(64)]).matches(&a()));
        assert!(!held(&[&"\"x\",".repeat(64), &list(0)]).matches(&a()));
    }
}

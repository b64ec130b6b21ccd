//! `If-None-Match`: whether the asker already has what it would be sent; `If-Match`: whether it
//! wants nothing else.
//!
//! Tags are compared weakly for the first, and strongly for the second. Source: RFC 9110, sections
//! 13.1.1 and 13.1.2. Dates count for nothing: no answer says when something last changed.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
};
use registry_core::ETag;

use crate::{
    body::Body,
    coding::{Accepted, Coding},
    respond,
};

/// Most tags of one request that are looked at. The rest could only cost time.
const MAX_TAGS: usize = 64;

/// The validators an asker holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IfNoneMatch<'a> {
    /// `*`: whatever there is.
    any: bool,
    /// What stood between the quotes: of the first, most often the only one, and of the others.
    first: Option<&'a str>,
    others: Vec<&'a str>,
}

impl<'a> IfNoneMatch<'a> {
    /// Reads the `If-None-Match` headers of a request.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut held = Self::default();
        let mut accepted = None;
        for value in headers.get_all(IF_NONE_MATCH) {
            let Ok(mut rest) = value.to_str() else { continue };
            if rest.trim() == "*" {
                held.any = true;
            }
            while held.tags().count() < MAX_TAGS
                && let Some((opaque, behind)) = next_tag(rest)
            {
                rest = behind;
                // What is held in a coding that is not taken now is not what would be sent.
                let is_of_use = Coding::of_tag(opaque).is_none_or(|coding| {
                    accepted.get_or_insert_with(|| Accepted::of(headers)).admits(coding)
                });
                let tag = if is_of_use { without_suffix(opaque) } else { opaque };
                match held.first {
                    None => held.first = Some(tag),
                    Some(_) => held.others.push(tag),
                }
            }
        }
        held
    }

    fn tags(&self) -> impl Iterator<Item = &'a str> {
        self.first.into_iter().chain(self.others.iter().copied())
    }

    /// The one tag of an index file that is held, as cargo sends it: it lets an index look no
    /// further.
    pub(crate) fn only(&self) -> Option<ETag> {
        let mut ours = self.tags().filter_map(ETag::of_digits);
        ours.next().filter(|_| !self.any && ours.next().is_none())
    }

    /// Whether what has this validator, given with its quotes, is already held.
    pub(crate) fn matches(&self, etag: &str) -> bool {
        self.any || self.tags().any(|tag| tag == etag.trim_matches('"'))
    }
}

/// Whether what has this tag, given with its quotes, is what `If-Match` asks for; anything is, to
/// who does not send one.
pub(crate) fn is_wanted(headers: &HeaderMap, etag: &str) -> bool {
    let is_it =
        |tag: &str| matches!(tag.trim_matches([' ', '\t']), tag if tag == etag || tag == "*");
    let mut held = headers.get_all(IF_MATCH).iter().peekable();
    held.peek().is_none()
        || held.any(|list| list.to_str().is_ok_and(|list| list.split(',').any(is_it)))
}

/// The answer to who has what is asked for. The caller adds what is said of caching.
pub(crate) fn not_modified(etag: HeaderValue) -> Response<Body> {
    let mut response = respond::new(StatusCode::NOT_MODIFIED, Body::empty());
    response.headers_mut().insert(ETAG, etag);
    response
}

/// The first tag of a list, between its quotes, and what stands behind it.
fn next_tag(list: &str) -> Option<(&str, &str)> {
    let list = list.trim_start_matches([',', ' ', '\t']);
    let list = list.strip_prefix("W/").unwrap_or(list);
    list.strip_prefix('"')?.split_once('"')
}

/// A tag without the coding that something which compressed the answer wrote behind it: `…-gzip`
/// (we, Apache), `…--gzip` (Jetty), `…;br` (Caddy, others). Our own tags are hexadecimal digits.
fn without_suffix(opaque: &str) -> &str {
    opaque.split(['-', ';', ':', '/']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223";

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
        values.iter().map(value).collect()
    }

    /// The one tag that is held, and whether A is.
    fn held(values: &[&str]) -> (Option<ETag>, bool) {
        let headers = headers(values);
        let held = IfNoneMatch::of(&headers);
        assert!(held.any || !held.matches("\"ba\""), "{values:?}");
        (held.only(), held.matches(&format!("\"{A}\"")))
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
            assert_eq!(held(&[&text]), (Some(ETag::of(b"abc")), true), "{text}");
        }
    }

    #[test]
    fn a_list_matches_with_each_of_its_tags() {
        let other = "\"ba7816bf8f01cfea414140de5dae2224\"";
        assert_eq!(held(&[&format!("\"x,y\", W/\"{A}\""), other]), (None, true));
        assert_eq!(held(&[&format!("\"x,y\", {other}")]), (ETag::parse(other), false));
    }

    #[test]
    fn what_is_held_in_a_coding_counts_for_who_takes_the_coding() {
        for (accepts, is_held) in
            [(None, true), (Some("gzip"), true), (Some("br"), false), (Some("identity"), false)]
        {
            let mut headers = headers(&[&format!("\"{A}-gzip\"")]);
            if let Some(accepts) = accepts {
                headers.insert("accept-encoding", HeaderValue::from_static(accepts));
            }
            let held = IfNoneMatch::of(&headers);
            assert_eq!(held.matches(&format!("\"{A}\"")), is_held, "{accepts:?}");
            assert_eq!(held.only().is_some(), is_held, "{accepts:?}");
        }
    }

    #[test]
    fn a_star_matches_whatever_there_is() {
        assert_eq!(held(&["*"]), (None, true));
    }

    #[test]
    fn what_is_no_tag_of_ours_matches_nothing() {
        for text in ["", A, "\"", "\"\"", &format!("\"{A}"), &format!("\"{A}x\""), "\"*\"", "W/"] {
            assert_eq!(held(&[text]), (None, false), "{text}");
        }
    }

    #[test]
    fn who_wants_one_thing_alone_names_it_by_a_strong_tag() {
        let etag = &*format!("\"{A}\"");
        let is_wanted = |values: &[&str]| {
            let value = |text: &&str| (IF_MATCH, HeaderValue::from_str(text).unwrap());
            super::is_wanted(&values.iter().map(value).collect(), etag)
        };
        let list = &*format!("\"x,y\" ,\t{etag}");
        for values in [&[][..], &[etag], &["*"], &[list], &["\"x\"", etag]] {
            assert!(is_wanted(values), "{values:?}");
        }
        let (weak, suffix) = (&*format!("W/{etag}"), &*format!("\"{A}-gzip\""));
        for values in [&[""][..], &["\"x\""], &[A], &[weak], &[suffix], &["\"*\""], &["x", "y"]] {
            assert!(!is_wanted(values), "{values:?}");
        }
    }

    #[test]
    fn only_the_first_64_tags_are_looked_at() {
        let list = |others: usize| format!("{}\"{A}\"", "\"x\",".repeat(others));
        assert_eq!(held(&[&list(63)]), (Some(ETag::of(b"abc")), true));
        assert_eq!(held(&[&list(64)]), (None, false));
        assert_eq!(held(&[&"\"x\",".repeat(64), &list(0)]), (None, false));
    }
}

//! `Range`: which part of a file a client asks for.
//!
//! A pure function over text, so that it can be fuzzed. A server may pass over any range, and this
//! one does so unless it is a single one of bytes: many small ranges would cost more than the whole
//! file. Source: RFC 9110, section 14.2.

use http::{HeaderMap, header};
use registry_core::store::ByteRange;

/// Reads the value of a `Range` header; `None` if it is to be passed over.
///
/// Numbers too large for any file mean the end of every file.
///
/// ```
/// use registry_core::store::ByteRange;
/// use registry_http::range::parse;
///
/// assert_eq!(parse("bytes=0-99"), Some(ByteRange::FromTo(0, 99)));
/// assert_eq!(parse("bytes=0-0,5-"), None);
/// ```
pub fn parse(value: &str) -> Option<ByteRange> {
    let (unit, range) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    match (position(first)?, position(last)?) {
        (Some(first), Some(last)) => (first <= last).then_some(ByteRange::FromTo(first, last)),
        (Some(first), None) => Some(ByteRange::From(first)),
        (None, Some(count)) => Some(ByteRange::Last(count)),
        (None, None) => None,
    }
}

/// The number, if there is one; `None` if it is none.
fn position(digits: &str) -> Option<Option<u64>> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX)))
}

/// The part that a request asks for of what has this tag, given with its quotes; `None` if it is
/// to have the whole.
pub(crate) fn of(headers: &HeaderMap, etag: &str) -> Option<ByteRange> {
    // A date in If-Range is no tag of ours: nothing here tells when a file last changed.
    let is_wanted = match headers.get(header::IF_RANGE) {
        Some(held) => held.as_bytes() == etag.as_bytes() && is_alone(headers, header::IF_RANGE),
        None => true,
    };
    let range =
        headers.get(header::RANGE).filter(|_| is_wanted && is_alone(headers, header::RANGE));
    parse(range?.to_str().ok()?)
}

fn is_alone(headers: &HeaderMap, name: header::HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_read() {
        use ByteRange::{From, FromTo, Last};
        for (value, expected) in [
            ("bytes=0-0", FromTo(0, 0)),
            ("bytes=5-70", FromTo(5, 70)),
            ("Bytes=007-07", FromTo(7, 7)),
            ("bytes=5-", From(5)),
            ("bytes=-5", Last(5)),
            ("bytes=-0", Last(0)),
            ("bytes=18446744073709551615-", From(u64::MAX)),
            ("bytes=18446744073709551616-", From(u64::MAX)),
            ("bytes=1-99999999999999999999999", FromTo(1, u64::MAX)),
            ("bytes=-99999999999999999999999", Last(u64::MAX)),
        ] {
            assert_eq!(parse(value), Some(expected), "{value}");
        }
    }

    #[test]
    fn anything_else_is_passed_over() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-4",
            "bytes=0-0,1-1",
            "bytes=0-0,",
            "bytes=0--1",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=0x1-2",
            "bytes=1.0-2",
            "bytes= 1-2",
            "bytes=1 -2",
            "bytes=1-2 ",
            "bytes =1-2",
            "bytes:1-2",
            "bytes==1-2",
            "lines=1-2",
            "none",
            "bytes=١-٢",
        ] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }
}

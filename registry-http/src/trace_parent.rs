//! Which trace a request belongs to, as the header `traceparent` says.

use std::fmt;

use http::{HeaderMap, HeaderName};

const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The trace that a request belongs to. Source: W3C Trace Context, section 3.2.
///
/// Displayed as `TRACE-PARENT`, which names one request of the trace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Both ids with a `-` between them.
    ids: Box<str>,
}

impl TraceParent {
    const TRACE_DIGITS: usize = 32;
    const PARENT_DIGITS: usize = 16;

    /// Reads the header; `None` if there is none, more than one, or one that is not well-formed.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue};
    /// use registry_http::TraceParent;
    ///
    /// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let mut headers = HeaderMap::new();
    /// headers.insert("traceparent", HeaderValue::from_static(text));
    /// let parent = TraceParent::of(&headers).unwrap();
    /// assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// assert_eq!(parent.parent_id(), "00f067aa0ba902b7");
    /// ```
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(HEADER).iter();
        let (one, None) = (all.next()?, all.next()) else { return None };
        Self::parse(one.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let mut id = |digits| fields.next().filter(|id| is_hex(id, digits));
        let version = id(2).filter(|version| *version != "ff")?;
        let trace = id(Self::TRACE_DIGITS).filter(|id| !is_zero(id))?;
        let parent = id(Self::PARENT_DIGITS).filter(|id| !is_zero(id))?;
        let _flags = id(2)?;
        // Later versions may say more behind it.
        if version == "00" && fields.next().is_some() {
            return None;
        }
        Some(Self { ids: format!("{trace}-{parent}").into() })
    }

    /// The id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.ids[..Self::TRACE_DIGITS]
    }

    /// What the caller calls this request: 16 hexadecimal digits.
    pub fn parent_id(&self) -> &str {
        &self.ids[Self::TRACE_DIGITS + 1..]
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ids)
    }
}

/// Lowercase, as the header has to be.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|b| b == b'0')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn what_is_well_formed_is_read() {
        for text in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-00"),
            format!("cc-{TRACE}-{PARENT}-ff"),
            format!("cc-{TRACE}-{PARENT}-01-what-the-future-brings"),
        ] {
            let parent = TraceParent::parse(&text).expect(&text);
            assert_eq!((parent.trace_id(), parent.parent_id()), (TRACE, PARENT), "{text}");
            assert_eq!(parent.to_string(), format!("{TRACE}-{PARENT}"));
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            String::new(),
            "00".into(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}-{PARENT} -01"),
            format!("00-{}-{PARENT}-01", "g".repeat(32)),
            format!("00-{}-{PARENT}-01", "ä".repeat(16)),
            format!(" 00-{TRACE}-{PARENT}-01"),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn of_two_none_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceParent::of(&headers), None);
        let value = HeaderValue::try_from(format!("00-{TRACE}-{PARENT}-01")).unwrap();
        headers.append(HEADER, value.clone());
        assert!(TraceParent::of(&headers).is_some());
        headers.append(HEADER, value);
        assert_eq!(TraceParent::of(&headers), None);
    }
}

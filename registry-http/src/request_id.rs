//! The id under which a request is logged and answered.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName};
use registry_core::auth::RequestId;

use crate::{digits, trace_parent::TraceParent};

/// The header that carries the id, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Makes ids that differ within a process, and very likely across processes.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// Tells this process from others: the nanosecond at which it began, and a `-`.
    start: Box<str>,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The lower 64 bits of the nanoseconds: they come round after 584 years.
        Self::from(since_epoch.as_nanos() as u64, 0)
    }

    fn from(start: u64, next: u64) -> Self {
        let mut text = [b'-'; MAX_DIGITS + 1];
        let first = digits::put::<62>(&mut text[..MAX_DIGITS], start);
        Self { start: text_of(&text[first..]).into(), next: AtomicU64::new(next) }
    }

    /// The id that came with the request if it is plain, that of its trace if it has one, otherwise
    /// a new one.
    ///
    /// Anything but a short word is not taken over: it would be written to the log.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        if let Some(id) = given.and_then(RequestId::new) {
            return id;
        }
        let made = match TraceParent::of(headers) {
            Some(trace) => RequestId::new(&trace.to_string()),
            None => {
                let mut id = [0; 2 * MAX_DIGITS + 1];
                let number = digits::put::<62>(&mut id, self.next.fetch_add(1, Ordering::Relaxed));
                let first = number - self.start.len();
                id[first..number].copy_from_slice(self.start.as_bytes());
                RequestId::new(text_of(&id[first..]))
            }
        };
        made.expect("two numbers and a `-` are short")
    }
}

fn text_of(id: &[u8]) -> &str {
    std::str::from_utf8(id).expect("digits and a `-`")
}

/// Most digits of a number of 64 bits, to the base of 62.
const MAX_DIGITS: usize = 11;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn given(id: &[u8]) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_bytes(id).unwrap())])
    }

    #[test]
    fn a_plain_id_is_taken_over() {
        let ids = RequestIds::from(0, 0);
        for id in ["a", "0.A_z-9", &"x".repeat(64)] {
            assert_eq!(ids.of(&given(id.as_bytes())).as_str(), id);
        }
    }

    #[test]
    fn the_id_of_a_trace_counts_if_no_other_came() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        let ids = RequestIds::from(0, 0);
        let parent = HeaderValue::try_from(format!("00-{TRACE}-01")).unwrap();
        let mut headers = HeaderMap::from_iter([(HeaderName::from_static("traceparent"), parent)]);
        assert_eq!(ids.of(&headers).as_str(), TRACE);
        for (id, counts) in [("mine", "mine"), ("not mine", TRACE)] {
            headers.insert(HEADER, HeaderValue::from_static(id));
            assert_eq!(ids.of(&headers).as_str(), counts);
        }
    }

    #[test]
    fn any_other_gets_a_new_one() {
        let ids = RequestIds::from(62 * 62 - 1, 61);
        let long = "x".repeat(65);
        let odd: [&[u8]; 5] = [b"", b"a b", b"a\tb", "ä".as_bytes(), long.as_bytes()];
        for (id, made) in odd.into_iter().zip(["zz-z", "zz-10", "zz-11", "zz-12", "zz-13"]) {
            assert_eq!(ids.of(&given(id)).as_str(), made);
        }
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "zz-14");
        // The largest number: 2^64 - 1.
        let ids = RequestIds::from(u64::MAX, 0);
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "LygHa16AHYF-0");
    }
}

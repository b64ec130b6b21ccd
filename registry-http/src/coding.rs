//! `Accept-Encoding`: in which codings an answer may come. Source: RFC 9110, section 12.5.3.

use http::{HeaderMap, header::ACCEPT_ENCODING};

/// A coding in which answers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// All, and of those that an asker likes equally well, the first is taken: unpacking zstd takes
    /// the least time.
    pub(crate) const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// As headers have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The coding that a tag of ours ends in, without its quotes.
    pub(crate) fn of_tag(opaque: &str) -> Option<Self> {
        let (_, name) = opaque.split_once('-')?;
        Self::ALL.into_iter().find(|coding| coding.name() == name)
    }
}

/// What an asker takes, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Of each of [`Coding::ALL`].
    codings: [Option<u16>; 3],
    /// Of what is not compressed.
    identity: Option<u16>,
    /// Of what is not named.
    others: Option<u16>,
    /// Whether there is a word of it at all.
    is_said: bool,
}

impl Accepted {
    /// Reads the `Accept-Encoding` headers of a request. What is no entry of a list says nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut accepted =
            Self { codings: [None; 3], identity: None, others: None, is_said: false };
        for value in headers.get_all(ACCEPT_ENCODING) {
            accepted.is_said = true;
            let Ok(list) = value.to_str() else { continue };
            for entry in list.split(',') {
                let (name, weight) = match entry.split_once(';') {
                    Some((name, weight)) => (name, thousandths(weight.trim())),
                    None => (entry, Some(1000)),
                };
                if let Some(weight) = weight {
                    accepted.add(name.trim(), weight);
                }
            }
        }
        accepted
    }

    fn add(&mut self, name: &str, weight: u16) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let place = match Coding::ALL.iter().position(|coding| is(coding.name())) {
            Some(number) => &mut self.codings[number],
            None if is("x-gzip") => &mut self.codings[Coding::Gzip as usize],
            None if is("identity") => &mut self.identity,
            None if is("*") => &mut self.others,
            None => return,
        };
        *place = Some(weight);
    }

    fn weight(&self, coding: Coding) -> u16 {
        self.codings[coding as usize].or(self.others).unwrap_or(0)
    }

    /// Whether an answer may be in this coding. Who says nothing takes anything.
    pub(crate) fn admits(&self, coding: Coding) -> bool {
        !self.is_said || self.weight(coding) > 0
    }

    /// The coding that is liked best, if one is liked no less than none at all.
    #[cfg(feature = "compression")]
    pub(crate) fn best(&self) -> Option<Coding> {
        let weight = |coding: &Coding| self.weight(*coding);
        // The last of several that are the greatest.
        let best = Coding::ALL.into_iter().rev().max_by_key(weight)?;
        let liked = self.weight(best);
        (liked > 0 && liked >= self.identity.unwrap_or(0)).then_some(best)
    }

    /// Whether an answer that is not compressed is refused.
    #[cfg(feature = "compression")]
    pub(crate) fn refuses_identity(&self) -> bool {
        self.identity.or(self.others) == Some(0)
    }
}

/// The weight `q=0.5` in thousandths: with three digits behind the point at most, and at most 1.
fn thousandths(weight: &str) -> Option<u16> {
    let number = weight.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim_start();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 3 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = part.bytes().chain(*b"000").take(3);
    let part = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(all(test, feature = "compression"))]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepted(values: &[&str]) -> Accepted {
        let value = |text: &&str| (ACCEPT_ENCODING, HeaderValue::from_str(text).unwrap());
        Accepted::of(&values.iter().map(value).collect())
    }

    #[test]
    fn the_coding_that_is_liked_best_is_taken() {
        use Coding::*;
        for (values, best, refuses_identity) in [
            (&[][..], None, false),
            (&[""], None, false),
            // As cargo says it.
            (&["deflate, gzip"], Some(Gzip), false),
            (&["deflate, gzip, br, zstd"], Some(Zstd), false),
            (&["gzip, br"], Some(Brotli), false),
            (&["gzip", "br"], Some(Brotli), false),
            (&["GZip;Q=0.5"], Some(Gzip), false),
            (&["x-gzip"], Some(Gzip), false),
            (&["zstd;q=0.1, br;q=0.12, gzip;q=0.123"], Some(Gzip), false),
            (&["zstd ; q=0.001 ,br;q=0"], Some(Zstd), false),
            (&["gzip;q=0"], None, false),
            (&["gzip;q=0.000"], None, false),
            (&["gzip;q=1.000"], Some(Gzip), false),
            (&["identity"], None, false),
            (&["identity;q=0"], None, true),
            (&["gzip, identity"], Some(Gzip), false),
            (&["gzip;q=0.5, identity"], None, false),
            (&["gzip;q=0.5, identity;q=0.4"], Some(Gzip), false),
            (&["gzip;q=0.5, identity;q=0"], Some(Gzip), true),
            (&["*"], Some(Zstd), false),
            (&["*;q=0"], None, true),
            (&["*;q=0, identity"], None, false),
            (&["gzip, *;q=0"], Some(Gzip), true),
            (&["zstd;q=0, *"], Some(Brotli), false),
            // What cannot be read says nothing.
            (&["gzip;q=1.001"], None, false),
            (&["gzip;q=0.1234"], None, false),
            (&["gzip;q=2"], None, false),
            (&["gzip;q=-1"], None, false),
            (&["gzip;q="], None, false),
            (&["gzip;q=0.+1"], None, false),
            (&["gzip;level=1"], None, false),
            (&["gzip;q=;, br"], Some(Brotli), false),
            (&[",,;=,"], None, false),
            (&["compress, snappy"], None, false),
        ] {
            let accepted = accepted(values);
            assert_eq!(
                (accepted.best(), accepted.refuses_identity()),
                (best, refuses_identity),
                "{values:?}"
            );
        }
    }

    #[test]
    fn who_says_nothing_takes_what_there_is() {
        assert!(accepted(&[]).admits(Coding::Brotli));
        assert!(!accepted(&[""]).admits(Coding::Brotli));
        assert!(!accepted(&["gzip"]).admits(Coding::Brotli));
        assert!(accepted(&["br;q=0.1"]).admits(Coding::Brotli));
    }
}

//! Numbers as texts, in no more room than they take.

use http::HeaderValue;

/// Most digits of a number of 64 bits, to the base of 10.
const MAX_DIGITS: usize = 20;

/// Writes a number at the end of `text`; where it begins.
pub(crate) fn put<const BASE: u64>(text: &mut [u8], mut number: u64) -> usize {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut first = text.len();
    loop {
        first -= 1;
        text[first] = DIGITS[(number % BASE) as usize];
        number /= BASE;
        if number == 0 {
            return first;
        }
    }
}

/// A length as a header has it. That which `http` makes of a number has room for any, and something
/// beside it by which it is shared.
pub(crate) fn header_value(length: u64) -> HeaderValue {
    let mut text = [0; MAX_DIGITS];
    let first = put::<10>(&mut text, length);
    HeaderValue::from_bytes(&text[first..]).expect("they are digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_decimal() {
        for (length, text) in [(0, "0"), (9, "9"), (10, "10"), (u64::MAX, "18446744073709551615")] {
            assert_eq!(header_value(length), text);
        }
    }
}

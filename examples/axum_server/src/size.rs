//! Sizes on the command line.

use std::str::FromStr;

/// A number of bytes, as in `500`, `64K`, `10M`, `2G` or `1T`; each step is 1,024 of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// How many bytes.
    pub(crate) bytes: u64,
}

const UNITS: [(&str, u32); 4] = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let unit =
            UNITS.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
        let (number, shift) = unit.unwrap_or((text, 0));
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SizeError::Malformed);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
        let bytes = number.checked_mul(1 << shift).ok_or(SizeError::TooLarge)?;
        Ok(Self { bytes })
    }
}

/// Size of a crate file, in bytes.
pub(crate) fn crate_size(text: &str) -> Result<u32, SizeError> {
    u32::try_from(text.parse::<Size>()?.bytes).map_err(|_| SizeError::LongerThanAny)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SizeError {
    #[error("a size is a number of bytes, or of K, M, G or T, as in `10M`")]
    Malformed,
    #[error("the size is too large")]
    TooLarge,
    /// Source: Cargo book, "Registry Web API", Publish.
    #[error("no crate file is as large: its length is published in 32 bits, 4095M at most")]
    LongerThanAny,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_none() {
        for (text, bytes) in [
            ("0", 0),
            ("500", 500),
            ("64K", 64 << 10),
            ("10M", 10 << 20),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(text.parse::<Size>(), Ok(Size { bytes }));
        }
        for text in ["", "M", "-1", "+1", " 1", "1.5G", "1g", "1 M", "1MB", "M1"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Malformed), "{text:?}");
        }
        for text in ["18446744073709551616", "16777216T"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::TooLarge), "{text:?}");
        }
        assert_eq!(crate_size("4095M"), Ok(4095 << 20));
        assert_eq!(crate_size("4G"), Err(SizeError::LongerThanAny));
    }
}

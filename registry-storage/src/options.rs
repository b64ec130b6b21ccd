//! What is said of a bucket besides its URL.

use std::{fmt, str::FromStr};

/// Settings of a bucket by their keys, in the words of [`object_store`].
///
/// The keys are those of [`AmazonS3ConfigKey`], [`GoogleConfigKey`] and [`AzureConfigKey`], with
/// those of [`ClientConfigKey`]; and two more, `max_retries` and `retry_timeout`. Values are secrets
/// for all this knows: nothing prints them.
///
/// ```
/// use registry_storage::StorageOptions;
///
/// let options: StorageOptions = "aws_region=eu-central-1;timeout=10 minutes".parse()?;
/// let options = options.with("aws_server_side_encryption", "aws:kms");
/// assert_eq!(
///     format!("{options:?}"),
///     r#"StorageOptions(["aws_region", "timeout", "aws_server_side_encryption"])"#
/// );
/// # Ok::<(), registry_storage::OptionError>(())
/// ```
///
/// [`AmazonS3ConfigKey`]: https://docs.rs/object_store/0.14/object_store/aws/enum.AmazonS3ConfigKey.html
/// [`GoogleConfigKey`]: https://docs.rs/object_store/0.14/object_store/gcp/enum.GoogleConfigKey.html
/// [`AzureConfigKey`]: https://docs.rs/object_store/0.14/object_store/azure/enum.AzureConfigKey.html
/// [`ClientConfigKey`]: https://docs.rs/object_store/0.14/object_store/enum.ClientConfigKey.html
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StorageOptions(Vec<(String, String)>);

impl StorageOptions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more. Of two with the same key the later one counts.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((key.into(), value.into()));
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// `KEY=VALUE`, or several with `;` between them.
impl FromStr for StorageOptions {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let pairs = text.split(';').filter(|pair| !pair.trim().is_empty());
        let pairs = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').ok_or(OptionError::NoValue)?;
            let key = key.trim();
            // What is no key may be a value that lost it, so it is not shown.
            if is_plain(key) { Ok((key.into(), value.into())) } else { Err(OptionError::Key) }
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }
}

impl Extend<(String, String)> for StorageOptions {
    fn extend<T: IntoIterator<Item = (String, String)>>(&mut self, pairs: T) {
        self.0.extend(pairs);
    }
}

impl IntoIterator for StorageOptions {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, String)> for StorageOptions {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Debug for StorageOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.iter().map(|(key, _)| shown(key)).collect();
        f.debug_tuple("StorageOptions").field(&keys).finish()
    }
}

/// A key, or a sign that it is none.
pub(crate) fn shown(key: &str) -> &str {
    if is_plain(key) { key } else { "…" }
}

/// Whether a text is written as all keys are.
fn is_plain(key: &str) -> bool {
    const LONGEST: usize = 64;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=LONGEST).contains(&key.len()) && key.bytes().all(plain)
}

/// A text is no options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no `=`.
    #[error("an option is written KEY=VALUE")]
    NoValue,
    /// No key looks so.
    #[error("the key of an option has other characters than `a` to `z`, digits and `_`")]
    Key,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_pairs() {
        for (text, expected) in [
            ("", &[][..]),
            ("a=b", &[("a", "b")]),
            ("a=", &[("a", "")]),
            ("a=b=c==", &[("a", "b=c==")]),
            ("timeout=20 seconds; region=x ;;", &[("timeout", "20 seconds"), ("region", "x ")]),
        ] {
            let options: StorageOptions = text.parse().unwrap();
            assert_eq!(options.iter().collect::<Vec<_>>(), expected, "{text:?}");
            assert_eq!(options.is_empty(), expected.is_empty());
        }
    }

    #[test]
    fn what_is_no_option_is_not_shown() {
        for (text, expected) in [
            ("secret", OptionError::NoValue),
            ("a=b;secret", OptionError::NoValue),
            ("=secret", OptionError::Key),
            ("Secret/Key=", OptionError::Key),
        ] {
            assert_eq!(text.parse::<StorageOptions>(), Err(expected), "{text:?}");
        }
        let options = StorageOptions::new().with("Secret/Key", "x").with("region", "secret");
        assert_eq!(format!("{options:?}"), r#"StorageOptions(["…", "region"])"#);
    }
}

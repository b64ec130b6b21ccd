//! What a bucket is opened with: defaults, then the environment, then options.

use std::{str::FromStr, time::Duration};

use object_store::{ClientConfigKey, RetryConfig};

use crate::{
    open::OpenError,
    options::{StorageOptions, shown},
    url::Provider,
};

/// How long a request to a bucket is repeated: less than a client waits for its answer.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a bucket may say nothing, and how long a request to it may take in all: that is up to
/// who downloads the file, for it is passed on as it is read. By default it is cut off after 30 s.
const PATIENCE: [(ClientConfigKey, &str); 2] =
    [(ClientConfigKey::ReadTimeout, "20 seconds"), (ClientConfigKey::Timeout, "1 hour")];

/// The configuration keys of one provider's client.
pub(super) trait ConfigKey: FromStr + AsRef<str> + Copy + Eq {
    const PROVIDER: Provider;
    /// How the names of the provider's environment variables begin.
    const VARIABLES: &'static str;
    /// A variable that does not begin so.
    const OTHER_VARIABLE: Option<(&'static str, Self)>;
    /// Where the keys are listed.
    const LIST: &'static str;

    fn of_client(key: ClientConfigKey) -> Self;

    fn subject(self) -> Subject;
}

/// What a key is about. Of one subject all is taken from the options, or all from the environment:
/// half a credential of each would be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every provider has keys of each")]
pub(super) enum Subject {
    Bucket,
    Credentials,
    Encryption,
    Endpoint,
    Region,
    Other,
}

pub(super) struct Settings<K> {
    pub(super) pairs: Vec<(K, String)>,
    pub(super) retry: RetryConfig,
}

impl<K: ConfigKey> Settings<K> {
    pub(super) fn new(
        options: &StorageOptions,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, OpenError> {
        let mut given = Vec::new();
        let mut retry = RetryConfig { retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        for (text, value) in options.iter() {
            let not = |expected| OpenError::Value { key: shown(text).into(), expected };
            match text {
                "max_retries" => {
                    retry.max_retries = value.parse().map_err(|_| not("a number"))?;
                }
                "retry_timeout" => {
                    let timeout = humantime::parse_duration(value);
                    retry.retry_timeout = timeout.map_err(|_| not("a duration, as `20s` is"))?;
                }
                _ => given.push((key::<K>(text)?, value.to_owned())),
            }
        }
        let is_said = |key: K| {
            let subject = key.subject();
            subject == Subject::Bucket
                || given.iter().any(|(said, _)| {
                    *said == key || (subject != Subject::Other && said.subject() == subject)
                })
        };
        let mut pairs: Vec<_> =
            PATIENCE.map(|(key, value)| (K::of_client(key), value.into())).into();
        let environment = environment.into_iter().filter_map(|(name, value)| {
            let key = match K::OTHER_VARIABLE {
                Some((other, key)) if other == name => key,
                _ if name.starts_with(K::VARIABLES) => name.to_ascii_lowercase().parse().ok()?,
                _ => return None,
            };
            (!is_said(key)).then_some((key, value))
        });
        pairs.extend(environment);
        pairs.append(&mut given);
        for (key, value) in &pairs {
            // It would be shown in every error that names the URL of a request.
            if key.subject() == Subject::Endpoint && value.contains(['@', '?']) {
                return Err(OpenError::Endpoint { key: key.as_ref().into() });
            }
        }
        Ok(Self { pairs, retry })
    }

    /// Why a client could not be made of these, without any of the values.
    pub(super) fn refused(pairs: &[(K, String)], error: &object_store::Error) -> OpenError {
        // Shorter than any secret, and likely to be a part of a word.
        const SHORT: usize = 3;
        let mut values: Vec<_> = pairs.iter().filter(|(_, value)| value.len() > SHORT).collect();
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let text = values.iter().fold(error.to_string(), |text, (key, value)| {
            text.replace(value.as_str(), &format!("<{}>", key.as_ref()))
        });
        OpenError::Settings { source: text.into() }
    }
}

fn key<K: ConfigKey>(text: &str) -> Result<K, OpenError> {
    let scheme = K::PROVIDER.scheme();
    match text.parse::<K>() {
        Ok(key) if key.subject() == Subject::Bucket => {
            Err(OpenError::BucketOption { key: text.into() })
        }
        Ok(key) => Ok(key),
        Err(_) => Err(OpenError::UnknownOption { key: shown(text).into(), scheme, list: K::LIST }),
    }
}

/// The variables of this process that are text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

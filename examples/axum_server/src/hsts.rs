//! What browsers are told of https: to come by nothing else.

use axum::http::HeaderValue;
use clap::{Args, value_parser};

/// A year, the least that browsers take into the lists that they are delivered with.
const YEAR: u64 = 365 * 24 * 60 * 60;

#[derive(Debug, Args)]
pub(crate) struct HstsArgs {
    /// For how many seconds browsers are to come by https alone, once they have; 0: no longer.
    ///
    /// They are told so (Strict-Transport-Security, RFC 6797) if the server speaks TLS or --public-url
    /// is https, and take it for all ports of the host. Others than browsers look at the URL alone.
    #[arg(long, value_name = "SECONDS", env = "REGISTRY_HSTS_MAX_AGE", default_value_t = YEAR)]
    #[arg(value_parser = value_parser!(u64).range(..=10 * YEAR))]
    hsts_max_age: u64,
}

impl HstsArgs {
    /// The header for answers, to clients who have come by https if there is one.
    ///
    /// Not for the names below the host, which may be anybody's.
    pub(crate) fn header(&self, speaks_tls: bool, public_url: Option<&str>) -> Option<HeaderValue> {
        let is_https = speaks_tls || public_url.is_some_and(|url| url.starts_with("https://"));
        let value = format!("max-age={}", self.hsts_max_age);
        is_https.then(|| HeaderValue::try_from(value).expect("a word and a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_comes_by_https_is_told() {
        let args = HstsArgs { hsts_max_age: YEAR };
        for (speaks_tls, public_url, is_told) in [
            (false, None, false),
            (false, Some("http://h"), false),
            (false, Some("https://h"), true),
            (true, None, true),
            (true, Some("https://h/a"), true),
        ] {
            let expected = is_told.then(|| HeaderValue::from_static("max-age=31536000"));
            assert_eq!(
                args.header(speaks_tls, public_url),
                expected,
                "{speaks_tls} {public_url:?}"
            );
        }
    }
}

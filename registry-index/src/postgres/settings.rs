//! What a URL says, and what each connection is told at its start.

use std::{borrow::Cow, time::Duration};

use percent_encoding::percent_decode_str;
use registry_core::BoxError;
use tokio_postgres::{Config, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{self, Verification};

/// Set at the start of each connection; the URL's own `options` come behind them, and win.
///
/// The first three end what would otherwise hold a lock or a connection for ever. At another level
/// of isolation a lost race would be an error and not a revision that has changed. Compiling a query
/// takes longer than any of ours.
const OPTIONS: &str = "-c statement_timeout=15s -c lock_timeout=5s \
    -c idle_in_transaction_session_timeout=15s \
    -c default_transaction_isolation=read\\ committed -c jit=off";

/// How long a server may take to accept a connection, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged, unless the URL says otherwise: a server that
/// vanished without a word does not hold a connection for longer.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long a silent connection is probed. The library's default of two hours is also what an
/// unset one looks like.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVES_RETRIES: u32 = 3;

/// How to reach a database.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

impl Settings {
    pub(super) fn parse(url: &str) -> Result<Self, BoxError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("it begins with neither `postgres://` nor `postgresql://`".into());
        }
        let (rest, security) = split(url)?;
        let mut config: Config = rest.parse()?;
        let verification = match (security.mode.as_deref(), security.root) {
            (Some("verify-full"), None) => Verification::Platform,
            (Some("verify-full"), Some(root)) if root == "system" => Verification::Platform,
            (Some("verify-full"), Some(root)) => Verification::Root(root.into()),
            (_, Some(_)) => return Err("`sslrootcert` needs `sslmode=verify-full`".into()),
            (_, None) => Verification::None,
        };
        config.ssl_mode(match security.mode.as_deref() {
            Some("disable") => SslMode::Disable,
            None | Some("prefer") => SslMode::Prefer,
            Some("require" | "verify-full") => SslMode::Require,
            Some(mode) => return Err(format!("there is no `sslmode={mode}` here").into()),
        });
        let options = match config.get_options() {
            None => OPTIONS.to_owned(),
            Some(options) => format!("{OPTIONS} {options}"),
        };
        config.options(options);
        if config.get_application_name().is_none() {
            config.application_name("registry-index");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
            config.keepalives_idle(KEEPALIVES_IDLE);
            config.keepalives_interval(KEEPALIVES_INTERVAL);
            config.keepalives_retries(KEEPALIVES_RETRIES);
        }
        Ok(Self { config, tls: tls::connector(verification)? })
    }
}

/// What a URL says of TLS.
#[derive(Default)]
struct Security {
    mode: Option<String>,
    root: Option<String>,
}

/// Takes out of the URL what tokio-postgres does not know.
fn split(url: &str) -> Result<(Cow<'_, str>, Security), BoxError> {
    let mut security = Security::default();
    let Some((place, parameters)) = url.split_once('?') else {
        return Ok((url.into(), security));
    };
    let mut rest = Vec::new();
    for parameter in parameters.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = || Ok::<_, BoxError>(percent_decode_str(value).decode_utf8()?.into_owned());
        match key {
            "sslmode" => security.mode = Some(value()?),
            "sslrootcert" => security.root = Some(value()?),
            _ => rest.push(parameter),
        }
    }
    Ok((format!("{place}?{}", rest.join("&")).into(), security))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Settings::parse(url).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn the_mode_of_the_url_decides_on_tls() {
        for (parameters, mode) in [
            ("", SslMode::Prefer),
            ("?sslmode=disable", SslMode::Disable),
            ("?sslmode=prefer&connect_timeout=1", SslMode::Prefer),
            ("?connect_timeout=1&sslmode=require", SslMode::Require),
            ("?sslmode=verify-full", SslMode::Require),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require),
        ] {
            let settings = Settings::parse(&format!("postgresql://u@h/d{parameters}")).unwrap();
            assert_eq!(settings.config.get_ssl_mode(), mode, "{parameters}");
        }
        assert_eq!(refusal("postgres://h/d?sslmode=allow"), "there is no `sslmode=allow` here");
        assert_eq!(
            refusal("postgres://h/d?sslmode=require&sslrootcert=ca.pem"),
            "`sslrootcert` needs `sslmode=verify-full`"
        );
        assert_eq!(refusal("host=h"), "it begins with neither `postgres://` nor `postgresql://`");
        // Not half secure because a file is not there.
        refusal("postgres://h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem");
    }

    #[test]
    fn the_url_has_the_last_word() {
        let plain = Settings::parse("postgres://h/d").unwrap().config;
        assert_eq!(plain.get_options(), Some(OPTIONS));
        assert_eq!(plain.get_application_name(), Some("registry-index"));
        assert_eq!(plain.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
        assert_eq!(plain.get_keepalives_idle(), KEEPALIVES_IDLE);
        let told = Settings::parse(
            "postgres://h/d?options=-c%20statement_timeout%3D1s&application_name=mine\
             &connect_timeout=1&keepalives_idle=60",
        );
        let told = told.unwrap().config;
        let options = format!("{OPTIONS} -c statement_timeout=1s");
        assert_eq!(told.get_options(), Some(options.as_str()));
        assert_eq!(told.get_application_name(), Some("mine"));
        assert_eq!(told.get_connect_timeout(), Some(&Duration::from_secs(1)));
        assert_eq!(told.get_keepalives_idle(), Duration::from_secs(60));
    }
}

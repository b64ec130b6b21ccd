//! `GET /me`: tells a person how to configure cargo for this registry.
//!
//! Cargo names this page at `cargo login`. It needs no token, and says nothing but addresses.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, VARY},
};
use registry_core::{Echo, RegistryConfig};

use crate::{
    body::Body,
    respond::{JSON, TEXT, full},
};

/// The name under which users configure a registry: `[registries.NAME]`.
#[derive(Clone, Debug)]
pub(crate) struct RegistryName(Arc<str>);

impl RegistryName {
    /// Source: cargo, which takes letters, digits, `-` and `_` of any script; ASCII is ours, since
    /// the name becomes part of an environment variable.
    pub(crate) fn new(name: &str) -> Result<Self, RegistryNameError> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        match !name.is_empty() && name.bytes().all(is_plain) {
            true => Ok(Self(name.into())),
            false => Err(RegistryNameError { name: name.into() }),
        }
    }

    /// The name of what is at this path: its segments with `-` between them, as in `acme-prod`, or the
    /// default if cargo would not take that.
    pub(crate) fn of_path(path: &str) -> Self {
        Self::new(&path.trim_matches('/').replace('/', "-")).unwrap_or_default()
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Source: Cargo book, "Environment Variables", `CARGO_REGISTRIES_<name>_TOKEN`.
    fn token_variable(&self) -> String {
        format!("CARGO_REGISTRIES_{}_TOKEN", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

impl Default for RegistryName {
    fn default() -> Self {
        Self("main".into())
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text cannot be the name of a registry in cargo's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a registry name: use ASCII letters, digits, `-` and `_`", Echo(name))]
pub struct RegistryNameError {
    name: Box<str>,
}

/// The page: as HTML for a browser, as text for others, with `?format=toml` only the lines for
/// cargo's configuration, or with `?format=json` what they are made of.
pub(crate) fn page(
    config: &RegistryConfig,
    name: &RegistryName,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Response<Body> {
    let is_browser = || {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        accepted.flat_map(|list| list.split(',')).any(|kind| kind.trim().starts_with("text/html"))
    };
    let wants = |format: &str| {
        let mut pairs = query.unwrap_or_default().split('&');
        pairs.any(|pair| pair.strip_prefix("format=") == Some(format))
    };
    let (content_type, body) = if wants("toml") {
        (HeaderValue::from_static("application/toml"), toml(config, name))
    } else if wants("json") {
        (JSON, json(config, name))
    } else if is_browser() {
        (HeaderValue::from_static("text/html; charset=utf-8"), html(config, name))
    } else {
        (TEXT, text(config, name))
    };
    let mut response = full(StatusCode::OK, content_type, body.into());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    let policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// Where cargo's configuration is, on each kind of system.
const UNIX_PATH: &str = "~/.cargo/config.toml";
const WINDOWS_PATH: &str = r"%USERPROFILE%\.cargo\config.toml";

fn toml(config: &RegistryConfig, name: &RegistryName) -> String {
    let mut toml = format!("[registries.{name}]\nindex = \"{}\"\n", config.index_url());
    if config.auth_required() {
        // Cargo refuses to authenticate reads unless it is told from where to take the token.
        toml += "credential-provider = \"cargo:token\"\n";
    }
    toml
}

fn json(config: &RegistryConfig, name: &RegistryName) -> String {
    serde_json::json!({
        "name": name.to_string(),
        "index": config.index_url(),
        "auth-required": config.auth_required(),
    })
    .to_string()
}

fn text(config: &RegistryConfig, name: &RegistryName) -> String {
    format!(
        "\
Configuration of cargo for this registry

1. Add these lines to {UNIX_PATH} (Linux, macOS)
   or {WINDOWS_PATH} (Windows):

{toml}
2. Log in, with a token from whoever runs this registry{who}:

cargo login --registry {name}

   In CI, put the token in the environment variable {variable} instead.

3. Use it:

cargo add some-crate --registry {name}
cargo publish --registry {name}
",
        toml = toml(config, name),
        who = who(config),
        variable = name.token_variable(),
    )
}

fn html(config: &RegistryConfig, name: &RegistryName) -> String {
    format!(
        "\
<!DOCTYPE html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Configuration of cargo for this registry</title>
<h1>Configuration of cargo for this registry</h1>
<ol>
<li><p>Add these lines to <code>{UNIX_PATH}</code> (Linux, macOS) or
<code>{WINDOWS_PATH}</code> (Windows):</p>
<pre>{toml}</pre>
<li><p>Log in, with a token from whoever runs this registry{who}:</p>
<pre>cargo login --registry {name}</pre>
<p>In CI, put the token in the environment variable <code>{variable}</code> instead.</p>
<li><p>Use it:</p>
<pre>cargo add some-crate --registry {name}
cargo publish --registry {name}</pre>
</ol>
</html>
",
        toml = escape(&toml(config, name)),
        who = who(config),
        variable = name.token_variable(),
    )
}

/// Who has to log in.
fn who(config: &RegistryConfig) -> &'static str {
    if config.auth_required() { "" } else { " (only to publish; everybody may read)" }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

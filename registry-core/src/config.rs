//! The index root document, and the addresses under which clients know the registry.

mod dl;

use bytes::Bytes;
use serde::Serialize;

pub use self::dl::{DlError, DlTemplate};
use crate::auth::Credential;

/// Where clients find a registry, and what they must bring: the content of `config.json`.
///
/// All addresses come from configuration, or by [`RegistryConfig::at_root`] from a proxy that is trusted;
/// never from a `Host` header, which could redirect a download. Source: Cargo book, "Registry Index", Index Configuration.
///
/// ```
/// use registry_core::RegistryConfig;
///
/// let config = RegistryConfig::new("https://crates.example.com/main")?.with_auth_required(true);
/// assert_eq!(config.index_url(), "sparse+https://crates.example.com/main/index/");
/// assert_eq!(
///     config.to_json(),
///     concat!(
///         r#"{"dl":"https://crates.example.com/main/dl/{crate}/{version}/{sha256-checksum}","#,
///         r#""api":"https://crates.example.com/main","auth-required":true}"#,
///     )
/// );
/// # Ok::<(), registry_core::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    api: String,
    dl: DlTemplate,
    auth_required: bool,
    read_only: bool,
    index_aliases: Vec<String>,
}

impl RegistryConfig {
    /// The registry whose service is mounted at `base_url`, `http` or `https`.
    ///
    /// Slashes at the end are dropped, and repeated ones count as one. Lockfiles hold the index URL,
    /// which is derived from this one: changing it later orphans them.
    ///
    /// # Errors
    /// [`ConfigError`] if the URL is not an absolute web address, or has a query or fragment.
    pub fn new(base_url: &str) -> Result<Self, ConfigError> {
        let base = base_url.trim_end_matches('/');
        let refuse = |reason| Err(ConfigError { url: base_url.into(), reason });
        let Some((scheme, rest)) =
            base.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        else {
            return refuse("it must begin with http:// or https://");
        };
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.is_empty() {
            return refuse("it names no host");
        }
        // Cargo refuses to send a password it finds in a registry URL.
        if authority.contains('@') {
            return refuse("it must not contain a user name or password");
        }
        if !base.bytes().all(|b| b.is_ascii_graphic())
            || base.contains(['?', '#', '{', '}', '"', '\\'])
        {
            return refuse("it must be a plain URL without query, fragment, braces or quotes");
        }
        let segments = rest.split('/').filter(|segment| !segment.is_empty());
        let base = format!("{scheme}://{}", segments.collect::<Vec<_>>().join("/"));
        Ok(Self {
            dl: format!("{base}/dl/{{crate}}/{{version}}/{{sha256-checksum}}")
                .parse()
                .expect("a plain URL with markers in its path"),
            api: base,
            auth_required: false,
            read_only: false,
            index_aliases: Vec::new(),
        })
    }

    /// Whether every read needs a token, too. Default: no.
    #[must_use]
    pub fn with_auth_required(mut self, auth_required: bool) -> Self {
        self.auth_required = auth_required;
        self
    }

    /// Whether this is a read-only view: `config.json` then names no web API, and the registry
    /// refuses every write, and gives nobody tokens or keys; it takes them away. Default: no.
    ///
    /// Cargo says that the registry "does not support API commands" and sends no write.
    /// Source: Cargo book, "Registry Index", Index Configuration.
    #[must_use]
    pub fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sends clients elsewhere for crate files. Default: this service, with the checksum in the
    /// path, so that a download needs no look into the index.
    ///
    /// Without markers in it, cargo asks for paths that this service answers below
    /// `<base>/api/v1/crates`.
    ///
    /// If every read needs a token, cargo sends it to that place, too, whoever's it is. Source:
    /// Cargo book, "Registry Index", Index Configuration.
    #[must_use]
    pub fn with_dl(mut self, dl: DlTemplate) -> Self {
        self.dl = dl;
        self
    }

    /// Further index URLs under which clients know this registry, say from before a move.
    ///
    /// A dependency that names one of them is a dependency on this registry.
    #[must_use]
    pub fn with_index_alias(mut self, url: impl Into<String>) -> Self {
        self.index_aliases.push(url.into());
        self
    }

    /// The same registry for a client that has its token in the path: `/t/TOKEN` stands before
    /// `mount`, which is the end of the base URL. `None` if it is not.
    ///
    /// Whatever leads below the base URL keeps the segment, so that the token comes with every
    /// request; no other one is asked for.
    pub fn with_token_in_path(&self, mount: &str, token: &Credential) -> Option<Self> {
        let root = self.api.strip_suffix(mount)?;
        let api = format!("{root}/t/{}{mount}", token.expose());
        Some(self.clone().moved_to(api).with_auth_required(false))
    }

    /// The same registry for a client that reaches it through a proxy at another root: `root` is the
    /// `http` or `https` URL at which the proxy has what is the root of this server.
    ///
    /// It takes the place of scheme and host of the base URL, whose path stays behind it: what the
    /// proxy strips of a path belongs to `root`. Whatever leads below the base URL follows, and the
    /// index URL so far is known as an [alias](Self::with_index_alias).
    ///
    /// ```
    /// use registry_core::RegistryConfig;
    ///
    /// let config = RegistryConfig::new("http://10.0.0.7:8080/main")?;
    /// let outside = config.at_root("https://example.com/crates/")?;
    /// assert_eq!(outside.index_url(), "sparse+https://example.com/crates/main/index/");
    /// assert!(outside.is_own_index("sparse+http://10.0.0.7:8080/main/index/"));
    /// # Ok::<(), registry_core::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] if `root` is not an absolute web address, or has a query or fragment.
    pub fn at_root(&self, root: &str) -> Result<Self, ConfigError> {
        let (_, rest) = self.api.split_once("://").expect("a base URL has a scheme");
        let path = rest.find('/').map_or("", |path| &rest[path..]);
        let moved = Self::new(&format!("{}{path}", root.trim_end_matches('/')))?;
        Ok(self.clone().moved_to(moved.api).with_index_alias(self.index_url()))
    }

    /// With another base URL, below which is whatever was below the one so far.
    fn moved_to(self, api: String) -> Self {
        let below = self.dl.as_str().strip_prefix(&self.api).filter(|rest| rest.starts_with('/'));
        let dl = match below {
            Some(rest) => format!("{api}{rest}").parse().expect("markers are in its path"),
            None => self.dl,
        };
        Self { api, dl, ..self }
    }

    /// Whether this is a read-only view.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Base of the web API, without a slash at its end. A read-only view does not tell clients.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// The index URL as a client configures it.
    pub fn index_url(&self) -> String {
        format!("sparse+{}/index/", self.api)
    }

    /// All index URLs under which clients know this registry, as they configure them.
    pub fn index_urls(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.index_url()).chain(self.index_aliases.iter().cloned())
    }

    /// Where a person gets a token. Cargo shows it at `cargo login`.
    pub fn login_url(&self) -> String {
        format!("{}/me", self.api)
    }

    /// Whether every read needs a token.
    pub fn auth_required(&self) -> bool {
        self.auth_required
    }

    /// Whether `url` is an index URL of this registry, with or without `sparse+` and a slash at the
    /// end.
    pub fn is_own_index(&self, url: &str) -> bool {
        fn bare(url: &str) -> &str {
            url.strip_prefix("sparse+").unwrap_or(url).trim_end_matches('/')
        }
        let own = self.index_url();
        std::iter::once(own.as_str())
            .chain(self.index_aliases.iter().map(String::as_str))
            .any(|own| bare(own) == bare(url))
    }

    /// The document at the index root.
    pub fn to_json(&self) -> Bytes {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        struct ConfigJson<'a> {
            dl: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            api: Option<&'a str>,
            // Left out when false: cargo's default, and unknown to old clients.
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            auth_required: bool,
        }
        let json = ConfigJson {
            dl: self.dl.as_str(),
            api: (!self.read_only).then_some(&*self.api),
            auth_required: self.auth_required,
        };
        serde_json::to_vec(&json).expect("two strings and a bool are JSON").into()
    }
}

/// A URL cannot be a registry's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` cannot be the public URL of a registry: {reason}")]
pub struct ConfigError {
    url: Box<str>,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_registry_says_nothing_of_authentication() {
        let config = RegistryConfig::new("http://[::1]:80//a///b///").unwrap();
        let config = config.with_dl("https://cdn/crates/".parse().unwrap());
        assert_eq!(config.to_json(), r#"{"dl":"https://cdn/crates","api":"http://[::1]:80/a/b"}"#);
        assert_eq!(config.login_url(), "http://[::1]:80/a/b/me");
    }

    #[test]
    fn a_read_only_view_names_no_web_api() {
        let config = RegistryConfig::new("http://h/main").unwrap().with_read_only(true);
        let json = r#"{"dl":"http://h/main/dl/{crate}/{version}/{sha256-checksum}"}"#;
        assert_eq!(config.to_json(), json);
        let private = config.with_auth_required(true).to_json();
        assert_eq!(
            private,
            format!(r#"{},"auth-required":true}}"#, json.strip_suffix('}').unwrap())
        );
    }

    #[test]
    fn only_plain_web_addresses_are_accepted() {
        for (url, reason) in [
            ("", "it must begin with http:// or https://"),
            ("example.com", "it must begin with http:// or https://"),
            ("ftp://example.com", "it must begin with http:// or https://"),
            ("http://", "it must begin with http:// or https://"),
            ("http:///x", "it names no host"),
            ("http://u:p@h", "it must not contain a user name or password"),
            ("http://h/?q", "it must be a plain URL without query, fragment, braces or quotes"),
            ("http://h/\n", "it must be a plain URL without query, fragment, braces or quotes"),
            (
                "http://h/{crate}",
                "it must be a plain URL without query, fragment, braces or quotes",
            ),
        ] {
            assert_eq!(
                RegistryConfig::new(url),
                Err(ConfigError { url: url.into(), reason }),
                "{url:?}"
            );
        }
    }

    #[test]
    fn a_registry_knows_its_own_index_by_any_of_its_urls() {
        let config =
            RegistryConfig::new("http://h/main").unwrap().with_index_alias("sparse+https://old/");
        for url in [
            "sparse+http://h/main/index/",
            "http://h/main/index",
            "https://old",
            "sparse+https://old/",
        ] {
            assert!(config.is_own_index(url), "{url}");
        }
        for url in [
            "",
            "sparse+http://h/",
            "sparse+https://h/main/index/",
            "sparse+http://h/other/index/",
            "sparse+http://h/t/tok/main/index/",
            "sparse+http://h/x/tok/main/index/",
        ] {
            assert!(!config.is_own_index(url), "{url}");
        }
    }

    #[test]
    fn at_another_root_everything_follows_but_what_is_elsewhere() {
        let rest = "dl/{crate}/{version}/{sha256-checksum}";
        for (base, root, api) in [
            ("http://h:1/main", "https://[::1]:8443", "https://[::1]:8443/main"),
            ("http://h/main", "https://p/a/b//", "https://p/a/b/main"),
            ("http://h/x/main", "https://p/a", "https://p/a/x/main"),
            ("http://[::1]", "http://p/", "http://p"),
        ] {
            let config = RegistryConfig::new(base).unwrap().with_auth_required(true);
            let moved = config.at_root(root).unwrap();
            let expected = format!(r#"{{"dl":"{api}/{rest}","api":"{api}","auth-required":true}}"#);
            assert_eq!(moved.to_json(), expected);
            let urls = [format!("sparse+{api}/index/"), format!("sparse+{base}/index/")];
            assert!(moved.index_urls().eq(urls));
        }
        let config = RegistryConfig::new("http://h/main").unwrap();
        let elsewhere = config.clone().with_dl("http://h/mainly/crates".parse().unwrap());
        let expected = r#"{"dl":"http://h/mainly/crates","api":"https://p/main"}"#;
        assert_eq!(elsewhere.at_root("https://p").unwrap().to_json(), expected);
        for root in ["", "p", "/a", "https://", "https://u@p", "https://p/?q", "https://p/{crate}"]
        {
            assert!(config.at_root(root).is_err(), "{root}");
        }
    }

    #[test]
    fn a_token_in_the_path_stays_in_all_that_leads_here() {
        let token = Credential::from_path_segment("tok").unwrap();
        let config = RegistryConfig::new("https://h/pub/main").unwrap().with_auth_required(true);
        let json = |mount| Some(config.with_token_in_path(mount, &token)?.to_json());
        let rest = "dl/{crate}/{version}/{sha256-checksum}";
        for (mount, api) in
            [("/main", "https://h/pub/t/tok/main"), ("", "https://h/pub/main/t/tok")]
        {
            let expected = format!(r#"{{"dl":"{api}/{rest}","api":"{api}"}}"#);
            assert_eq!(json(mount).unwrap(), expected);
        }
        assert_eq!(json("/other"), None);
        let elsewhere = config.clone().with_dl("https://cdn/crates".parse().unwrap());
        let expected = r#"{"dl":"https://cdn/crates","api":"https://h/pub/t/tok/main"}"#;
        assert_eq!(elsewhere.with_token_in_path("/main", &token).unwrap().to_json(), expected);
    }
}

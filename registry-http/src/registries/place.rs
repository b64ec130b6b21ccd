use std::{fmt, net::Ipv6Addr};

use http::{Request, header::HOST};
use registry_core::{Echo, RegistryName};

/// Where a registry is, as a request says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegistryPlace {
    /// At `/NAME/`.
    Name(RegistryName),
    /// At `/OWNER/NAME/`.
    OwnerAndName(RegistryName, RegistryName),
    /// At a host.
    Host(HostName),
}

/// As in a URL.
impl fmt::Display for RegistryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.as_str()),
            Self::OwnerAndName(owner, name) => write!(f, "{owner}/{name}"),
            Self::Host(host) => f.write_str(host.as_str()),
        }
    }
}

impl From<RegistryName> for RegistryPlace {
    fn from(name: RegistryName) -> Self {
        Self::Name(name)
    }
}

/// An owner, and the name of a registry of theirs.
impl From<(RegistryName, RegistryName)> for RegistryPlace {
    fn from((owner, name): (RegistryName, RegistryName)) -> Self {
        Self::OwnerAndName(owner, name)
    }
}

impl From<HostName> for RegistryPlace {
    fn from(host: HostName) -> Self {
        Self::Host(host)
    }
}

/// A host, in lowercase letters, without a port and without a dot at the end: a name in ASCII, or an
/// address, if it is one of IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// Source: RFC 1035, section 2.3.4.
    const MAX_CHARS: usize = 253;

    /// Checks a host, and takes it over in lowercase.
    ///
    /// # Errors
    /// [`InvalidHostName`] if it is none, or has a port.
    pub fn new(host: &str) -> Result<Self, InvalidHostName> {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_word = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !part.is_empty() && part.bytes().all(plain)
        };
        let invalid = || InvalidHostName { host: host.into() };
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            // It has many spellings, and one in which it is written. Source: RFC 5952.
            let address: Ipv6Addr = address.parse().map_err(|_| invalid())?;
            return Ok(Self(format!("[{address}]").into()));
        }
        match name.len() <= Self::MAX_CHARS && name.split('.').all(is_word) {
            true => Ok(Self(name.into())),
            false => Err(invalid()),
        }
    }

    /// The host.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one that a request names. A whole URL as its target counts for more than the header, of
    /// which there is one. Source: RFC 9112, section 3.2.2.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        if let Some(host) = request.uri().host() {
            return Self::new(host).ok();
        }
        let mut headers = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (headers.next(), headers.next()) else { return None };
        let authority = http::uri::Authority::try_from(host.as_bytes()).ok()?;
        Self::new(authority.host()).ok()
    }
}

/// A text is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a host: leave out scheme, port and path", Echo(host))]
pub struct InvalidHostName {
    host: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_in_one_form() {
        for (host, form) in [
            ("crates.example.com", "crates.example.com"),
            ("Crates.Example.COM.", "crates.example.com"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[2001:0db8:0:0:0:0:0:1]", "[2001:db8::1]"),
        ] {
            assert_eq!(HostName::new(host).unwrap().as_str(), form);
        }
        let long = "a.".repeat(127);
        for host in
            ["", ".", "..", "a..b", "a:80", "http://a", "a/b", "ä.com", "[::1", "[x]", "a b"]
                .into_iter()
                .chain([&*(long + "b")])
        {
            assert_eq!(HostName::new(host), Err(InvalidHostName { host: host.into() }));
        }
    }

    #[test]
    fn the_host_of_a_request_is_one() {
        let named = |uri: &str, hosts: &[&str]| {
            let request = hosts.iter().fold(Request::get(uri), |it, host| it.header(HOST, *host));
            HostName::of(&request.body(()).unwrap()).map(|host| host.as_str().to_owned())
        };
        assert_eq!(named("/me", &["A.example:8080"]).as_deref(), Some("a.example"));
        assert_eq!(named("/me", &["[::1]:8080"]).as_deref(), Some("[::1]"));
        assert_eq!(named("http://b.example/me", &["a.example"]).as_deref(), Some("b.example"));
        for hosts in [&[][..], &["a.example", "a.example"], &[""], &["a/b"], &["a@b/"]] {
            assert_eq!(named("/me", hosts), None, "{hosts:?}");
        }
    }
}

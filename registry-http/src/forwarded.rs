//! Under which URL a client reaches the server, as a proxy in front says.

use std::{fmt, net::IpAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};

use crate::{
    peer::{ForwardedBy, TrustedProxies, forwarded_for},
    registries::HostName,
};

/// Longest path that a proxy may strip, in bytes. Source: ours.
const MAX_PREFIX_BYTES: usize = 256;

/// The URL at which a proxy has the root of the server, without a slash at its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForwardedRoot {
    is_https: bool,
    host: HostName,
    /// Unless it is the scheme's own.
    port: Option<u16>,
    /// What the proxy strips: empty, or segments with a slash before each.
    prefix: String,
}

impl fmt::Display for ForwardedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host.as_str())?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.prefix)
    }
}

/// What proxies have written, unread.
#[derive(Default)]
struct Written<'a> {
    proto: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
    prefix: Option<&'a str>,
}

impl TrustedProxies {
    /// The root that the headers of a request name, which one of these proxies has sent. `is_https`
    /// is what counts if they do not say by which scheme the client came.
    ///
    /// `None` if they name no host, or if anything that they name is not what it should be: a URL is
    /// believed whole or not at all.
    pub(crate) fn root(&self, headers: &HeaderMap, is_https: bool) -> Option<ForwardedRoot> {
        let written = match self.header() {
            ForwardedBy::XForwardedFor => Written {
                proto: last(headers, "x-forwarded-proto")?,
                host: last(headers, "x-forwarded-host")?,
                port: last(headers, "x-forwarded-port")?,
                prefix: last(headers, "x-forwarded-prefix")?,
            },
            ForwardedBy::Forwarded => forwarded(headers, |hop| self.contains(hop))?,
        };
        written.read(is_https)
    }
}

impl Written<'_> {
    fn read(&self, is_https: bool) -> Option<ForwardedRoot> {
        let is_https = match self.proto {
            Some(proto) if proto.eq_ignore_ascii_case("https") => true,
            Some(proto) if proto.eq_ignore_ascii_case("http") => false,
            Some(_) => return None,
            None => is_https,
        };
        let host = self.host?;
        // Behind the bracket, if it is an address of IPv6.
        let (host, own_port) = match host.rfind(':').filter(|colon| !host[*colon..].contains(']')) {
            Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
            None => (host, None),
        };
        let host = HostName::new(host).ok()?;
        // Both are to be ports, though the one behind the host counts.
        let [port, own_port] = [self.port, own_port].map(|port| port.map(read_port));
        let port = match (port, own_port) {
            (Some(None), _) | (_, Some(None)) => return None,
            (port, own_port) => own_port.or(port).flatten(),
        };
        let usual = if is_https { 443 } else { 80 };
        let port = port.filter(|port| *port != usual);
        Some(ForwardedRoot { is_https, host, port, prefix: read_prefix(self.prefix)? })
    }
}

fn read_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

/// Slashes that are repeated count as one, and those at the end for nothing.
fn read_prefix(text: Option<&str>) -> Option<String> {
    let Some(text) = text else { return Some(String::new()) };
    let is_plain = |segment: &str| {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        segment.bytes().all(unreserved) && !matches!(segment, "." | "..")
    };
    if text.len() > MAX_PREFIX_BYTES || !text.starts_with('/') {
        return None;
    }
    let mut prefix = String::with_capacity(text.len());
    for segment in text.split('/').filter(|segment| !segment.is_empty()) {
        if !is_plain(segment) {
            return None;
        }
        prefix.push('/');
        prefix.push_str(segment);
    }
    Some(prefix)
}

/// What the nearest proxy has written into a header: the last value, for whatever stands before it
/// may be the client's. `Some(None)` if there is no such header, `None` if it is no text.
fn last<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    let Some(value) = values.next_back() else { return Some(None) };
    let value = value.to_str().ok()?;
    Some(Some(value.rsplit(',').next().unwrap_or_default().trim()))
}

/// What the farthest proxy says that is trusted: each element names who asked its writer.
fn forwarded(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<Written<'_>> {
    let mut written = Written::default();
    for line in headers.get_all(FORWARDED).iter().rev() {
        for element in line.to_str().ok()?.rsplit(',') {
            written.host = parameter(element, "host")?.or(written.host);
            written.proto = parameter(element, "proto")?.or(written.proto);
            if !forwarded_for(element).is_some_and(&is_trusted) {
                return Some(written);
            }
        }
    }
    Some(written)
}

/// A parameter of an element; `None` if it is there twice.
fn parameter<'a>(element: &'a str, name: &str) -> Option<Option<&'a str>> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    let value = values.next().map(|(_, value)| value.trim().trim_matches('"'));
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn root(header: ForwardedBy, lines: &[(&'static str, &'static str)]) -> Option<String> {
        let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()], header);
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = lines.iter().map(line).collect();
        proxies.root(&headers, false).map(|root| root.to_string())
    }

    #[test]
    fn the_last_word_of_each_header_counts() {
        let by = |lines: &[_]| root(ForwardedBy::XForwardedFor, lines);
        let (host, proto) = ("x-forwarded-host", "x-forwarded-proto");
        let (port, prefix) = ("x-forwarded-port", "x-forwarded-prefix");
        for (lines, expected) in [
            (&[(host, "p.example")][..], "http://p.example"),
            (&[(host, "P.Example."), (proto, "HTTPS")], "https://p.example"),
            (&[(host, "p:8443"), (proto, "https")], "https://p:8443"),
            (&[(host, "p"), (proto, "https"), (port, "8443")], "https://p:8443"),
            (&[(host, "p:8443"), (proto, "https"), (port, "443")], "https://p:8443"),
            (&[(host, "p:443"), (proto, "https"), (port, "80")], "https://p"),
            (&[(host, "p"), (port, "80")], "http://p"),
            (&[(host, "p:80")], "http://p"),
            (&[(host, "[2001:DB8::1]")], "http://[2001:db8::1]"),
            (&[(host, "[::1]:8080")], "http://[::1]:8080"),
            (&[(host, "[::1]"), (port, "8080")], "http://[::1]:8080"),
            (&[(host, "evil, p"), (proto, "http,https")], "https://p"),
            (&[(host, "evil"), (host, "p"), (prefix, "/x, /a")], "http://p/a"),
            (&[(host, "p"), (prefix, "/")], "http://p"),
            (&[(host, "p"), (prefix, "/a/b/")], "http://p/a/b"),
            (&[(host, "p"), (prefix, "//a///b-1.x_~//")], "http://p/a/b-1.x_~"),
            (&[(host, "p"), ("forwarded", "for=1.1.1.1;host=evil;proto=https")], "http://p"),
        ] {
            assert_eq!(by(lines).as_deref(), Some(expected), "{lines:?}");
        }
        let long: &'static str = ["/", &"x".repeat(MAX_PREFIX_BYTES - 1)].concat().leak();
        assert_eq!(by(&[(host, "p"), (prefix, long)]), Some(format!("http://p{long}")));
        let longer = [long, "x"].concat().leak();
        for lines in [
            &[][..],
            &[("host", "p")],
            &[("forwarded", "host=p")],
            &[(proto, "https"), (port, "443"), (prefix, "/a")],
            &[(host, "")],
            &[(host, "p,")],
            &[(host, "p:")],
            &[(host, "p:0")],
            &[(host, "p:+80")],
            &[(host, "p:65536")],
            &[(host, "::1")],
            &[(host, "[::1")],
            &[(host, "[::1]x")],
            &[(host, "u@p")],
            &[(host, "u:w@p")],
            &[(host, "p/a")],
            &[(host, "p?a")],
            &[(host, "p#a")],
            &[(host, "p\"")],
            &[(host, "p\\")],
            &[(host, "{crate}")],
            &[(host, "http://p")],
            &[(host, "p"), (proto, "ftp")],
            &[(host, "p"), (proto, "")],
            &[(host, "p"), (port, "x")],
            &[(host, "p:80"), (port, "x")],
            &[(host, "p"), (prefix, "")],
            &[(host, "p"), (prefix, "a")],
            &[(host, "p"), (prefix, "/a/../b")],
            &[(host, "p"), (prefix, "/./a")],
            &[(host, "p"), (prefix, "/%2e%2e")],
            &[(host, "p"), (prefix, "/a?b")],
            &[(host, "p"), (prefix, "/{crate}")],
            &[(host, "p"), (prefix, "/a b")],
            &[(host, "p"), (prefix, longer)],
        ] {
            assert_eq!(by(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn of_forwarded_the_farthest_trusted_proxy_counts() {
        let by = |value| root(ForwardedBy::Forwarded, &[("forwarded", value)]);
        for (value, expected) in [
            ("for=192.0.2.9;host=p;proto=https", "https://p"),
            ("Host=\"[::1]:8443\"; PROTO=https;for=192.0.2.9", "https://[::1]:8443"),
            ("for=192.0.2.9;host=p", "http://p"),
            ("host=p", "http://p"),
            // What the client wrote stands before it.
            ("for=10.0.0.9;host=evil, for=192.0.2.9;host=p;proto=https", "https://p"),
            // The inner proxy knows the outer one, and what the outer one calls it.
            ("for=192.0.2.9;host=p;proto=https, for=10.0.0.1;host=inner;proto=http", "https://p"),
            ("for=192.0.2.9;proto=https, for=10.0.0.1;host=p", "https://p"),
            ("host=evil, for=192.0.2.9;host=p, for=10.0.0.1;host=inner", "http://p"),
            ("host=evil, for=unknown;host=p", "http://p"),
        ] {
            assert_eq!(by(value).as_deref(), Some(expected), "{value}");
        }
        for value in
            ["", "for=192.0.2.9", "host=p;host=q", "host=", "proto=https", "host=p;proto=x", "host"]
        {
            assert_eq!(by(value), None, "{value}");
        }
        let lines = [
            ("forwarded", "host=evil, for=192.0.2.9;host=p"),
            ("forwarded", "for=10.0.0.1;host=inner"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-prefix", "/evil"),
        ];
        assert_eq!(root(ForwardedBy::Forwarded, &lines).as_deref(), Some("http://p"));
    }
}

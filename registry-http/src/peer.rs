//! From where a request comes.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::{Extensions, HeaderMap, HeaderName, header::FORWARDED};
use registry_core::{Echo, auth::RequestId};

use crate::proxy_user::FromTrustedProxy;

/// From where a request comes, as whoever accepts connections knows: for
/// [`RegistryService::handle_from`](crate::RegistryService::handle_from), or for the extensions of
/// the request, where there is something in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The client's address, if it is known.
    pub address: Option<PeerAddress>,
    /// Whether one of the host's own proxies has sent the request, as [`FromTrustedProxy`] has it.
    pub from_trusted_proxy: bool,
    /// The id that the host has given the request, say by
    /// [`Registries::request_id`](crate::Registries::request_id). Default: the one it came with, or a
    /// new one.
    pub request_id: Option<RequestId>,
}

impl Peer {
    /// Puts it into the extensions of a request, as [`PeerAddress`], [`FromTrustedProxy`] and
    /// [`RequestId`], in place of what they have said before.
    pub fn insert_into(self, extensions: &mut Extensions) {
        match self.address {
            Some(address) => extensions.insert(address),
            None => extensions.remove::<PeerAddress>(),
        };
        match self.from_trusted_proxy {
            true => extensions.insert(FromTrustedProxy),
            false => extensions.remove::<FromTrustedProxy>(),
        };
        match self.request_id {
            Some(id) => extensions.insert(id),
            None => extensions.remove::<RequestId>(),
        };
    }

    /// What the extensions of a request say.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self {
            address: extensions.get().copied(),
            from_trusted_proxy: extensions.get::<FromTrustedProxy>().is_some(),
            request_id: extensions.get().cloned(),
        }
    }
}

/// The address of the client, for the audit trail and for limits.
///
/// Whoever accepts connections puts one into the extensions of each request, or hands it over
/// beside the request, as [`Peer`]: what a header says of it is true only if a proxy wrote it, as
/// [`TrustedProxies`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// The header in which a proxy says for whom it asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded`. Source: RFC 7239.
    Forwarded,
}

/// The proxies whose word is taken for who their clients are, and by which URL they have come.
/// Default: none.
///
/// ```
/// use std::net::IpAddr;
/// use http::HeaderMap;
/// use registry_http::{ForwardedBy, PeerAddress, TrustedProxies};
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?], ForwardedBy::XForwardedFor);
/// let headers = HeaderMap::from_iter([(
///     "x-forwarded-for".parse()?,
///     // The client wrote the first, our own proxy the second.
///     "198.51.100.7, 203.0.113.9".parse()?,
/// )]);
/// let client: IpAddr = "203.0.113.9".parse()?;
/// assert_eq!(proxies.client("10.1.2.3".parse()?, &headers), PeerAddress(client));
/// // Anybody else speaks for themselves.
/// let stranger: IpAddr = "192.0.2.1".parse()?;
/// assert_eq!(proxies.client(stranger, &headers), PeerAddress(stranger));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    header: ForwardedBy,
}

impl TrustedProxies {
    /// Trusts whoever has an address in one of these networks, in this header.
    ///
    /// In one alone: a proxy hands on the others as the client wrote them.
    pub fn new(networks: impl IntoIterator<Item = Network>, header: ForwardedBy) -> Self {
        Self { networks: networks.into_iter().collect(), header }
    }

    /// Whether this is the address of such a proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// In which header they say for whom they ask.
    pub(crate) fn header(&self) -> ForwardedBy {
        self.header
    }

    /// From where a request comes that `socket` has sent: the last hop that is not such a proxy.
    ///
    /// What stands before that hop, its client may have made up. A hop that cannot be read is
    /// nobody in particular: then it is the proxy that named it.
    pub fn client(&self, socket: IpAddr, headers: &HeaderMap) -> PeerAddress {
        let mut client = socket.to_canonical();
        if self.contains(client) {
            let mut hops = self.hops(headers);
            while self.contains(client)
                && let Some(Some(hop)) = hops.pop()
            {
                client = hop;
            }
        }
        PeerAddress(client)
    }

    /// The first is the one farthest away; `None` for those that are no address.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, parse): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedBy::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), hop),
            ForwardedBy::Forwarded => (FORWARDED, forwarded_for),
        };
        let lines = headers.get_all(name).iter();
        lines.flat_map(|line| line.to_str().unwrap_or_default().split(',')).map(parse).collect()
    }
}

/// One hop of `Forwarded`. A quoted comma would part it in two, neither of which is an address.
pub(crate) fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut clients = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("for"));
    let (_, client) = clients.next().filter(|_| clients.next().is_none())?;
    hop(client.trim().trim_matches('"'))
}

/// An address, bare or with a port, that of IPv6 in brackets or not.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

/// A range of addresses, as in `10.0.0.0/8`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// Whether it holds this address. An IPv4 address counts as such in the form that IPv6 has for
    /// it, too, as sockets that listen for both give it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |differing: u128, bits: u32| {
            differing.checked_shr(bits - self.prefix_bits).unwrap_or(0) == 0
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(u128::from(own.to_bits() ^ other.to_bits()), u32::BITS)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                same(own.to_bits() ^ other.to_bits(), u128::BITS)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkParseError;

    fn from_str(text: &str) -> Result<Self, NetworkParseError> {
        let read = || {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { u32::BITS } else { u128::BITS };
            let prefix_bits = match prefix {
                Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= most)?,
                None => most,
            };
            // `::ffff:0:0/96` would never be compared with anything.
            (address == address.to_canonical()).then_some(Self { address, prefix_bits })
        };
        read().ok_or_else(|| NetworkParseError { text: text.into() })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

/// A text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no network: write an address, or one as in 10.0.0.0/8 or fd00::/8", Echo(text))]
pub struct NetworkParseError {
    text: Box<str>,
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn the_extensions_say_what_was_put_into_them() {
        let address = Some(PeerAddress(ip("192.0.2.1")));
        let id = RequestId::new("mine");
        let mut extensions = Extensions::new();
        for (address, request_id) in
            [(None, None), (address, None), (address, id.clone()), (None, id), (None, None)]
        {
            for from_trusted_proxy in [false, true, false] {
                let peer = Peer { address, from_trusted_proxy, request_id: request_id.clone() };
                peer.clone().insert_into(&mut extensions);
                assert_eq!(extensions.get::<PeerAddress>().copied(), address);
                let mark = extensions.get::<FromTrustedProxy>().copied();
                assert_eq!(mark, from_trusted_proxy.then_some(FromTrustedProxy));
                assert_eq!(extensions.get::<RequestId>().cloned(), request_id);
                assert_eq!(Peer::of(&extensions), peer);
            }
        }
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_alike() {
        for (network, held, others) in [
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"][..], &["11.0.0.0"]),
            ("10.1.2.3", &["10.1.2.3"], &["10.1.2.2"]),
            ("10.1.2.3/31", &["10.1.2.2", "10.1.2.3"], &["10.1.2.4"]),
            ("0.0.0.0/0", &["255.0.0.0", "0.0.0.0"], &["::1"]),
            ("::/0", &["::1", "ffff::"], &["127.0.0.1"]),
            ("fd00::/8", &["fd00::", "fdff::1"], &["fc00::"]),
            ("::1", &["::1"], &["::2"]),
        ] {
            let network: Network = network.parse().unwrap();
            for address in held {
                assert!(network.contains(ip(address)), "{network} {address}");
            }
            for address in others {
                assert!(!network.contains(ip(address)), "{network} {address}");
            }
        }
        let wrong =
            ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0/8", "::ffff:1.1.1.1/96"];
        for text in wrong {
            assert_eq!(text.parse::<Network>(), Err(NetworkParseError { text: text.into() }));
        }
    }

    #[test]
    fn a_client_is_the_last_hop_that_is_not_a_listed_proxy() {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap());
        let proxies = TrustedProxies::new(networks, ForwardedBy::XForwardedFor);
        for (socket, forwarded, client) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["192.0.2.9, 198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["192.0.2.9,198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            ("fd00::1", &["192.0.2.9", "198.51.100.1:4711"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("fd00::1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            // All are proxies: the one farthest away.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Beyond what cannot be read, nothing is believed.
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1,"], "10.0.0.1"),
        ] {
            let lines: Vec<_> = forwarded.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let mut headers = headers(&lines);
            // Handed on by the proxy as the client wrote it.
            headers.insert(FORWARDED, HeaderValue::from_static("for=203.0.113.66"));
            let found = proxies.client(ip(socket), &headers);
            assert_eq!(found, PeerAddress(ip(client)), "{socket} {forwarded:?}");
        }
        let nobody = TrustedProxies::default();
        let headers = headers(&[("x-forwarded-for", "198.51.100.1")]);
        assert_eq!(nobody.client(ip("127.0.0.1"), &headers), PeerAddress(ip("127.0.0.1")));
    }

    #[test]
    fn the_standard_header_is_read_alike() {
        let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()], ForwardedBy::Forwarded);
        // The examples of RFC 7239, section 4 and 6, among them.
        for (forwarded, client) in [
            ("for=192.0.2.43", "192.0.2.43"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("for=192.0.2.9, proto=https ; for = 198.51.100.17", "198.51.100.17"),
            ("for=\"192.0.2.43:47011\"", "192.0.2.43"),
            ("for=192.0.2.9, for=\"_gazonk\"", "10.0.0.1"),
            ("for=192.0.2.9, for=unknown", "10.0.0.1"),
            ("for=192.0.2.9, by=10.0.0.1", "10.0.0.1"),
            ("for=192.0.2.9, for=1.1.1.1;for=2.2.2.2", "10.0.0.1"),
            ("192.0.2.9", "10.0.0.1"),
        ] {
            let headers = headers(&[("forwarded", forwarded), ("x-forwarded-for", "203.0.113.66")]);
            let found = proxies.client(ip("10.0.0.1"), &headers);
            assert_eq!(found, PeerAddress(ip(client)), "{forwarded}");
        }
    }
}

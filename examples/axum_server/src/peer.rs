//! From where requests come, if not from whoever has opened the connection.

use clap::{Args, ValueEnum};
use registry_http::{ForwardedBy, Network, TrustedProxies};

#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Address or network of proxies in front, as in 10.0.0.0/8: of whose requests the address of
    /// the client is what they say it is.
    ///
    /// Give one flag for each, or several with commas between them. Whoever can send requests from
    /// there can pass for any address.
    #[arg(long = "trusted-proxy", value_name = "NET", env = "REGISTRY_TRUSTED_PROXY")]
    #[arg(value_delimiter = ',')]
    networks: Vec<Network>,
    /// The header in which those proxies say for whom they ask.
    #[arg(long, value_name = "HEADER", env = "REGISTRY_FORWARDED_BY")]
    #[arg(default_value = "x-forwarded-for")]
    forwarded_by: Header,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Header {
    XForwardedFor,
    Forwarded,
}

impl ProxyArgs {
    pub(crate) fn proxies(&self) -> TrustedProxies {
        let header = match self.forwarded_by {
            Header::XForwardedFor => ForwardedBy::XForwardedFor,
            Header::Forwarded => ForwardedBy::Forwarded,
        };
        TrustedProxies::new(self.networks.iter().copied(), header)
    }
}

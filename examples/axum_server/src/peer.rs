//! From where requests come, if not from whoever has opened the connection.

use clap::{Args, ValueEnum};
use http::HeaderName;
use registry_http::{ForwardedBy, Network, ProxyUserHeaders, TrustedProxies};

use crate::{access::Accounts, error::Error};

#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Address or network of proxies in front, as in 10.0.0.0/8: of whose requests the address of
    /// the client is what they say it is.
    ///
    /// Without --public-url, the URL is so, too, by which clients have come to them, as they say it in
    /// X-Forwarded-Host, -Proto, -Port and -Prefix, the last of which is the path that they strip; or,
    /// with --forwarded-by forwarded, in `host` and `proto`. Each of them must set or remove all of
    /// these in every request; of several values the last counts. Tokens that cargo signs are held to
    /// --public-url all the same. Give one flag for each, or several with commas between them. Whoever
    /// can send requests from there can pass for any address, and with --proxy-user-header for any
    /// user: then name single addresses.
    #[arg(long = "trusted-proxy", value_name = "NET", env = "REGISTRY_TRUSTED_PROXY")]
    #[arg(value_delimiter = ',')]
    networks: Vec<Network>,
    /// The header in which those proxies say for whom they ask.
    #[arg(long, value_name = "HEADER", env = "REGISTRY_FORWARDED_BY")]
    #[arg(default_value = "x-forwarded-for")]
    forwarded_by: Header,
    /// The header in which those proxies say which user they have authenticated, such as
    /// X-Forwarded-User.
    ///
    /// From any other address the header counts for nothing, and beside an Authorization header it
    /// is the latter that counts. Each proxy must set or remove it in every request. A user who comes
    /// for the first time is made; with --accounts, they have to be known.
    #[arg(long = "proxy-user-header", value_name = "HEADER", env = "REGISTRY_PROXY_USER_HEADER")]
    #[arg(requires = "networks")]
    user_header: Option<HeaderName>,
    /// The header in which those proxies say in which groups the user is, with commas between them.
    #[arg(long = "proxy-groups-header", value_name = "HEADER")]
    #[arg(env = "REGISTRY_PROXY_GROUPS_HEADER", requires = "user_header")]
    groups_header: Option<HeaderName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Header {
    XForwardedFor,
    Forwarded,
}

impl ProxyArgs {
    /// The headers in which those proxies say who is asking, if they do.
    pub(crate) fn user_headers(&self, known: &Accounts) -> Result<Option<ProxyUserHeaders>, Error> {
        let Some(user) = self.user_header.clone() else {
            return Ok(None);
        };
        let headers = ProxyUserHeaders::new(user, known.proxy_users()?);
        Ok(Some(match self.groups_header.clone() {
            Some(groups) => headers.with_groups(groups),
            None => headers,
        }))
    }

    /// Those proxies, if there are any.
    pub(crate) fn listed(&self) -> Option<TrustedProxies> {
        (!self.networks.is_empty()).then(|| self.proxies())
    }

    pub(crate) fn proxies(&self) -> TrustedProxies {
        let header = match self.forwarded_by {
            Header::XForwardedFor => ForwardedBy::XForwardedFor,
            Header::Forwarded => ForwardedBy::Forwarded,
        };
        TrustedProxies::new(self.networks.iter().copied(), header)
    }
}
